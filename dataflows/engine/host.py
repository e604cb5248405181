"""A lane as a source partition holds it: what it decides and counts, and how it outlives the process."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from config.metrics import (
    CONFLICTING_TERMINAL,
    DECISIONS,
    EVENTS,
    EVENTS_LATE,
    SNAPSHOT_SECONDS,
    STATE_BYTES,
    WORKFLOWS_IN_MEMORY,
)
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision
from dataflows.engine.credit_records import CreditReport
from dataflows.engine.lane import Lane
from dataflows.engine.lane_state import LaneState
from dataflows.engine.state_files import StateFile, StateFiles, UnusableStoreError
from dataflows.engine.stream_logic import StreamReport
from dataflows.engine.workflow import Timed
from dataflows.events import Event
from dataflows.times import NEVER

#: What flows from a source.
Item = Decision | DeadLetter | StreamReport | CreditReport

#: How far a lane goes, in microseconds of event time, before it reports again.
REPORT_EVERY = 60 * 1_000_000

#: And to the second stage, while it has no runs with credits: event time in microseconds, and seconds of the machine's
#: time, which bounds what reports cost in a recording that is read fast.
CREDITS_EVERY = 1_000_000
CREDITS_PAUSE = 0.1

SNAPSHOT_VERSION = 3


class Snapshot(msgspec.Struct, array_like=True):
    """What recovery keeps of a source partition, in bytes of our own: its store holds no class of this code."""

    #: Where the source was, as it encodes it.
    position: bytes
    #: All state, or with files what is to be taken over last.
    lane: LaneState
    files: list[StateFile] | None = None


class Host:
    """A lane, and where its source was when it is made: `position`, None at the first start."""

    def __init__(
        self,
        new_lane: Callable[[], Lane],
        snapshot: bytes | None,
        folder: Path | None = None,
        *,
        is_lasting: bool = True,
        name: str = "",
    ) -> None:
        """With a `folder` of its own a lane's state is kept in files there, else in the snapshot itself.

        `is_lasting` is False where nothing keeps the snapshots: the engine asks for them all the same.
        `UnusableStoreError` for a snapshot of another version, or where its files are not at hand.
        """
        self.lane = new_lane()
        self.lane.name = name
        self.position: bytes | None = None
        self._name = name
        #: The watermark of the last report on the lane's runs.
        self._reported = NEVER
        #: How far the second stage knows this lane to have come, and when it was told.
        self._charged, self._charged_at = NEVER, -math.inf
        self._is_lasting = is_lasting
        self._files: StateFiles | None = None
        stored = None
        if snapshot is not None:
            if snapshot[0] != SNAPSHOT_VERSION:
                raise UnusableStoreError(
                    f"the recovery store is of version {snapshot[0]}, this is {SNAPSHOT_VERSION}: begin a new one"
                )
            stored = _decode_snapshot(memoryview(snapshot)[1:])
            self.position = stored.position
        files = [] if stored is None or stored.files is None else stored.files
        if files and folder is None:
            raise UnusableStoreError(f"{files[0].name}: it is part of the recovery store, and no folder is given")
        if folder is not None:
            self._files = StateFiles(folder, files)
            for number, content in enumerate(self._files.read()):
                self._take_over(_decode_lane(content), is_first=number == 0)
        if stored is not None:
            self._take_over(stored.lane, is_first=not files)

    def process(self, events: Sequence[Event], times: Sequence[int]) -> list[Item]:
        """What is decided by these events, and by the watermark after them."""
        return self.judge(events, times) + self.report()

    def judge(self, events: Sequence[Event], times: Sequence[int]) -> list[Item]:
        """As `process`, but the second stage is told of nothing: `report` has to follow, before a snapshot."""
        return self._items(self.lane.process(events, times))

    def report(self, *, is_end: bool = False, at_once: bool = False) -> list[Item]:
        """What the second stage is to be told, if anything."""
        mark, charges = self.lane.credit_mark, self.lane.take_charges()
        if not (charges or is_end):
            now = time.monotonic()
            if mark - self._charged < CREDITS_EVERY or not (at_once or now - self._charged_at >= CREDITS_PAUSE):
                return []
            self._charged_at = now
        self._charged = mark
        return [CreditReport(self._name, mark, charges, is_end)]

    def advance(self) -> list[Item]:
        """What is decided by the watermark, which was moved without an event."""
        return self._items(self.lane.advance([])) + self.report(at_once=True)

    def finish(self) -> list[Item]:
        """What is decided when nothing more comes."""
        self.lane.watermark.finish()
        return self._items(self.lane.advance([]), is_end=True) + self.report(is_end=True)

    def snapshot(self, position: bytes) -> bytes:
        """All that a restart needs to go on after what was handed out.

        With files it costs what has changed since the last one, and now and then what all state costs: about 1 µs
        a workflow and 0.1 µs an id that is remembered.
        """
        self.lane.drop_quiet()
        WORKFLOWS_IN_MEMORY.labels(self._name).set(self.lane.size)
        if not self._is_lasting:
            self.lane.note_snapshot()
            return b""
        with SNAPSHOT_SECONDS.time():
            return bytes([SNAPSHOT_VERSION]) + _encode(self._snapshot(position))

    def _snapshot(self, position: bytes) -> Snapshot:
        lane, files = self.lane, None
        if self._files is None:
            state = lane.everything()
        else:
            everything = self._files.wants_everything
            if everything or lane.is_changed:
                self._files.write(lane.pieces(everything=everything), everything=everything)
            state, files = lane.clock(), self._files.current
            STATE_BYTES.labels(self._name).set(sum(file.size for file in files))
        return Snapshot(position, state, files)

    def _take_over(self, state: LaneState, *, is_first: bool) -> None:
        if is_first:
            self.lane.restore(state)
        else:
            self.lane.learn(state)

    def _items(self, out: list[Timed], *, is_end: bool = False) -> list[Item]:
        """Hand the lane's counts on to the process's metrics, once a batch, and now and then report its runs."""
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
        items: list[Item] = [timed.decision for timed in out]
        mark = self.lane.watermark.value
        if is_end or mark - self._reported >= REPORT_EVERY:
            self._reported = mark
            items.append(StreamReport(self._name, mark, self.lane.take_spans(), is_end))
        return items


_encode = msgspec.msgpack.Encoder().encode
_decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode
_decode_lane = msgspec.msgpack.Decoder(LaneState).decode
