"""The Numenta Anomaly Benchmark's score, by its published rules.

Lavin, Ahmad: Evaluating Real-time Anomaly Detection Algorithms, ICMLA 2015 (arXiv:1510.03336), as the benchmark's own
program applies them since its version 1.1. A point at or above the threshold is a detection.

- Inside a labelled window only the earliest detection counts, the more the earlier: s(-1) at its first row, nearly 0
  at its last, divided by s(-1), with the sigmoid s(y) = 2 / (1 + exp(5y)) - 1. A window without one costs the weight
  of a miss.
- Outside windows each detection costs: s of the distance from the end of the window before it, in widths of that
  window, so a little one just behind it and a whole one far from it or before the first.
- The first 15 % of a series, 750 rows at most, do not count.
- The threshold is the best one for all series of a profile together.
- 100 is a detector that finds all windows in their first row and nothing else, 0 one that never finds anything.
"""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

PROBATION_SHARE = 0.15
PROBATION_ROWS = 750

#: Above any score: nothing is detected.
NOTHING = 1.1


class Weights(NamedTuple):
    """What a found window, a false detection and a missed window weigh."""

    found: float
    false: float
    missed: float


class Profile(StrEnum):
    """The benchmark's three kinds of users."""

    STANDARD = "standard"
    LOW_FALSE_POSITIVES = "reward_low_FP_rate"
    LOW_FALSE_NEGATIVES = "reward_low_FN_rate"


WEIGHTS = {
    Profile.STANDARD: Weights(1.0, 0.11, 1.0),
    Profile.LOW_FALSE_POSITIVES: Weights(1.0, 0.22, 1.0),
    Profile.LOW_FALSE_NEGATIVES: Weights(1.0, 0.11, 2.0),
}


class Series(NamedTuple):
    """One scored series: an anomaly score for each row, and its windows as first and last row, in order."""

    name: str
    scores: Sequence[float]
    windows: Sequence[tuple[int, int]]

    @property
    def category(self) -> str:
        """The folder it is in."""
        return self.name.split("/", 1)[0]


class Point(NamedTuple):
    """A row outside the probationary period."""

    score: float
    #: What a detection here is worth, before weights: up to 1 in a window, down to -1 outside.
    worth: float
    #: The window it is in.
    window: tuple[str, int] | None


def scaled_sigmoid(position: float) -> float:
    """The published sigmoid; far behind a window a detection is as false as any."""
    return -1.0 if position >= 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def probationary_rows(rows: int) -> int:
    """How many rows at the beginning of a series do not count."""
    return min(math.floor(PROBATION_SHARE * rows), PROBATION_ROWS)


def points_of(series: Series) -> list[Point]:
    """The rows that count, in their order."""
    found: list[Point] = []
    probation = probationary_rows(len(series.scores))
    windows = list(series.windows)
    best = scaled_sigmoid(-1.0)
    at = 0
    before: tuple[int, int] | None = None
    for row, score in enumerate(series.scores):
        while at < len(windows) and row > windows[at][1]:
            before = windows[at]
            at += 1
        window: tuple[str, int] | None = None
        if at < len(windows) and row >= windows[at][0]:
            first, last = windows[at]
            worth = scaled_sigmoid(-(last - row + 1) / (last - first + 1)) / best
            window = (series.name, at)
        elif before is None:
            worth = -1.0
        else:
            worth = scaled_sigmoid((row - before[1]) / max(before[1] - before[0], 1))
        if row >= probation:
            found.append(Point(score, worth, window))
    return found


def _sweep(points: Iterable[Point], weights: Weights) -> Iterable[tuple[float, float]]:
    """Each threshold with its raw score, from the highest threshold to the lowest."""
    ordered = sorted(points, key=lambda point: -point.score)
    windows = dict.fromkeys((point.window for point in ordered if point.window is not None), -weights.missed)
    total = sum(windows.values())
    threshold = NOTHING
    for point in ordered:
        if point.score != threshold:
            yield threshold, total
            threshold = point.score
        if point.window is None:
            total += weights.false * point.worth
        elif (worth := weights.found * point.worth) > windows[point.window]:
            total += worth - windows[point.window]
            windows[point.window] = worth
    yield threshold, total


def best_threshold(all_series: Iterable[Series], weights: Weights) -> float:
    """The threshold with the highest score for these series together; of several the highest threshold."""
    points = [point for series in all_series for point in points_of(series)]
    return max(_sweep(points, weights), key=lambda pair: pair[1])[0]


def raw_score(series: Series, threshold: float, weights: Weights) -> float:
    """What a series contributes at a threshold."""
    return sum(_contributions(points_of(series), threshold, weights))


def _contributions(points: Iterable[Point], threshold: float, weights: Weights) -> Iterable[float]:
    earned: dict[tuple[str, int], float] = {}
    for point in points:
        if point.window is not None:
            before = earned.setdefault(point.window, -weights.missed)
            if point.score >= threshold:
                earned[point.window] = max(before, weights.found * point.worth)
        elif point.score >= threshold:
            yield weights.false * point.worth
    yield from earned.values()


def normalised_score(all_series: Sequence[Series], threshold: float, weights: Weights) -> float:
    """0 for a detector that finds nothing, 100 for a perfect one; negative for one that had better be silent.

    NaN where no series has a window: there is nothing to be found, and so nothing to measure by.
    """
    windows = sum(len(series.windows) for series in all_series)
    if windows == 0:
        return math.nan
    raw = sum(raw_score(series, threshold, weights) for series in all_series)
    nothing = sum(raw_score(series, math.inf, weights) for series in all_series)
    perfect = weights.found * windows
    return 100.0 * (raw - nothing) / (perfect - nothing)
