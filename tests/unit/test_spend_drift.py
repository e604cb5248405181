"""Slow rises: found in time, and hardly ever where there is none. Seeds are fixed, so the rates below are exact."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.detectors.spend_drift import KEPT_DAYS, LEAST_DAYS, Drift
from dataflows.detectors.spend_rate_core import NUMBER

RUNS, NOISE, GROWTH = 100, 0.2, 1.08


def day(noise: random.Random, usual: float, runs: int = RUNS) -> float:
    """The sum of a day's runs, each with a fifth of noise."""
    return sum(max(0.0, noise.gauss(usual, NOISE * usual)) for _ in range(runs))


def alarms(days: list[float]) -> list[int]:
    """The days, counted from 1, on which a rise was told."""
    drift = Drift()
    return [at for at, total in enumerate(days, 1) if drift.learn(total) is not None]


def days(seed: int, steady: int, growing: int, growth: float = GROWTH) -> list[float]:
    noise = random.Random(seed)
    return [day(noise, 10.0) for _ in range(steady)] + [day(noise, 10.0 * growth ** (at / 7)) for at in range(growing)]


@pytest.mark.parametrize("steady", [0, 21, 60, 120], ids=["from the first day on", "known", "long known", "and longer"])
def test_eight_percent_a_week_are_found_by_week_three(steady: int) -> None:
    for seed in range(20):
        first = alarms(days(seed, steady, 21))[0]
        assert steady < first <= steady + 21


def test_a_steady_year_has_no_false_alarm() -> None:
    assert sum(len(alarms(days(seed, 365, 0))) for seed in range(20)) == 0


def test_a_year_with_quiet_weekends_and_uneven_days_has_at_most_one() -> None:
    """Twice the noise, and on weekends a third: ten years, counted together."""
    found = 0
    for seed in range(10):
        noise = random.Random(seed)
        found += len(alarms([day(noise, 10.0, 33 if at % 7 > 4 else 100) * noise.gauss(1.0, 0.1) for at in range(365)]))
    assert found <= 1


def test_a_rise_is_told_once_while_it_lasts() -> None:
    assert len(alarms(days(7, 60, 56))) == 1


def test_the_next_rise_is_told_when_the_first_has_become_usual() -> None:
    noise = random.Random(8)
    steps = [10.0] * 60 + [13.0] * 100 + [17.0] * 20
    assert len(alarms([day(noise, usual) for usual in steps])) == 2


def test_a_fall_is_not_told() -> None:
    assert alarms(days(9, 60, 60, growth=1 / GROWTH)) == []


@given(st.lists(st.floats(0, 1e9), max_size=120))
def test_any_days_are_taken_and_few_are_kept(totals: list[float]) -> None:
    drift = Drift()
    for at, total in enumerate(totals, 1):
        rise = drift.learn(total)
        assert rise is None or (at >= LEAST_DAYS and rise.lately >= rise.limit > rise.before > 0)
        assert len(drift.days) <= KEPT_DAYS * NUMBER.size


@given(st.lists(st.floats(0, 1e9), min_size=LEAST_DAYS, max_size=90))
def test_a_rise_is_told_on_the_first_day_on_which_it_matters(totals: list[float]) -> None:
    drift = Drift()
    for total in totals:
        was_told = drift.is_told
        rise, compared = drift.learn(total), drift.compared()
        if not was_told:
            matters = compared is not None and compared.lately >= compared.limit and compared.before > 0
            assert rise == (compared if matters else None)


@given(st.lists(st.integers(0, 1_000_000), min_size=LEAST_DAYS, max_size=90))
def test_the_unit_does_not_matter(totals: list[int]) -> None:
    assert alarms([total * 1024.0 for total in totals]) == alarms([float(total) for total in totals])
