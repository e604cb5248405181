"""Laws that hold for every detector, whatever the stream: cuts, batches, repeats, replays, bounds."""

import json
import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataflows.decisions import Decision
from dataflows.decode import decode
from dataflows.engine.host import Host, Item
from dataflows.engine.lane import Lane
from dataflows.engine.memory import SEGMENT, Memory, Room
from dataflows.engine.stream_logic import StreamReport, stream_logic
from dataflows.engine.watermarks import Watermark
from dataflows.events import Event
from dataflows.intake import Intake
from dataflows.times import from_micros, micros
from tests.dataflows.product import LATENESS, detectors, registry, replay
from tests.reference.streams import PROFILES, Stream, generate

#: Runs less than this apart are one stretch.
HOUR = timedelta(hours=1)

streams = st.builds(generate, st.integers(0, 10_000), st.sampled_from(sorted(set(PROFILES) - {"busy"})))
lawful = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


#: An event and its event time.
Timed = tuple[Event, int]


def _events(stream: Stream) -> list[Timed]:
    intake = Intake("stream", -1, registry(stream.registry))
    taken = intake.take([line.rstrip(b"\r\n") for line in stream.lines], lambda index: index)
    return list(zip(taken.events, taken.times, strict=True))


def _run(stream: Stream, batches: Iterable[Sequence[Timed]], *, restart: bool = False) -> list[Decision]:
    """The decisions over batches; with `restart` the state is encoded and decoded after each."""

    def new_lane() -> Lane:
        return Lane(detectors(stream.policies).of, Room(), Watermark(micros(LATENESS)), micros(HOUR))

    detector = detectors(stream.policies).of_stream(lanes=1)
    assert detector is not None
    switch = stream_logic(detector)(None)
    host = Host(new_lane, None)
    decisions: list[Decision] = []

    def take(items: Iterable[Item]) -> None:
        for item in items:
            if isinstance(item, StreamReport):
                decisions.extend(switch.on_batch([item])[0])
            elif isinstance(item, Decision):
                decisions.append(item)

    for batch in batches:
        take(host.process([event for event, _ in batch], [time for _, time in batch]))
        if restart:
            snapshot = host.snapshot(b"position")
            host = Host(new_lane, snapshot)
            assert (host.position, host.snapshot(b"position")) == (b"position", snapshot)
            switch = stream_logic(detector)(switch.snapshot())
    take(host.finish())
    return decisions


def _cut(events: Sequence[Timed], cuts: Iterable[int]) -> list[Sequence[Timed]]:
    places = [0, *sorted(cut % (len(events) + 1) for cut in cuts), len(events)]
    return [events[begin:end] for begin, end in pairwise(places)]


def _by_id(decisions: Iterable[Decision]) -> dict[str, Decision]:
    return {decision.decision_id: decision for decision in decisions}


@lawful
@given(streams, st.lists(st.integers(0, 10_000), max_size=5))
def test_cutting_the_stream_and_coding_the_state_changes_nothing(stream: Stream, cuts: list[int]) -> None:
    events = _events(stream)
    whole = _run(stream, [events])
    parts = _run(stream, _cut(events, cuts), restart=True)
    assert _by_id(parts) == _by_id(whole)


@lawful
@given(streams)
def test_one_event_at_a_time_decides_what_one_batch_decides(stream: Stream) -> None:
    events = _events(stream)
    assert _by_id(_run(stream, [[event] for event in events])) == _by_id(_run(stream, [events]))


@lawful
@given(streams)
def test_ids_never_repeat_and_a_replay_gives_the_same_ones(stream: Stream) -> None:
    first, second = replay(stream), replay(stream)
    assert first == second
    ids = [decision["decision_id"] for decision in first.decisions]
    assert len(ids) == len(set(ids))


@lawful
@given(streams, st.randoms(use_true_random=False))
def test_duplicates_change_nothing(stream: Stream, rng: random.Random) -> None:
    lines = list(stream.lines)
    for line in rng.sample(stream.lines, len(stream.lines) // 5):
        if _is_run_event(line):
            lines.insert(rng.randrange(lines.index(line) + 1, len(lines) + 1), line)
    assert replay(stream, lines=lines).decisions == replay(stream).decisions


@lawful
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_disorder_within_the_allowed_lateness_changes_no_stuck_decision(seed: int, rng: random.Random) -> None:
    stream = generate(seed, "in_order")
    events = _events(stream)
    # Delays of at most the lateness, in the order of (arrival time, old arrival): ties keep their order.
    delayed = sorted((time + rng.randrange(micros(LATENESS)), number) for number, (_, time) in enumerate(events))
    disordered = [events[number] for _, number in delayed]

    def stuck(decisions: list[Decision]) -> dict[str, tuple[object, ...]]:
        return {one.decision_id: (one.kind, one.occurred_at) for one in decisions if one.policy_id != "auth_failures"}

    if _times_are_distinct(events):
        assert stuck(_run(stream, [disordered])) == stuck(_run(stream, [events]))


@pytest.mark.parametrize("capacity", [SEGMENT, 4 * SEGMENT])
def test_memory_stays_within_its_room_and_forgets_the_oldest_first(capacity: int) -> None:
    room = Room(capacity)
    memory: Memory[int] = Memory(room)
    total = capacity + 3 * SEGMENT
    for number in range(total):
        assert memory.add(1, f"id-{number}", 1) is None
        if (number + 1) % 128 == 0:
            memory.pass_time(0)
    assert room.used <= capacity
    assert len(memory) <= capacity + SEGMENT
    assert memory.get(1, f"id-{total - 1}") == 1
    assert memory.get(1, f"id-{total - capacity}") == 1
    assert memory.get(1, "id-0") is None


def test_state_of_a_workflow_is_bounded_however_many_runs_it_has() -> None:
    stream = generate(0, "in_order")
    room = Room(SEGMENT)
    host = Host(lambda: Lane(detectors(None).of, room, Watermark(micros(LATENESS)), micros(HOUR)), None)
    sizes = []
    for hour in range(6):
        batch = [_event(hour, number) for number in range(2 * SEGMENT)]
        host.process([event for event, _ in batch], [time for _, time in batch])
        sizes.append(len(host.snapshot(b"")))
    assert stream.policies is not None
    assert max(sizes[2:]) <= 1.1 * sizes[1]


def _event(hour: int, number: int) -> Timed:
    start = 1_770_000_000_000_000 + hour * 3_600_000_000
    time = start + number * 100_000
    run = number // 2
    event = decode(
        json.dumps(
            {
                "event_id": f"e-{hour}-{number}",
                "status": "failure" if number % 2 else "started",
                "occurred_at": f"{_iso(time)}",
                "tenant_id": "t",
                "automation_version_id": "v",
                "workflow_id": "w",
                "execution_id": f"x-{hour}-{run}",
                "http_status": 401,
                "system_key": f"system-{number % 1000}",
            }
        ).encode()
    )
    return event, time


def _iso(time: int) -> str:
    return from_micros(time).isoformat()


def _is_run_event(line: bytes) -> bool:
    try:
        fields = json.loads(line)
    except ValueError:
        return False
    return isinstance(fields, dict) and isinstance(fields.get("event_id"), str) and "kind" not in fields


def _times_are_distinct(events: Sequence[Timed]) -> bool:
    times = [(event.workflow_id, time) for event, time in events]
    return len(times) == len(set(times))
