"""Laws that hold for every detector, whatever the stream: cuts, batches, repeats, replays, bounds."""

import json
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataflows.decisions import Decision
from dataflows.decode import decode
from dataflows.engine.key_groups import KeyGroup, Owner, Stamped
from dataflows.engine.memory import SEGMENT, Memory, Room
from dataflows.engine.watermarks import Watermark
from dataflows.intake import Intake
from dataflows.times import from_micros, micros
from tests.dataflows.product import LATENESS, detectors, registry, replay
from tests.reference.streams import PROFILES, Stream, generate

streams = st.builds(generate, st.integers(0, 10_000), st.sampled_from(sorted(set(PROFILES) - {"busy"})))
lawful = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def _stamped(stream: Stream) -> tuple[list[Stamped], Watermark]:
    watermark = Watermark(micros(LATENESS))
    intake = Intake("stream", -1, registry(stream.registry), watermark)
    taken = intake.take([line.rstrip(b"\r\n") for line in stream.lines], lambda index: index)
    return taken.events, watermark


def _run(stream: Stream, batches: Iterable[Sequence[Stamped]], end: int, *, restart: bool = False) -> list[Decision]:
    """The decisions over batches; with `restart` the state is encoded and decoded after each."""
    build = detectors(stream.policies).of
    group = KeyGroup(build, Room())
    decisions = []
    for batch in batches:
        if batch:
            decisions += [one.decision for one in group.process("p", batch, batch[-1][2])]
        if restart:
            snapshot = group.snapshot()
            group = KeyGroup(build, Room())
            group.restore(snapshot)
            assert group.snapshot() == snapshot
    return decisions + [one.decision for one in group.process("p", (), end)]


def _cut(events: Sequence[Stamped], cuts: Iterable[int]) -> list[Sequence[Stamped]]:
    places = [0, *sorted(cut % (len(events) + 1) for cut in cuts), len(events)]
    return [events[begin:end] for begin, end in pairwise(places)]


def _by_id(decisions: Iterable[Decision]) -> dict[str, Decision]:
    return {decision.decision_id: decision for decision in decisions}


@lawful
@given(streams, st.lists(st.integers(0, 10_000), max_size=5))
def test_cutting_the_stream_and_coding_the_state_changes_nothing(stream: Stream, cuts: list[int]) -> None:
    events, watermark = _stamped(stream)
    watermark.finish()
    whole = _run(stream, [events], watermark.value)
    parts = _run(stream, _cut(events, cuts), watermark.value, restart=True)
    assert _by_id(parts) == _by_id(whole)


@lawful
@given(streams)
def test_one_event_at_a_time_decides_what_one_batch_decides(stream: Stream) -> None:
    events, watermark = _stamped(stream)
    watermark.finish()
    assert _by_id(_run(stream, [[event] for event in events], watermark.value)) == _by_id(
        _run(stream, [events], watermark.value)
    )


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
    events, watermark = _stamped(stream)
    watermark.finish()
    # Delays of at most the lateness, in the order of (arrival time, old arrival): ties keep their order.
    delayed = sorted((event[1] + rng.randrange(micros(LATENESS)), event[0], event) for event in events)
    running = Watermark(micros(LATENESS))
    disordered: list[Stamped] = []
    for arrival, (_, _, (_, time, _, event)) in enumerate(delayed):
        disordered.append((arrival, time, running.see(time), event))

    def stuck(decisions: list[Decision]) -> dict[str, tuple[object, ...]]:
        return {one.decision_id: (one.kind, one.occurred_at) for one in decisions if one.policy_id != "auth_failures"}

    if _times_are_distinct(events):
        assert stuck(_run(stream, [disordered], watermark.value)) == stuck(_run(stream, [events], watermark.value))


@pytest.mark.parametrize("capacity", [SEGMENT, 4 * SEGMENT])
def test_memory_stays_within_its_room_and_forgets_the_oldest_first(capacity: int) -> None:
    room = Room(capacity)
    memory: Memory[Owner] = Memory(room, Owner)
    owner = Owner(1)
    total = capacity + 3 * SEGMENT
    for number in range(total):
        assert memory.add(f"id-{number}", owner) is None
    assert room.used <= capacity
    assert len(memory) <= capacity + SEGMENT
    assert memory.get(1, f"id-{total - 1}") is owner
    assert memory.get(1, f"id-{total - capacity}") is owner
    assert memory.get(1, "id-0") is None


def test_state_of_a_workflow_is_bounded_however_many_runs_it_has() -> None:
    stream = generate(0, "in_order")
    group = KeyGroup(detectors(None).of, Room(SEGMENT))
    sizes = []
    for hour in range(6):
        batch = [_event(hour, number) for number in range(2 * SEGMENT)]
        group.process("p", batch, batch[-1][2])
        sizes.append(len(group.snapshot()))
    assert stream.policies is not None
    assert max(sizes[2:]) <= 1.1 * sizes[1]


def _event(hour: int, number: int) -> Stamped:
    start = 1_770_000_000_000_000 + hour * 3_600_000_000
    time = start + number * 400_000
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
    return (hour * 1_000_000 + number, time, time - micros(LATENESS), event)


def _iso(time: int) -> str:
    return from_micros(time).isoformat()


def _is_run_event(line: bytes) -> bool:
    try:
        fields = json.loads(line)
    except ValueError:
        return False
    return isinstance(fields, dict) and isinstance(fields.get("event_id"), str) and "kind" not in fields


def _times_are_distinct(events: Sequence[Stamped]) -> bool:
    times = [(event[3].workflow_id, event[1]) for event in events]
    return len(times) == len(set(times))
