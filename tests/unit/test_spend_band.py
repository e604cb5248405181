"""What is shown as expected is what the detector expected."""

from datetime import timedelta

from dataflows.decisions import ReasonCode
from dataflows.spend_band import Bands, expected_of
from tests.unit.test_spend_rate import DAY, HOUR, T0, Runs, by_time, decided, steady


def bands(runs: Runs, days: int) -> Bands:
    """Of the sums of each hour."""
    hours = [[0.0, 0, 0.0] for _ in range(24 * days)]
    for since, _, credits_ in runs:
        hours[since // HOUR][0] += credits_
        hours[since // HOUR][1] += 1
        hours[since // HOUR][2] = max(hours[since // HOUR][2], credits_)
    return expected_of(T0, [(total, int(count), dearest) for total, count, dearest in hours])


def test_a_burst_was_expected_as_its_decision_says() -> None:
    at = DAY * 20 + HOUR * 9
    runs = by_time(steady(21, seed=1), [(at + timedelta(minutes=n / 4), "wf1", 10.0) for n in range(200)])
    [decision] = decided(runs, DAY * 21)
    expected = bands(runs, 21).hours[at // HOUR]
    assert expected is not None
    assert (expected.usual, expected.limit) == (decision.threshold["expected"], decision.threshold["limit"])


def test_a_drift_was_expected_as_its_decision_says() -> None:
    runs = by_time(steady(42, seed=1), steady(28, seed=101, first=42, growth=1.08))
    [decision] = [one for one in decided(runs, DAY * 70) if one.reason_code is ReasonCode.SPEND_DRIFT]
    day = (decision.occurred_at - T0) // DAY - 1
    rise = bands(runs, 70).days[day]
    assert rise is not None
    assert rise.before == decision.threshold["expected"]
    assert (rise.lately, rise.limit) == (decision.observed["credits_a_day"], decision.threshold["limit"])


def test_nothing_is_expected_of_the_first_week_nor_of_the_first_three_weeks_of_days() -> None:
    found = bands(list(steady(30, seed=1)), 30)
    assert next(number for number, one in enumerate(found.hours) if one is not None) == 24 * 7 + 24
    assert next(number for number, one in enumerate(found.days) if one is not None) == 20
