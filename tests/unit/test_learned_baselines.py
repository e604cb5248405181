"""What is learned of a scenario's healthy runs, and how slowly it moves (spec 50.3)."""

from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.detectors.learned_baselines import DAY, WEEK, History, median

HOUR = DAY // 24


def _learned(*runs: tuple[float, float]) -> History:
    """A history of runs, each (days, credits)."""
    history = History()
    for days, credits_total in runs:
        history.learn(int(days * DAY), credits_total, None)
    return history


@pytest.mark.parametrize(
    ("runs", "at", "expected"),
    [
        pytest.param([(0, 100)] * 4, 1, None, id="four runs are too few"),
        pytest.param([(0, 100)] * 5, 1, "100", id="five are enough"),
        pytest.param([(0, 100), (0, 110), (0, 120), (0, 130), (0, 400), (0, 140)], 1, "125", id="the mean of two"),
        pytest.param([(0, 0.1), (0, 0.1), (0, 0.2), (0, 0.2), (0, 0.1), (0, 0.2)], 1, "0.15", id="exact decimals"),
        pytest.param([(0, 100)] * 5, 30, "100", id="thirty days old"),
        pytest.param([(0, 100)] * 5, 30.001, None, id="older than thirty days"),
        pytest.param([(0, 100)] * 16 + [(1, 7)] * 16, 2, "7", id="only the newest thirty count"),
        pytest.param([(1, 100)] * 5 + [(3, 7)] * 9, 2, "100", id="a late run is compared with those before it"),
        pytest.param([(3, 7), (1, 100), (2, 100), (1, 100), (1, 100), (1, 100)], 2.5, "100", id="in any order"),
    ],
)
def test_the_median_of_the_newest_healthy_runs(
    runs: list[tuple[float, float]], at: float, expected: str | None
) -> None:
    assert _learned(*runs).baseline(int(at * DAY)) == (None if expected is None else Decimal(expected))


def test_it_moves_a_fifth_a_week_at_most() -> None:
    history = _learned(*[(0, 100)] * 5)
    assert history.baseline(HOUR) == 100
    for _ in range(30):
        history.learn(2 * HOUR, 180, None)
    assert history.baseline(3 * HOUR) == 120
    assert history.baseline(WEEK) == 120
    # From here on a hundred was in force more than a week ago.
    assert history.baseline(WEEK + 10 * HOUR) == 144


def test_after_weeks_without_one_it_may_have_moved_for_each_of_them() -> None:
    history = _learned(*[(0, 100)] * 5)
    assert history.baseline(HOUR) == 100
    for _ in range(5):
        history.learn(40 * DAY, 1000, None)
    assert history.baseline(41 * DAY) == Decimal(100) * Decimal("1.2") ** 5


@given(st.lists(st.tuples(st.integers(0, 10 * DAY), st.floats(0.01, 1e6)), max_size=80))
def test_no_mix_of_runs_moves_it_more_than_a_fifth_a_week(steps: list[tuple[int, float]]) -> None:
    history, time = History(), 0
    said: list[tuple[int, Decimal]] = []
    for gap, credits_total in steps:
        time += gap
        baseline = history.baseline(time)
        if baseline is not None:
            said.append((time, baseline))
        history.learn(time, credits_total, None)
    for (begin, before), (end, after) in combinations(said, 2):
        weeks = max(1, -(-(end - begin) // WEEK))
        assert after <= before * Decimal("1.2") ** weeks * Decimal("1.000000001")
        assert after >= before * Decimal("0.8") ** weeks * Decimal("0.999999999")


@given(st.lists(st.floats(90, 110), min_size=5, max_size=40), st.integers(0, HOUR))
def test_while_costs_are_steady_it_is_the_median(credits_: list[float], gap: int) -> None:
    history = History()
    for number, credits_total in enumerate(credits_):
        baseline = history.baseline(number * gap)
        assert baseline is None or baseline == median(credits_[:number][-30:])
        history.learn(number * gap, credits_total, None)


def test_credits_per_item_are_those_of_runs_that_name_their_items() -> None:
    history = History()
    for credits_total, items in ((100, 10), (90, 10), (5, None), (300, 25), (7, 0)):
        history.learn(0, credits_total, items)
    assert history.credits_per_item(1) == 10
    assert history.credits_per_item(-1) is None


def test_a_count_beyond_all_doubles_is_learned_as_a_share_of_nothing() -> None:
    history = History()
    history.learn(0, 100, 10**400)
    assert history.credits_per_item(DAY) == 0


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, HOUR // 60, HOUR, 5 * HOUR, DAY, 8 * DAY, -HOUR]),
        st.one_of(st.sampled_from([0.0, 0.1, 0.3, 24.8, 25.0, 29.76, 5e-324, 1e16 + 2]), st.floats(0, 1e300)),
    ),
    max_size=70,
)


@given(steps, st.integers(0, 6))
def test_what_is_counted_changes_no_baseline_and_no_snapshot(steps: list[tuple[int, float]], every: int) -> None:
    kept, forgetful = History(), History()
    time = 40 * DAY
    for number, (gap, credits_total) in enumerate(steps):
        time += gap
        forgetful.settle()
        near, exactly = kept.pass_time(time), forgetful.baseline(time)
        if near is None or exactly is None:
            assert near is exactly
        else:
            assert near <= float(exactly) * (1 + 1e-9)
            assert near >= float(exactly) * 0.79
        if every and number % every == 0:
            assert kept.said() == exactly or exactly is None
        for one in (kept, forgetful):
            one.learn(time, credits_total, None)
    kept.settle()
    forgetful.settle()
    assert kept == forgetful
    assert kept == History(kept.times, kept.credits, kept.per_item, kept.stretches, kept.newest)
