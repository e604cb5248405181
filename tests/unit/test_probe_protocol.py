"""The protocol of half-open breakers: every order of events, crashes among them, up to a depth (40.2)."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from lifecycle.breaker.probe_protocol import MAX_COOL_DOWN, HalfOpen, Lease, expire, fail, lease, succeed

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
#: So short that every phase is met within a few steps of the clock; an execution may run for two of them.
BEGIN = HalfOpen(cool_down=MINUTE, lease_for=3 * MINUTE, opens_at=T0 + MINUTE)
RUNS = ("x", "y", "z")
RUN_TIMEOUT = 2 * MINUTE


def at(minutes: float) -> datetime:
    """A moment."""
    return T0 + minutes * MINUTE


PROBING = replace(BEGIN, lease=Lease("x", at(5)))


@pytest.mark.parametrize(
    ("state", "run", "now", "granted"),
    [
        pytest.param(BEGIN, "x", at(0.9), False, id="before the cool-down ends nobody runs"),
        pytest.param(BEGIN, "x", at(1), True, id="at its end one does"),
        pytest.param(PROBING, "y", at(3), False, id="while a probe runs no other does"),
        pytest.param(PROBING, "x", at(3), True, id="who has the lease has it when asking again"),
        pytest.param(PROBING, "y", at(5), False, id="the end of a lease is a failure and begins a cool-down"),
        pytest.param(PROBING, "x", at(5), False, id="for the one that had it too"),
        pytest.param(PROBING, "y", at(7), True, id="after that, which is twice as long, the next one runs"),
        pytest.param(replace(BEGIN, released=True), "x", at(9), False, id="a released workflow needs no probe"),
    ],
)
def test_who_gets_the_lease(state: HalfOpen, run: str, now: datetime, *, granted: bool) -> None:
    assert (lease(state, run, now) is not None) is granted


@pytest.mark.parametrize(
    ("run", "now", "released"),
    [
        pytest.param("x", at(4), True, id="the probe's success releases"),
        pytest.param("y", at(4), False, id="another run's success does not"),
        pytest.param("x", at(5), False, id="a success at the lease's end is too late"),
    ],
)
def test_what_releases(run: str, now: datetime, *, released: bool) -> None:
    assert succeed(PROBING, run, now).released is released


def test_failures_double_the_cool_down_up_to_a_day() -> None:
    state, now, waited = replace(BEGIN, cool_down=timedelta(minutes=30)), at(1), []
    for _ in range(8):
        leased = lease(state, "x", max(now, state.opens_at))
        assert leased is not None
        now = max(now, state.opens_at)
        state = fail(leased, "x", now)
        waited.append(state.opens_at - now)
    hours = [1, 2, 4, 8, 16, 24, 24, 24]
    assert waited == [timedelta(hours=hour) for hour in hours]
    assert max(waited) == MAX_COOL_DOWN


def test_no_order_of_events_runs_two_probes_at_once_or_releases_without_a_success() -> None:
    found = search(BEGIN)
    assert found.most_running == 1
    assert found.releases > 100
    assert found.states > 10_000


def test_the_search_sees_two_at_once_where_a_lease_is_shorter_than_a_run() -> None:
    assert search(replace(BEGIN, lease_for=MINUTE / 2, cool_down=MINUTE / 4)).most_running == 2


@dataclass(frozen=True, slots=True)
class Found:
    """What a search met."""

    most_running: int
    releases: int
    states: int


def search(begin: HalfOpen) -> Found:
    """Breadth first over all states within 11 minutes, three executions that ask, run, end, crash and repeat words.

    A run really ends by itself, by crashing (nobody hears of it), or at its time-out. What it says may arrive any
    time later, twice, or never; askers that crash before their commit leave the state as it was, which is no event.
    """
    # clock, protocol, when each run really began (-1 never, -2 over), words that wait to arrive
    start = (0, begin, (-1,) * len(RUNS), frozenset[tuple[str, str]]())
    seen, waiting, released, most = {start}, deque([start]), 0, 0
    while waiting:
        minute, state, began, words = waiting.popleft()
        now = at(minute)
        running = [n for n, since in enumerate(began) if since >= 0]
        most = max(most, len(running))
        following = []
        if minute < 11:
            over = tuple(-2 if since >= 0 and minute + 1 - since >= RUN_TIMEOUT // MINUTE else since for since in began)
            following.append((minute + 1, state, over, words))
        for n, run in enumerate(RUNS):
            leased = lease(state, run, now)
            if leased is not None:
                # It starts with the answer; a second answer to the same run starts nothing.
                moved = (*began[:n], minute, *began[n + 1 :]) if began[n] == -1 else began
                following.append((minute, leased, moved, words))
            else:
                following.append((minute, expire(state, now), began, words))
            if began[n] >= 0:
                over = (*began[:n], -2, *began[n + 1 :])
                following.append((minute, state, over, words))  # crashed
                following += [(minute, state, over, words | {(run, word)}) for word in ("success", "failure")]
        for run, word in words:
            after = (succeed if word == "success" else fail)(state, run, now)
            if after.released and not state.released:
                assert word == "success"
                assert state.lease is not None
                assert state.lease.execution_id == run
                released += 1
            following.append((minute, after, began, words))  # and it may come again
        for one in following:
            if one not in seen:
                seen.add(one)
                waiting.append(one)
    return Found(most, released, len(seen))
