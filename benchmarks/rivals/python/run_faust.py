"""The job on Faust: an agent on the topic, tables in memory with their changelog topics.

    python run_faust.py BROKER DECISIONS STATE-FOLDER EVENTS

The ids have an entry each in tables of their own, so that an event sends what it adds to the changelog and not all that
is remembered. Faust has no timers of event time: a deadline is looked at on the next event of its workflow.
"""

import os
import sys
from pathlib import Path
from typing import Any

import faust
import job
import msgspec

broker, decisions, folder, events = sys.argv[1:]
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(job.Workflow).decode
clock = job.Clock()
output = Path(decisions).open("w")  # noqa: SIM115 (the worker's life is its scope)

app = faust.App(
    f"faust-{Path(folder).parent.name}",
    broker=f"kafka://{broker}",
    store="memory://",
    datadir=folder,
    topic_partitions=4,
    topic_replication_factor=1,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
    processing_guarantee="at_least_once",
)
topic = app.topic("run_events", key_serializer="raw", value_serializer="raw", value_type=bytes)
workflows: Any = app.Table("workflows", partitions=4, key_type=str, value_type=bytes)
ids: Any = app.Table("ids", partitions=4, key_type=str, value_type=int)


class Ids:
    """All ids of the partition's workflows."""

    def is_known(self, kind: str, name: str) -> bool:
        return kind + name in ids

    def add(self, kind: str, name: str, time: int) -> None:
        ids[kind + name] = time


known_ids = Ids()


@app.agent(topic)
async def judge(stream: Any) -> None:
    async for value in stream:
        clock.begin()
        event = job.decode(value)
        known = workflows.get(event.workflow_id)
        workflow = decode(known) if known else job.Workflow()
        found = workflow.judge(event, job.micros(event), known_ids)
        output.writelines(job.line(decision) + "\n" for decision in found)
        workflows[event.workflow_id] = encode(workflow)
        clock.events += 1
        if clock.events == int(events):
            output.close()
            clock.report()
            os._exit(0)


if __name__ == "__main__":
    faust.Worker(app, loglevel="ERROR").execute_from_commandline()
