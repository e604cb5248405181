"""The job on Quix Streams: a stateful function on a streaming data frame, keyed by the messages' keys.

    python run_quix.py BROKER DECISIONS STATE-FOLDER EVENTS CHANGELOG

State is RocksDB, with changelog topics when the last argument is `yes`. The ids have a key of state each, so that an
event writes what it adds and not all that is remembered. Quix has no timers: a deadline is looked at on the next event
of its workflow alone.
"""

import sys
from datetime import timedelta
from pathlib import Path

import job
import msgspec
from quixstreams import Application, State
from quixstreams.models import Deserializer

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(job.Workflow).decode
clock = job.Clock()

HORIZON = timedelta(microseconds=job.HORIZON)


class Decode(Deserializer):
    """Bytes to an event."""

    def __call__(self, value: bytes, ctx: object) -> job.Event:  # noqa: ARG002
        clock.begin()
        return job.decode(value)


class Ids:
    """The ids of the workflow whose state this is."""

    def __init__(self, state: State) -> None:
        self._state = state

    def is_known(self, kind: str, name: str) -> bool:
        return self._state.exists(kind + name)

    def add(self, kind: str, name: str, time: int) -> None:  # noqa: ARG002
        # Quix takes the event's own time to count from.
        self._state.set_bytes(kind + name, b"", ttl=HORIZON)


def main() -> None:
    broker, file, folder, events, changelog = sys.argv[1:]
    app = Application(
        broker_address=broker,
        consumer_group=f"quix-{Path(folder).parent.name}",
        auto_offset_reset="earliest",
        state_dir=folder,
        use_changelog_topics=changelog == "yes",
        loglevel="ERROR",
        auto_create_topics=True,
    )
    output = Path(file).open("w")  # noqa: SIM115 (a run of the application is its scope)

    def judge(event: job.Event, state: State) -> None:
        known = state.get_bytes("workflow")
        workflow = decode(known) if known else job.Workflow()
        output.writelines(
            job.line(decision) + "\n" for decision in workflow.judge(event, job.micros(event), Ids(state))
        )
        state.set_bytes("workflow", encode(workflow))
        clock.events += 1
        if clock.events == int(events):
            app.stop()

    frame = app.dataframe(app.topic("run_events", value_deserializer=Decode()))
    frame.update(judge, stateful=True)
    app.run()
    output.close()
    clock.report()


if __name__ == "__main__":
    main()
