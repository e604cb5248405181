"""The job on Pathway: the messages grouped by their key, one stateful reducer for each workflow.

    python run_pathway.py BROKER DECISIONS EVENTS

State goes into the reducer and comes out of it as bytes, since it is a value of Pathway's own tables. No persistence. A
deadline is looked at on the next event of its workflow.
"""

import os
import sys
from pathlib import Path
from typing import Any

import job
import msgspec
import pathway as pw

broker, decisions, events = sys.argv[1:]
clock = job.Clock()
output = Path(decisions).open("w")  # noqa: SIM115 (the run is its scope)


class State(msgspec.Struct, array_like=True):
    """One workflow with its ids, and what the newest batch led to."""

    found: str
    workflow: job.Workflow
    ids: dict[str, dict[str, int]]

    def is_known(self, kind: str, name: str) -> bool:
        return name in self.ids[kind]

    def add(self, kind: str, name: str, time: int) -> None:
        ids = self.ids[kind]
        if ids and next(iter(ids.values())) < time - job.HORIZON - job.HORIZON // 24:
            self.ids[kind] = ids = {one: at for one, at in ids.items() if at > time - job.HORIZON}
        ids[name] = time


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(State).decode
#: What the encoding of a state without decisions begins with: an array of three, an empty text.
QUIET = b"\x93\xa0"


def judge(state: bytes | None, rows: list[tuple[list[bytes], int]]) -> bytes:
    """Judge a batch of one workflow, which is in no order."""
    clock.begin()
    kept = State("", job.Workflow(), {job.EVENT: {}, job.ENDED: {}}) if state is None else decode(state)
    batch = [(job.micros(event), event) for event in (job.decode(row[0]) for row, _ in rows)]
    batch.sort(key=lambda pair: pair[0])
    found = [job.line(one) for time, event in batch for one in kept.workflow.judge(event, time, kept)]
    kept.found = "\n".join(found)
    clock.events += len(batch)
    return encode(kept)


def write(key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: ARG001
    """Write what a batch of a workflow led to."""
    if is_addition and not row["state"].startswith(QUIET):
        output.write(decode(row["state"]).found + "\n")


def end(time: int) -> None:  # noqa: ARG001
    """End when all events have gone through."""
    if clock.events >= int(events):
        output.close()
        clock.report()
        os._exit(0)


settings = {"bootstrap.servers": broker, "group.id": "pathway", "auto.offset.reset": "earliest"}
messages = pw.io.kafka.read(settings, topic="run_events", format="raw", autocommit_duration_ms=100)
keyed = messages.groupby(pw.this.key).reduce(state=pw.reducers.stateful_many(judge)(pw.this.data))
pw.io.subscribe(keyed, on_change=write, on_time_end=end)
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
