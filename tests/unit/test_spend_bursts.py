"""Hours that spend too much, from sums to episodes: the next one is seen too, and what lasts or recurs is not odd."""

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from dataflows.detectors.spend_series import Series, ends_day
from dataflows.times import EPOCH

T0 = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = 24
#: The hour of the first burst.
AT = 30 * DAY + 9

Times = Mapping[int, float]


def told(times: Times, days: int, *, noise: float = 0.2, dear: int | None = None) -> list[int]:
    """The hours with which episodes began, from the first burst on.

    Each hour has ten runs of ten credits with some noise, and so many times as much where `times` says it; in hour
    `dear` one run costs a hundred times the hour.
    """
    chance = random.Random(1)
    first = (T0 - EPOCH) // HOUR
    series = Series(first)
    found = []
    for since in range(days * DAY):
        runs = [max(0.0, chance.gauss(10.0, noise * 10.0)) for _ in range(10)]
        if since == dear:
            runs.append(10_000.0)
        much = times.get(since, 1.0)
        total = 100.0 * much if much > 1.0 else sum(runs)
        hour = first + since
        burst = series.judge(hour, EPOCH + HOUR * hour, total, round(len(runs) * much), max(runs))
        if burst is not None and burst.is_first:
            found.append(since - AT)
        if ends_day(hour):
            series.end_day(hour)
    return found


def lasting(begin: int, end: int, much: float) -> dict[int, float]:
    return dict.fromkeys(range(begin, end), much)


@pytest.mark.parametrize(
    ("times", "begins"),
    [
        pytest.param({0: 100, 168: 40}, [0, 168], id="forty times as much, a week after a hundred times"),
        pytest.param({0: 100, 168: 5}, [0, 168], id="five times, a week after a hundred times"),
        pytest.param({0: 100, 77: 10}, [0, 77], id="ten times at another hour, three days after a hundred times"),
        pytest.param({0: 100, 25: 40}, [0, 25], id="forty times, as soon as the episode of a hundred times is over"),
        pytest.param({0: 100, 24: 40}, [0], id="forty times, while the episode of a hundred times goes on"),
        pytest.param(lasting(0, 6, 100) | {168: 40}, [0, 168], id="forty times, a week after six hours of a hundred"),
        pytest.param(
            lasting(-9 - 2, -9 + 2, 100) | {100: 60, 268: 40},
            [-11, 100, 268],
            id="forty times, a week after sixty, after a hundred before and after midnight",
        ),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.2], ids=["hours alike", "uneven hours"])
def test_a_burst_does_not_hide_the_next_one(times: Times, begins: list[int], noise: float) -> None:
    assert told({AT + since: much for since, much in times.items()}, 45, noise=noise) == begins


def test_what_was_odd_for_two_days_is_forgotten_after_nine_weeks() -> None:
    """Else it would be learned for ever, and hide what comes after it."""
    weeks = 10 * 168
    times = lasting(AT, AT + 30, 100.0) | {AT + weeks: 60.0, AT + weeks + 168: 40.0}
    assert told(times, 120) == [0, weeks, weeks + 168]


def test_a_dear_run_does_not_hide_a_burst() -> None:
    assert told({AT + 168: 40.0}, 45, dear=AT) == [168]


def test_what_comes_back_is_told_three_times() -> None:
    """What odd hours of two days reached is learned with the third."""
    assert told({AT + week * 168: 20.0 for week in range(8)}, 90) == [0, 168, 336]


def test_what_comes_back_is_told_again_when_it_is_more() -> None:
    weekly = {AT + week * 168: 20.0 for week in range(5)}
    assert told(weekly | {AT + 5 * 168: 25.0}, 90) == [0, 168, 336, 840]


def test_a_lasting_rise_is_told_once_and_then_usual() -> None:
    assert told(lasting(AT, 90 * DAY, 10.0), 90) == [0]
    burst = {AT + 40 * DAY: 100.0}
    assert told(lasting(AT, 90 * DAY, 10.0) | burst, 90) == [0, 40 * DAY]


@pytest.mark.parametrize(
    ("days", "begins"),
    [
        pytest.param(1, [0, 40 * DAY], id="a day of it is an episode: the next one is told"),
        pytest.param(7, [0, 40 * DAY], id="so is a week"),
        pytest.param(14, [0], id="what went on for a fortnight occurs"),
    ],
)
def test_what_lasted_is_not_told_when_it_comes_back(days: int, begins: list[int]) -> None:
    assert told(lasting(AT, AT + days * DAY, 10.0) | lasting(AT + 40 * DAY, 90 * DAY, 10.0), 90) == begins


def poisson(chance: random.Random, mean: float) -> int:
    """A count by chance; by Knuth, as many uniform factors as keep the product above exp(-mean)."""
    count, product = 0, chance.random()
    while product > math.exp(-mean):
        count, product = count + 1, product * chance.random()
    return count


def false_alarms(in_office: float, at_other_hours: float, years: int, *, by_chance: bool, seed: int) -> int:
    """Of so many runs an hour, each of ten credits with a fifth of noise; offices are open from eight to six."""
    chance = random.Random(seed)
    first = (T0 - EPOCH) // HOUR
    series, due, found = Series(first), 0.0, 0
    for hour in range(first, first + years * 365 * DAY):
        at = EPOCH + HOUR * hour
        usual = in_office if 8 <= at.hour < 18 and at.weekday() < 5 else at_other_hours
        due += poisson(chance, usual) if by_chance else usual
        runs = [max(0.0, chance.gauss(10.0, 2.0)) for _ in range(int(due))]
        due -= len(runs)
        burst = series.judge(hour, at, sum(runs), len(runs), max(runs, default=0.0))
        found += burst is not None and burst.is_first
        found += ends_day(hour) and series.end_day(hour) is not None
    return found


@pytest.mark.parametrize(
    ("in_office", "at_other_hours", "by_chance"),
    [
        pytest.param(100 / DAY, 100 / DAY, False, id="at fixed times"),
        pytest.param(100 / DAY, 100 / DAY, True, id="by chance"),
        pytest.param(12.0, 1.0, True, id="by chance, mostly in office hours"),
        pytest.param(5 / DAY, 5 / DAY, False, id="five a day"),
    ],
)
def test_steady_years_have_less_than_one_false_alarm_each(
    in_office: float, at_other_hours: float, by_chance: bool
) -> None:
    assert false_alarms(in_office, at_other_hours, 3, by_chance=by_chance, seed=1) < 3
