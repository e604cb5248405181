"""The series detector says what an independent reading of docs/spend-rate.md says."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import pi, sin
from random import Random

import pytest

from dataflows.detectors.spend_rate_core import ALARM, SpendRate
from tests.reference.oracle_spend_core import scores

T0 = datetime(2026, 1, 5, 22, 10, tzinfo=UTC)

Series = list[tuple[datetime, float]]


def season(rng: Random) -> Series:
    """Hours of a busy day, with spikes, a week that is higher, and one that is silent."""
    found = []
    for at in range(24 * 60):
        value = 100 + 80 * sin(at % 24 / 24 * 2 * pi) + rng.gauss(0, 8) + 60 * (700 <= at < 868)
        value *= 0.0 if 1_000 <= at < 1_168 else 8.0 if rng.random() < 0.004 else 1.0
        found.append((T0 + timedelta(hours=at), value))
    return found


def heavy_tails(rng: Random) -> Series:
    """Five minutes apart, whole numbers, mostly small."""
    return [
        (T0 + timedelta(minutes=5 * at), float(int(rng.paretovariate(1.1) * rng.choice((0, 1, 2)))))
        for at in range(1_500)
    ]


def steps(rng: Random) -> Series:
    """Uneven times; constants that change now and then, at last by very little."""
    found, at, level = [], T0, 7.1
    for number in range(1_200):
        at += timedelta(minutes=rng.choice((0, 5, 5, 5, 60, 300)))
        if rng.random() < 0.01:
            level = rng.uniform(-50, 50) if number < 1_000 else level + 1e-9
        found.append((at, level))
    return found


def wandering(rng: Random) -> Series:
    """Each day is where the last one was, more or less; a spike of a million in between."""
    found, level = [], 0.0
    for at in range(1_000):
        level += rng.gauss(0, 1)
        found.append((T0 + timedelta(hours=3 * at), 1e6 if at == 400 else level))
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", [season, heavy_tails, steps, wandering])
def test_points_are_as_odd_as_by_the_reference(kind: Callable[[Random], Series], seed: int) -> None:
    series = kind(Random(seed))
    detector = SpendRate()
    found = [detector.score(at, value) for at, value in series]
    assert found == pytest.approx(scores(*zip(*series, strict=True)), rel=1e-6, abs=1e-9)
    assert any(score >= ALARM for score in found)
