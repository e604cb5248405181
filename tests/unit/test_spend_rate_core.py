"""Laws and examples of the series detector; `benchmarks/nab.py` says how well it does on recorded data."""

import math
import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataflows.detectors.spend_rate_core import ALARM, WARM_UP, SpendRate

T0 = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400)


def scores(series: list[float], step: timedelta = HOUR) -> list[float]:
    detector = SpendRate()
    return [detector.score(T0 + step * at, value) for at, value in enumerate(series)]


def alarms(series: list[float], step: timedelta = HOUR) -> list[int]:
    return [at for at, score in enumerate(scores(series, step)) if score >= ALARM]


def daily(points: int, seed: int) -> list[float]:
    """Hours of a service that is busy at noon, with a tenth of noise."""
    noise = random.Random(seed)
    return [100.0 + 80.0 * math.sin((at % 24 - 6) / 24 * 2 * math.pi) + noise.uniform(-10, 10) for at in range(points)]


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.floats(allow_nan=False, allow_infinity=False)), max_size=400))
@example([0.0, 5e-324, -1.7e308, 1.7e308])
@example([0.0] * 150 + [5e-324, 1e308, -5e-324, -1e308])
def test_scores_are_in_the_unit_interval(series: list[float]) -> None:
    assert all(0.0 <= score < 1.0 for score in scores(series))


@given(values, values)
def test_a_score_knows_nothing_of_what_follows(series: list[float], more: list[float]) -> None:
    assert scores(series + more)[: len(series)] == scores(series)


@given(values, st.integers(0, 400))
def test_a_restart_changes_nothing(series: list[float], cut: int) -> None:
    detector = SpendRate()
    found = []
    for at, value in enumerate(series):
        if at == cut:
            detector = msgspec.msgpack.decode(msgspec.msgpack.encode(detector), type=SpendRate)
        found.append(detector.score(T0 + HOUR * at, value))
    assert found == scores(series)


@given(st.lists(st.integers(-1_000_000, 1_000_000), min_size=1, max_size=400), st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_unit_does_not_matter(series: list[int], unit: float) -> None:
    # Powers of two, so that nothing is rounded otherwise.
    assert scores([value * unit for value in series]) == scores([float(value) for value in series])


@given(st.floats(-1e6, 1e6), st.integers(1, 400))
def test_a_constant_is_never_odd(value: float, points: int) -> None:
    assert scores([value] * points) == pytest.approx([0.0] * points)


@pytest.mark.parametrize("points", [1_000, 20_000], ids=["a thousand points", "twenty thousand points"])
def test_memory_does_not_grow(points: int) -> None:
    detector = SpendRate()
    for at, value in enumerate(daily(points, seed=1)):
        detector.score(T0 + HOUR * at, value)
    assert len(msgspec.msgpack.encode(detector)) < 2_200


@pytest.mark.parametrize(
    ("at", "value", "odd"),
    [
        pytest.param(500, 400.0, True, id="a spike"),
        pytest.param(500, -200.0, True, id="a fall"),
        pytest.param(24 * 40 + 12, 40.0, True, id="the night's depth at noon"),
        pytest.param(WARM_UP - 1, 4000.0, False, id="nothing is said while it is learning"),
        pytest.param(WARM_UP, 4000.0, True, id="and at once afterwards"),
        pytest.param(24 * 40 + 3, 175.0, True, id="the day's height in the middle of the night"),
        pytest.param(24 * 40 + 12, 175.0, False, id="the same at noon"),
    ],
)
def test_one_point_is_told_from_the_usual(at: int, value: float, odd: bool) -> None:
    series = daily(at + 1, seed=3)
    series[at] = value
    assert (at in alarms(series)) is odd


def test_a_spike_that_was_told_is_told_once() -> None:
    series = daily(500, seed=3) + [400.0] * 20
    assert [at for at in alarms(series) if at >= 500] == [500]


def test_a_spike_is_told_though_a_far_greater_one_was_seen_a_year_before() -> None:
    series = daily(9_500, seed=3)
    series[500], series[9_000] = 1_000_000.0, 5_000.0
    assert {500, 9_000} <= set(alarms(series))


def test_a_sudden_step_within_all_that_was_seen_is_told() -> None:
    """A tide of three weeks, which no hour of the week explains, and within its range a step of a quarter of it."""
    noise = random.Random(7)
    tide = [200.0 + 100.0 * math.sin(at / 500 * 2 * math.pi) + noise.uniform(-1, 1) for at in range(3_000)]
    assert not [at for at in alarms(tide) if at >= 1_000]
    assert 2_100 in alarms([*tide[:2_100], tide[2_100] - 50.0])


def test_what_is_only_rounding_is_never_odd() -> None:
    """What came before is forgotten to below the last digit in so many hours."""
    week = [0.1 * (at % 24) + (0.7 if at % 168 < 120 else 0.0) for at in range(168)]
    assert not [at for at in alarms(week * 1_200) if at >= 168 * 3]


def test_any_change_of_what_never_changed_is_odd() -> None:
    assert alarms([7.0] * 300 + [7.5] * 50) == [300]


def test_noise_gives_less_than_an_alarm_a_month() -> None:
    """A year of hours of uniform noise, twenty times: means of a day wander, and the envelope forgets."""
    found = 0
    for seed in range(20):
        noise = random.Random(seed)
        found += len(alarms([noise.uniform(0, 1) for _ in range(24 * 365)]))
    assert found <= 20 * 12
