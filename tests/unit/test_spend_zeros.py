"""Many hours without anything, learned at once, are what they are one by one: to the last bit."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.detectors.spend_rate_core import SpendRate
from dataflows.detectors.spend_series import SHORT_SILENCE, Series
from dataflows.detectors.spend_zeros import learn_zeros
from dataflows.times import EPOCH

T0 = datetime(2026, 1, 7, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)

encode = msgspec.msgpack.Encoder().encode

#: Values, and how many zeros come after them.
stretches = st.lists(st.tuples(st.lists(st.floats(-1e6, 1e6), max_size=60), st.integers(1, 700)), max_size=5)
gaps = st.lists(st.integers(0, 40) | st.integers(0, 29 * 24), min_size=1, max_size=6)


@settings(deadline=None)
@given(stretches)
def test_zeros_at_once_are_zeros_one_by_one(given_: list[tuple[list[float], int]]) -> None:
    walked, skipped, at = SpendRate(), SpendRate(), T0
    for values, zeros in given_:
        for value in values:
            assert walked.score(at, value) == skipped.score(at, value)
            at += HOUR
        usual = []
        for since in range(zeros):
            usual.append(walked.usual.expected(at + HOUR * since))
            walked.score(at + HOUR * since, 0.0)
        assert learn_zeros(skipped, at, zeros) == usual
        at += HOUR * zeros
        assert encode(walked) == encode(skipped)


def hours_of(seed: int, gap: int) -> list[tuple[float, int]]:
    """Credits and runs of some hours that spend, by a chance that also says how many, and of a silence."""
    chance = random.Random(seed)
    usual, noise = chance.choice((0.1, 40.0, 1e6)), chance.choice((0.0, 0.2, 2.0))
    hours = chance.choice((1, 2, 30, 250))
    odd = [chance.choice((1.0,) * 40 + (0.0, 8.0, 100.0)) for _ in range(hours)]
    return [(max(0.0, chance.gauss(usual, noise * usual)) * much, 9) for much in odd] + [(0.0, 0)] * gap


@settings(deadline=None)
@given(st.integers(0, 10_000), gaps)
def test_silence_at_once_is_silence_hour_by_hour(seed: int, silences: list[int]) -> None:
    hours = [one for number, gap in enumerate(silences) for one in hours_of(seed + number, gap)]
    first = (T0 - EPOCH) // HOUR
    walked, skipped = Series(first), Series(first)
    for hour, (total, runs) in enumerate(hours, first):
        at = EPOCH + HOUR * hour
        burst = walked.judge(hour, at, total, runs, total / 9)
        if runs:
            assert skipped.judge(hour, at, total, runs, total / 9) == burst
        else:
            assert burst is None
    skipped.catch_up(first + len(hours))
    assert encode(walked) == encode(skipped)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 3 * SHORT_SILENCE), max_size=40))
def test_it_does_not_matter_when_silence_is_learned(seed: int, steps: list[int]) -> None:
    first = (T0 - EPOCH) // HOUR
    often, once = Series(first), Series(first)
    for hour, (total, runs) in enumerate(hours_of(seed, 0), first):
        for series in (often, once):
            series.judge(hour, EPOCH + HOUR * hour, total, runs, total / 9)
    now = first + often.rate.points
    for step in steps:
        now += step
        often.catch_up(now)
    once.catch_up(now)
    assert encode(often) == encode(once)
