"""Learn many hours without anything at once (spec 50.9; docs/spend-rate.md).

It makes of a series what a zero for each of them would, to the last bit, at a quarter of the cost: each quantity is
followed through all hours before the next one, with the same operations on the same numbers in the same order.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from math import asinh
from typing import NamedTuple

from dataflows.detectors.spend_rate_core import (
    BORROWED,
    DAILY_WEIGHT,
    FORGETTING,
    HOURS_A_DAY,
    JUMP_TOLERANCE,
    LEAST_SHARE,
    LEVEL_POINTS,
    LEVEL_TOLERANCE,
    MOST_POINTS,
    NUMBER,
    OUTLIER,
    RECENT_WEIGHT,
    ROUNDING,
    SCALE_WEIGHT,
    SEASON_TOLERANCE,
    SHIFT_TOLERANCE,
    SMALLEST,
    VALUE_TOLERANCE,
    WEEK_HOURS,
    WEEKLY_WEIGHT,
    Envelope,
    Scale,
    SpendRate,
    Usual,
)


class Expected(NamedTuple):
    """Of each hour: what it usually brought until then, None where nothing was known, and how far zero was from it."""

    usual: list[float | None]
    errors: list[float]


def learn_zeros(rate: SpendRate, at: datetime, hours: int) -> list[float | None]:
    """Learn so many hours, the first one at `at`, as `rate.score` does; say what each usually brought until then.

    None where nothing was known. 1.4 µs an hour.
    """
    finest = max(SMALLEST, ROUNDING * rate.largest)
    usual, errors = _zeros_of_usual(rate.usual, at, hours)
    places = _zeros_of_scale(rate.scale, hours, finest)
    shifts, rate.unexplained = _sudden(errors, rate.unexplained)
    jumps, rate.place = _sudden(places, rate.place)
    odd: dict[int, float] = {}
    for envelope, quantities, least, forgetting, tolerance in (
        # All is zero, and the envelope of the value forgets nothing: the first one says it all.
        (rate.value, [0.0], finest, 0.0, VALUE_TOLERANCE),
        (rate.level, _zeros_of_levels(rate, hours), finest, FORGETTING, LEVEL_TOLERANCE),
        (rate.season, errors, finest, FORGETTING, SEASON_TOLERANCE),
        (rate.shift, shifts, finest, FORGETTING, SHIFT_TOLERANCE),
        (rate.jump, jumps, ROUNDING, FORGETTING, JUMP_TOLERANCE),
    ):
        for point, novelty in _novelties(envelope, quantities, least, forgetting):
            odd[point] = max(odd.get(point, 0.0), novelty / tolerance)
    for point, found in sorted(odd.items()):
        rate.tell(rate.points + 1 + point, found)
    rate.points += hours
    return usual


def _zeros_of_usual(usual: Usual, at: datetime, hours: int) -> Expected:
    means, points = memoryview(usual.means).cast("d"), usual.points
    found = Expected([], [])
    first = at.weekday() * HOURS_A_DAY + at.hour
    for since in range(first, first + hours):
        hour, slot = since % HOURS_A_DAY, HOURS_A_DAY + since % WEEK_HOURS
        mean, seen = means[hour], points[hour]
        usual_then = mean if seen else None
        if seen < MOST_POINTS:
            points[hour] = seen = seen + 1
        weight = 1.0 / seen
        if weight < DAILY_WEIGHT:
            weight = DAILY_WEIGHT
        mean += weight * (0.0 - mean)
        means[hour] = mean
        seen = points[slot]
        if seen:
            mean = usual_then = means[slot]
        else:
            seen = BORROWED
        if seen < MOST_POINTS:
            points[slot] = seen = seen + 1
        weight = 1.0 / seen
        if weight < WEEKLY_WEIGHT:
            weight = WEEKLY_WEIGHT
        error = 0.0 - mean
        means[slot] = mean + weight * error
        found.usual.append(usual_then)
        found.errors.append(error)
    return found


def _zeros_of_scale(scale: Scale, hours: int, finest: float) -> list[float]:
    centre, spread, mean_distance = scale.centre, scale.spread, scale.mean_distance
    found = []
    for points in range(scale.points + 1, scale.points + 1 + hours):
        distance = 0.0 - centre
        far = abs(distance)
        found.append(asinh(distance / (spread if spread > finest else max(far, finest))))
        weight = 1.0 / points
        if weight < SCALE_WEIGHT:
            weight = SCALE_WEIGHT
        near = OUTLIER * spread if spread else far
        if far < near:
            near = far
        centre += weight * (near if distance > 0.0 else -near)
        mean_distance += weight * (far - mean_distance)
        spread += weight * (near - spread)
        if spread < LEAST_SHARE * mean_distance:
            spread = LEAST_SHARE * mean_distance
    scale.points += hours
    scale.centre, scale.spread, scale.mean_distance = centre, spread, mean_distance
    return found


def _zeros_of_levels(rate: SpendRate, hours: int) -> list[float]:
    newest = [one for (one,) in NUMBER.iter_unpack(rate.newest)]
    known, changing = len(newest), min(hours, LEVEL_POINTS)
    newest += [0.0] * changing
    rate.newest = bytearray(b"".join(map(NUMBER.pack, newest[-LEVEL_POINTS:])))
    windows = (newest[max(0, end - LEVEL_POINTS) : end] for end in range(known + 1, known + 1 + changing))
    return [sum(window) / len(window) for window in windows] + [0.0] * (hours - changing)


def _sudden(quantities: Sequence[float], lately: float) -> tuple[list[float], float]:
    """How much of each came suddenly, and what they were lately after them."""
    found = []
    for quantity in quantities:
        sudden = quantity - lately
        lately += RECENT_WEIGHT * sudden
        found.append(sudden)
    return found, lately


def _novelties(
    envelope: Envelope, quantities: Iterable[float], finest: float, forgetting: float
) -> list[tuple[int, float]]:
    """The number of each quantity that was outside, from 0 on, and by how much; as `Envelope.novelty` of each."""
    low, high = envelope.low, envelope.high
    found = []
    for number, quantity in enumerate(quantities):
        if low > high:
            low = high = quantity
        width = high - low
        if not low <= quantity <= high:
            outside = max(quantity - high, low - quantity)
            if outside > finest:
                found.append((number, outside / max(width, finest)))
        shrunk = forgetting * width / 2
        high -= shrunk
        low += shrunk
        if high < quantity:
            high = quantity
        if low > quantity:
            low = quantity
    envelope.low, envelope.high = low, high
    return found
