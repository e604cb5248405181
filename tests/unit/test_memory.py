"""What is remembered of ids, for how long, and in how much room (10, Duplicates)."""

import msgspec
import pytest

from config.policies import parse_policies
from dataflows.decisions import Decision
from dataflows.decode import decode
from dataflows.engine.detector_sets import DetectorFactory
from dataflows.engine.host import Host, Item
from dataflows.engine.lane import Lane
from dataflows.engine.memory import HORIZON, SEGMENT, EndedExecution, Key, Memory, Room, Row
from dataflows.engine.watermarks import Watermark
from dataflows.times import micros, to_micros
from tests.given import (
    CLASSIFIER,
    DAY,
    HOUR,
    LATENESS,
    TENANT,
    WORKFLOW,
    encode,
    ended,
    replay,
    started,
    tick,
)

Value = EndedExecution


def value(number: int, text: int = 0) -> Value:
    """Something remembered of an id of workflow `number`."""
    return EndedExecution(number, text, 0, 0)


def memory(capacity: int = 100 * SEGMENT) -> Memory[Value]:
    return Memory(Room(capacity))


def fill(into: Memory[Value], prefix: str, count: int = SEGMENT) -> None:
    for number in range(count):
        into.add(1, f"{prefix}{number}", value(1))


def restored(from_: Memory[Value], room: Room | None = None) -> Memory[Value]:
    """What comes out of a snapshot."""
    out: Memory[Value] = Memory(room or Room())
    out.restore(stored(from_))
    return out


def stored(from_: Memory[Value]) -> list[Row[Value]]:
    """Everything, as a snapshot has it."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(from_.everything()), type=list[Row[Value]])


def told(rows: list[Row[Value]]) -> list[Key]:
    """The keys of some news."""
    return [key for row in rows for key in row.keys]


def test_an_id_is_new_once() -> None:
    ids, first = memory(), value(1, 1)
    assert ids.add(1, "a", first) is None
    assert ids.add(1, "a", value(1, 2)) is first
    assert ids.get(1, "a") is first
    assert ids.get(1, "b") is None
    assert len(ids) == 1


def test_the_same_id_of_several_workflows() -> None:
    ids = memory()
    entries = [value(number, 10 * number) for number in (1, 2, 3)]
    assert [ids.add(number, "a", value(number, 10 * number)) for number in (1, 2, 3)] == [None, None, None]
    assert [ids.add(number, "a", value(number)) for number in (1, 2, 3)] == entries
    assert [ids.get(number, "a") for number in (1, 2, 3, 4)] == [*entries, None]
    assert [restored(ids).get(number, "a") for number in (1, 2, 3, 4)] == [*entries, None]


@pytest.mark.parametrize("number", [1, 2], ids=["of the workflow that had it first", "of another one"])
def test_a_value_may_be_replaced_until_it_is_forgotten(number: int) -> None:
    ids = memory()
    ids.add(1, "a", value(1))
    ids.add(2, "a", value(2))
    fill(ids, "x")
    before = restored(ids)
    ids.replace(number, "a", value(number, 7))
    assert before.get(number, "a") == value(number)
    before.learn(ids.news())
    for one in (before, restored(ids)):
        assert one.get(number, "a") == value(number, 7)
        assert one.get(3 - number, "a") == value(3 - number)


def test_news_are_what_came_since_the_last() -> None:
    ids = memory()
    copy = restored(ids)
    for prefix, count in (("a", 3), ("b", SEGMENT + 5), ("c", 0), ("d", 2 * SEGMENT)):
        fill(ids, prefix, count)
        ids.pass_time(0)
        news = ids.news()
        assert len(told(news)) == count
        copy.learn(news)
    assert copy.index == ids.index
    assert told(ids.news()) == []


def test_news_do_not_tell_what_is_forgotten_again() -> None:
    ids = memory(capacity=SEGMENT)
    ids.everything()
    for prefix in "abc":
        fill(ids, prefix)
        ids.pass_time(0)
    assert set(told(ids.news())) == set(ids.index)


@pytest.mark.parametrize(
    ("passed", "then"),
    [
        pytest.param(HORIZON, True, id="exactly the horizon: remembered"),
        pytest.param(HORIZON + 1, False, id="a microsecond more: forgotten"),
        pytest.param(-1, True, id="time that goes back changes nothing"),
    ],
)
@pytest.mark.parametrize("stored", [False, True], ids=["kept", "restored"])
def test_a_full_segment_is_forgotten_past_the_horizon(passed: int, *, then: bool, stored: bool) -> None:
    ids = memory()
    fill(ids, "x")
    ids.pass_time(1000)
    if stored:
        ids = restored(ids)
    ids.pass_time(1000 + passed)
    assert (ids.get(1, "x0") is not None) is then
    assert len(ids) == (SEGMENT if then else 0)


def test_a_segment_is_as_old_as_the_newest_in_it() -> None:
    ids = memory()
    ids.add(1, "early", value(1))
    ids.pass_time(0)
    fill(ids, "x")
    ids.pass_time(HORIZON)
    ids.pass_time(2 * HORIZON)
    assert ids.get(1, "early") is not None
    ids.pass_time(2 * HORIZON + 1)
    assert ids.get(1, "early") is None


def test_what_is_being_filled_is_never_forgotten() -> None:
    ids = memory()
    fill(ids, "x", SEGMENT - 1)
    ids.pass_time(0)
    ids.pass_time(100 * HORIZON)
    assert len(ids) == SEGMENT - 1


def test_a_new_id_is_taken_in_when_the_room_is_used_up_and_the_oldest_go() -> None:
    ids = memory(capacity=2 * SEGMENT)
    for prefix in "abcd":
        fill(ids, prefix)
        ids.pass_time(0)
    ids.add(1, "new", value(1))
    assert len(ids) == 2 * SEGMENT + 1
    assert [ids.get(1, f"{prefix}0") is not None for prefix in "abcd"] == [False, False, True, True]
    assert ids.get(1, "new") is not None


def test_memories_share_their_room() -> None:
    room = Room(4 * SEGMENT)
    busy: Memory[Value] = Memory(room)
    quiet: Memory[Value] = Memory(room)
    fill(quiet, "q")
    quiet.pass_time(0)
    for prefix in "abcdef":
        fill(busy, prefix)
        busy.pass_time(0)
    assert room.used == 4 * SEGMENT
    assert [busy.get(1, f"{prefix}0") is not None for prefix in "abcdef"] == [False] * 3 + [True] * 3
    assert quiet.get(1, "q0") is not None


def test_a_restored_memory_takes_its_room() -> None:
    ids = memory()
    for prefix, count in (("a", SEGMENT), ("b", SEGMENT), ("c", 7)):
        fill(ids, prefix, count)
        ids.pass_time(0)
    room = Room()
    again = restored(ids, room)
    assert room.used == 2 * SEGMENT
    assert len(again) == 2 * SEGMENT + 7
    assert again.everything() == ids.everything()


def test_forgotten_collisions_cost_nothing_any_more() -> None:
    ids = memory()
    ids.add(1, "a", value(1))
    fill(ids, "x", SEGMENT - 2)
    ids.add(2, "a", value(2))
    ids.pass_time(0)
    ids.pass_time(HORIZON + 1)
    assert (ids.get(1, "a"), ids.get(2, "a"), len(ids)) == (None, None, 0)
    assert ids.add(2, "a", value(2, 5)) is None
    assert ids.get(2, "a") == value(2, 5)


# ---- duplicates, as a stream sees them


def test_a_duplicate_is_known_within_a_day_of_event_time() -> None:
    first, again = ended(0, "x", event_id="e"), ended(DAY, "y", event_id="e")
    between = [ended(HOUR, f"x{number}", event_id=f"e{number}") for number in range(2 * SEGMENT)]
    outcome = replay([b"".join(map(encode, [first, *between, again]))])
    assert outcome.summary["duplicates"] == 1
    assert outcome.summary["events"] == 1 + 2 * SEGMENT


@pytest.mark.parametrize(
    ("ids", "duplicates"),
    [
        pytest.param({}, 1, id="of one workflow"),
        pytest.param({"automation_version_id": "v2"}, 1, id="whatever its version"),
        pytest.param({"status": "failure", "execution_id": "y"}, 1, id="whatever it says"),
        pytest.param({"error_code": "WorkflowOnHold"}, 1, id="whoever says it"),
        pytest.param({"workflow_id": "wf2"}, 0, id="of another workflow"),
        pytest.param({"tenant_id": "t2"}, 0, id="of another tenant"),
        pytest.param({"event_id": "E"}, 0, id="ids have one spelling"),
    ],
)
def test_a_duplicate_is_the_same_id_of_the_same_workflow(ids: dict[str, str], duplicates: int) -> None:
    lines = [ended(0, "x", event_id="e"), {**ended(1, "x", event_id="e"), **ids}]
    summary = replay([b"".join(map(encode, lines))]).summary
    assert (summary["events"], summary["duplicates"]) == (2 - duplicates, duplicates)


# ---- ends of executions, as a stream sees them


@pytest.mark.parametrize("restart", [False, True], ids=["in one go", "with a restart"])
def test_an_end_is_remembered_as_long_as_a_timeout_of_days_asks_for(*, restart: bool) -> None:
    """One workflow's executions may be silent for two days; it has enough of them to fill segments."""
    others = [ended(HOUR, f"x{number}", event_id=f"e{number}") for number in range(2 * SEGMENT)]
    before = [ended(0, "a"), *others, tick(1.5 * DAY), tick(1.6 * DAY)]
    after = [started(1.9 * DAY, "a"), tick(4 * DAY), tick(6 * DAY)]
    stuck = {"workflows": {f"{TENANT}/{WORKFLOW}": {"stuck_executions": {"run_timeout": "48h"}}}}
    rules = parse_policies({"defaults": {"silence": {"whole_stream": None}}, **stuck}, allowed_lateness=LATENESS)
    factory = DetectorFactory(rules, CLASSIFIER, micros(LATENESS))

    def new_lane() -> Lane:
        return Lane(factory.of, Room(), Watermark(micros(LATENESS)), factory.resolution)

    host = Host(new_lane, None)
    decided: list[Item] = []
    for lines in (before, after):
        for event in [decode(encode(line)) for line in lines]:
            decided += host.process([event], [to_micros(event.occurred_at)])
        if restart:
            host = Host(new_lane, host.snapshot(b""))
    assert [item for item in decided if isinstance(item, Decision)] == []
    assert sum(len(row.keys) for row in host.lane.everything().ended_patient) < SEGMENT, "and no longer"
