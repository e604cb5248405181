"""The job on bytewax as its documentation writes one: a key for each workflow, a `StatefulLogic` each.

    python run_bytewax.py INPUT DECISIONS RECOVERY-FOLDER

An empty name of the folder: no recovery. bytewax's own timers are of the wall clock, so a deadline is looked at on the
next event of its workflow and at the end: less work than a timer.
"""

import sys
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import job
import msgspec
from bytewax.connectors.files import FileSink, FileSource
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream, StatefulLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

clock = job.Clock()


class State(msgspec.Struct, array_like=True):
    """One workflow with its ids."""

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


class WorkflowLogic(StatefulLogic[job.Event, job.Decision, bytes]):
    """One workflow."""

    def __init__(self, state: bytes | None) -> None:
        self.state = decode(state) if state else State(job.Workflow(), {job.EVENT: {}, job.ENDED: {}})

    def on_item(self, value: job.Event) -> tuple[list[job.Decision], bool]:
        clock.events += 1
        time = job.micros(value)
        return self.state.workflow.judge(value, time, self.state), False

    def on_eof(self) -> tuple[list[job.Decision], bool]:
        return self.state.workflow.on_watermark(1 << 62), False

    def snapshot(self) -> bytes:
        return encode(self.state)


def keyed(line: str) -> tuple[str, job.Event]:
    clock.begin()
    event = job.decode(line)
    return event.workflow_id, event


def main() -> None:
    source, decisions, recovery = sys.argv[1:]
    flow = Dataflow("rival")
    lines = op.input("events", flow, FileSource(Path(source), batch_size=1000))
    events: KeyedStream[job.Event] = op.map("decode", lines, keyed)
    decided = op.stateful("judge", events, WorkflowLogic)
    out = op.map("line", decided, lambda pair: (pair[0], job.line(pair[1])))
    op.output("decisions", out, FileSink(Path(decisions)))
    config = None
    if recovery:
        Path(recovery).mkdir()
        init_db_dir(Path(recovery), 1)
        config = RecoveryConfig(recovery)
    cluster_main(flow, [], 0, epoch_interval=timedelta(seconds=10), recovery_config=config)
    clock.report()


if __name__ == "__main__":
    main()
