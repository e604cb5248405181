"""A lane's memory against a naive one that keeps every segment as a list, whatever is asked of it in which order."""

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dataflows.engine.memory import HORIZON, SEGMENT, EndedExecution, Memory, Room, Row
from tests.given import DAY, HOUR, Line, encode, ended, failed, replay

numbers = st.integers(1, 3)
names = st.sampled_from("ab")


class Segment:
    """Entries that leave together."""

    def __init__(self) -> None:
        self.values: dict[tuple[int, str], EndedExecution] = {}
        #: How many ids only fill it up.
        self.fillers = 0
        self.newest: int | None = None

    def __len__(self) -> int:
        return len(self.values) + self.fillers


class MemoryAgainstModel(RuleBasedStateMachine):
    """Each step is done to both; `copy` is what a restart would have, as far as it was told."""

    @initialize(capacity=st.sampled_from([SEGMENT, 2 * SEGMENT, 100 * SEGMENT]))
    def begin(self, capacity: int) -> None:
        """Both are empty."""
        self.capacity = capacity
        self.memory: Memory[EndedExecution] = Memory(Room(capacity))
        self.copy: Memory[EndedExecution] | None = None
        self.segments = [Segment()]
        self.now = self.count = 0

    @rule(number=numbers, name=names)
    def add(self, number: int, name: str) -> None:
        """Through the method."""
        value = self._value(number)
        assert self.memory.add(number, name, value) == self._known(number, name)
        if self._known(number, name) is None:
            self.segments[-1].values[number, name] = value

    @rule(number=numbers, name=names)
    def add_as_the_lane_does(self, number: int, name: str) -> None:
        """Into the open lists, where that is allowed: then the id must be new indeed."""
        memory = self.memory
        if name in memory.index or memory.has_strays:
            return
        assert self._known(number, name) is None
        value = self._value(number)
        memory.index[name] = self.segments[-1].values[number, name] = value
        memory.keys.append(name)
        memory.values.append(value)

    @rule(number=numbers, name=names)
    def replace(self, number: int, name: str) -> None:
        """What is remembered."""
        for segment in self.segments:
            if (number, name) in segment.values:
                value = segment.values[number, name] = self._value(number)
                self.memory.replace(number, name, value)

    @rule(share=st.sampled_from([0.5, 1, 2]))
    def fill(self, share: float) -> None:
        """With ids that nobody asks for."""
        for _ in range(int(share * SEGMENT)):
            self.count += 1
            self.memory.add(9, f"filler{self.count}", EndedExecution(9, 0, 0, 0))
        self.segments[-1].fillers += int(share * SEGMENT)

    @rule(passed=st.sampled_from([0, 1, HORIZON // 2, HORIZON, HORIZON + 1]))
    def pass_time(self, passed: int) -> None:
        """A batch has ended."""
        self.now += passed
        self.memory.pass_time(self.now)
        segments = self.segments
        if len(segments[-1]) >= SEGMENT:
            segments.append(Segment())
            while len(segments) > 2 and sum(map(len, segments[:-1])) > self.capacity:
                del segments[0]
        for segment in segments[:-1]:
            segment.newest = self.now if segment.newest is None else segment.newest
        while len(segments) > 1 and (segments[0].newest or 0) < self.now - HORIZON:
            del segments[0]

    @rule()
    def write_everything(self) -> None:
        """A snapshot of all."""
        self.copy = Memory(Room(self.capacity))
        self.copy.restore(_coded(self.memory.everything()))

    @rule(comes_back=st.booleans())
    def write_news(self, *, comes_back: bool) -> None:
        """A snapshot of what has changed, and perhaps a restart from it: as if there had been none."""
        if self.copy is None:
            return
        self.copy.learn(_coded(self.memory.news()))
        for number, name, value in self._entries():
            assert self.copy.get(number, name) == value
        if comes_back:
            self.memory, self.copy = self.copy, None
            self.pass_time(0)
            assert len(self.memory.keys) == len(self.segments[-1])
            self.write_everything()

    @invariant()
    def same(self) -> None:
        """What the one remembers, the other does; and neither more than there is room for."""
        assert len(self.memory) == sum(map(len, self.segments))
        for number in (1, 2, 3):
            for name in "ab":
                assert self.memory.get(number, name) == self._known(number, name)

    def _value(self, number: int) -> EndedExecution:
        self.count += 1
        return EndedExecution(number, self.count, 0, 0)

    def _known(self, number: int, name: str) -> EndedExecution | None:
        for segment in self.segments:
            if (number, name) in segment.values:
                return segment.values[number, name]
        return None

    def _entries(self) -> list[tuple[int, str, EndedExecution]]:
        return [(*key, value) for segment in self.segments for key, value in segment.values.items()]


def _coded(rows: list[Row[EndedExecution]]) -> list[Row[EndedExecution]]:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(rows), type=list[Row[EndedExecution]])


TestMemory = MemoryAgainstModel.TestCase
TestMemory.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


# ---- what led to the model


def test_news_that_nobody_asks_for_take_no_room() -> None:
    ids: Memory[int] = Memory(Room(2 * SEGMENT))
    for number in range(8 * SEGMENT):
        ids.add(1, f"x{number}", 1)
        if number % SEGMENT == 0:
            ids.pass_time(0)
    assert sum(len(row.keys) for row in ids.news()) <= len(ids) <= 3 * SEGMENT


def _one_workflow_is_forgotten(*last: Line) -> dict[str, Any]:
    """Two workflows use the same ids, 23 hours apart; what the first had is past the horizon, then come `last`."""
    first = [ended(0, "x", event_id="e"), *(ended(0, f"x{number}") for number in range(SEGMENT))]
    second = [ended(23 * HOUR, "x", event_id="e", workflow_id="wf2")]
    later = [ended(DAY + 1, "y", workflow_id="wf3")]
    return replay([b"".join(map(encode, lines)) for lines in (first, second, later, list(last))]).summary


def test_a_duplicate_is_known_though_another_workflow_that_had_the_id_is_forgotten() -> None:
    summary = _one_workflow_is_forgotten(ended(DAY + 2, "x", event_id="e", workflow_id="wf2"))
    assert (summary["events"], summary["duplicates"]) == (SEGMENT + 3, 1)


def test_an_execution_ends_again_though_another_workflow_that_had_its_id_is_forgotten() -> None:
    denied = [failed(DAY + 2, "x", workflow_id="wf2", http_status=401, event_id=f"e{number}") for number in range(3)]
    summary = _one_workflow_is_forgotten(*denied)
    assert (summary["events"], summary["decisions"]) == (SEGMENT + 6, {})
