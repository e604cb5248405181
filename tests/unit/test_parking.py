"""Events that wait for the registry: none is lost, none overtakes, and their room is bounded."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.parking import Parked, Parking

PATIENCE = 30


def message(number: int, version: str | None = "v", workflow: str | None = None, arrived: int = 0) -> Parked:
    return Parked("run_events/0", number, b"x" * 10, version, "t", workflow, arrived)


@dataclass
class Lane:
    """What an owner does with a parking, with all that came of it."""

    parking: Parking
    known: set[str] = field(default_factory=set)
    judged: list[Parked] = field(default_factory=list)
    dead: list[Parked] = field(default_factory=list)
    came: list[Parked] = field(default_factory=list)
    now: int = 0

    def arrive(self, version: str | None, workflow: str | None) -> None:
        """One more message."""
        one = message(len(self.came), version, workflow, self.now)
        self.came.append(one)
        if (version is not None and version not in self.known) or self.parking.holds(version, "t", workflow):
            self.parking.park(one)
        else:
            self.judged.append(one)

    def ask(self) -> None:
        """The registry is asked for all, and answers."""
        freed = self.parking.free(self.known.__contains__, set(self.parking.versions()), self.now)
        self.judged += freed.ready
        self.dead += freed.expired

    def numbers(self) -> tuple[list[int], list[int]]:
        """Those judged and those given up, by their number of arrival."""
        return [one.offset for one in self.judged], [one.offset for one in self.dead]


def lane(max_count: int = 100) -> Lane:
    return Lane(Parking(PATIENCE, max_count=max_count))


def test_one_waits_for_its_version_and_others_go_on() -> None:
    given_lane = lane()
    given_lane.known.add("w")
    given_lane.arrive("v", "wf1")
    given_lane.arrive("w", "wf2")
    given_lane.ask()
    assert given_lane.numbers() == ([1], [])
    given_lane.known.add("v")
    given_lane.ask()
    assert given_lane.numbers() == ([1, 0], [])


@pytest.mark.parametrize("follower", ["v", "w", None])
def test_what_follows_in_its_workflow_waits_behind_it(follower: str | None) -> None:
    given_lane = lane()
    given_lane.known.add("w")
    given_lane.arrive("v", "wf1")
    given_lane.arrive(follower, "wf1")
    given_lane.ask()
    assert given_lane.numbers() == ([], [])
    given_lane.known.add("v")
    given_lane.ask()
    assert given_lane.numbers() == ([0, 1], [])


def test_when_its_time_is_up_those_behind_it_go_on() -> None:
    given_lane = lane()
    given_lane.known.add("w")
    given_lane.arrive("v", "wf1")
    given_lane.arrive("w", "wf1")
    given_lane.now = 1
    given_lane.arrive("v", "wf1")
    given_lane.now = PATIENCE
    given_lane.ask()
    assert given_lane.numbers() == ([1], [0])
    given_lane.now = PATIENCE + 1
    given_lane.ask()
    assert given_lane.numbers() == ([1], [0, 2])


def test_none_is_given_up_before_it_was_asked_for() -> None:
    given_lane = lane()
    given_lane.arrive("v", None)
    assert given_lane.parking.free(lambda _: False, (), 10 * PATIENCE) == ([], [])
    # Asked before its time was up, answered after.
    assert given_lane.parking.free(lambda _: False, {"v"}, PATIENCE - 1) == ([], [])
    assert len(given_lane.parking.free(lambda _: False, {"v"}, PATIENCE).expired) == 1


def test_another_tenants_workflow_is_not_held_up() -> None:
    parking = Parking(PATIENCE)
    parking.park(message(0, "v", "wf1"))
    assert parking.holds("w", "t", "wf1")
    assert not parking.holds("w", "another", "wf1")


def test_past_its_bounds_the_oldest_goes() -> None:
    parking = Parking(PATIENCE, max_count=3, max_bytes=25)
    for number in range(5):
        parking.park(message(number, f"v{number}"))
    assert parking.is_full
    assert [one.offset for one in parking.give_up()] == [0, 1, 2]
    assert (parking.count, parking.bytes, parking.is_full) == (2, 20, False)


def test_who_was_asked_for_is_not_among_those_that_were_not() -> None:
    parking = Parking(PATIENCE)
    parking.park(message(0, "v"))
    parking.free(lambda _: False, {"v"}, 0)
    parking.park(message(1, "w"))
    assert parking.versions() == ["v", "w"]
    assert parking.versions(unsought=True) == ["w"]


VERSIONS = ("v1", "v2", "v3")
STEPS = st.one_of(
    st.tuples(st.just("arrive"), st.sampled_from((*VERSIONS, None)), st.sampled_from((None, "wf1", "wf2"))),
    st.tuples(st.just("learn"), st.sampled_from(VERSIONS), st.none()),
    st.tuples(st.just("forget"), st.sampled_from(VERSIONS), st.none()),
    st.tuples(st.sampled_from(("ask", "wait", "make room", "restart")), st.none(), st.none()),
)


@given(st.lists(STEPS, max_size=60))
def test_nothing_is_lost_nothing_overtakes_and_the_bounds_hold(steps: list[tuple[str, str | None, str | None]]) -> None:
    one = lane(max_count=4)
    for what, version, workflow in steps:
        match what:
            case "arrive" if version is not None or workflow is not None:
                one.arrive(version, workflow)
            case "learn":
                one.known.add(version or "")
            case "forget":
                one.known.discard(version or "")
            case "ask":
                one.ask()
            case "wait":
                one.now += PATIENCE // 2
            case "make room":
                one.dead += one.parking.give_up()
                assert one.parking.count <= 4
            case "restart":
                kept, one.parking = one.parking.everything(), Parking(PATIENCE, max_count=4)
                for parked in kept:
                    held = one.parking.holds(parked.version, parked.tenant, parked.workflow)
                    if held or (parked.version is not None and parked.version not in one.known):
                        one.parking.park(parked)
                    else:
                        one.judged.append(parked)
    waiting = one.parking.everything()
    assert sorted(m.offset for m in one.judged + one.dead + waiting) == list(range(len(one.came)))
    assert one.parking.bytes == 10 * len(waiting)
    for share in ("version", "workflow"):
        lines: dict[str, list[int]] = {}
        for judged in one.judged + waiting:
            if (name := getattr(judged, share)) is not None:
                lines.setdefault(name, []).append(judged.offset)
        assert all(line == sorted(line) for line in lines.values())
    # With every version known, nobody waits.
    one.known |= set(VERSIONS)
    one.ask()
    assert one.parking.count == 0
