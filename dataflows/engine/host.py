"""A lane as a source partition holds it: what it decides and counts, and how it outlives the process."""

from collections.abc import Callable, Sequence

import msgspec

from config.metrics import CONFLICTING_TERMINAL, DECISIONS, EVENTS, EVENTS_LATE
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision
from dataflows.engine.lane import Lane, LaneState
from dataflows.engine.workflow import Timed
from dataflows.events import Event

#: What flows from a source.
Item = Decision | DeadLetter

SNAPSHOT_VERSION = 2


class Snapshot(msgspec.Struct, array_like=True):
    """What recovery keeps of a source partition, in bytes of our own: its store holds no class of this code."""

    #: Where the source was, as it encodes it.
    position: bytes
    lane: LaneState


class Host:
    """A lane, and where its source was when it is made: `position`, None at the first start."""

    def __init__(self, new_lane: Callable[[], Lane], snapshot: bytes | None) -> None:
        """`ValueError` for a snapshot of another version."""
        self.lane = new_lane()
        self.position: bytes | None = None
        if snapshot is None:
            return
        if snapshot[0] != SNAPSHOT_VERSION:
            raise ValueError(f"recovery store of version {snapshot[0]}, this is {SNAPSHOT_VERSION}: start anew")
        stored = _decoder.decode(memoryview(snapshot)[1:])
        self.position = stored.position
        self.lane.restore(stored.lane)

    def process(self, events: Sequence[Event], times: Sequence[int]) -> list[Decision]:
        """What is decided by these events, and by the watermark after them."""
        return self._decisions(self.lane.process(events, times))

    def advance(self) -> list[Decision]:
        """What is decided by the watermark, which was moved without an event."""
        return self._decisions(self.lane.advance([]))

    def snapshot(self, position: bytes) -> bytes:
        """All that a restart needs to go on after what was handed out."""
        return bytes([SNAPSHOT_VERSION]) + _encoder.encode(Snapshot(position, self.lane.everything()))

    def _decisions(self, out: list[Timed]) -> list[Decision]:
        """Hand the lane's counts on to the process's metrics, once a batch."""
        counts = self.lane.counts
        if counts.events:
            EVENTS.labels("used").inc(counts.events)
        if counts.duplicates:
            EVENTS.labels("duplicate").inc(counts.duplicates)
        if counts.late:
            EVENTS_LATE.inc(counts.late)
        if counts.conflicting:
            CONFLICTING_TERMINAL.inc(counts.conflicting)
        counts.events = counts.duplicates = counts.late = counts.conflicting = 0
        for timed in out:
            DECISIONS.labels(timed.decision.kind.value).inc()
        return [timed.decision for timed in out]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)
