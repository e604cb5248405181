"""An independent reading of docs/spend-rate.md, "How odd is a value": a column for each quantity of the whole series.

Nothing is learned point by point but what the page defines by the value before; means are those of lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate
from math import asinh

TOLERANCES = {"value": 0.01, "level": 0.07, "season": 0.1, "shift": 0.1, "jump": 0.1}


def scores(times: Sequence[datetime], values: Sequence[float]) -> list[float]:
    """The score of each point."""
    rounding = [max(1e-300, 1e-12 * largest) for largest in accumulate(map(abs, values), max)]
    errors = _season(times, values)
    columns = {
        "value": list(values),
        "level": [_mean(values[max(0, at - 23) : at + 1]) for at in range(len(values))],
        "season": errors,
        "shift": _sudden(errors),
        "jump": _sudden(_places(values, rounding)),
    }
    ratios = [0.0] * len(values)
    for name, column in columns.items():
        least = [1e-12] * len(values) if name == "jump" else rounding
        found = _novelty(column, least, 0.0 if name == "value" else 0.0002)
        ratios = [max(pair) for pair in zip(ratios, (one / TOLERANCES[name] for one in found), strict=True)]
    return _silenced([r / (1 + r) for r in ratios])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _weighted(values: Iterable[float], least: float, begun: tuple[float, int] = (0.0, 0)) -> float:
    """An exponentially weighted mean with weight max(1/n, `least`), of what is known and some more values."""
    mean, count = begun
    for value in values:
        count += 1
        mean += max(1 / count, least) * (value - mean)
    return mean


def _season(times: Sequence[datetime], values: Sequence[float]) -> list[float]:
    found = []
    for at, value in enumerate(values):
        hour = [i for i in range(at + 1) if times[i].hour == times[at].hour]
        hour_of_week = [i for i in hour if times[i].weekday() == times[at].weekday()]
        until_first = [values[i] for i in hour if i <= hour_of_week[0]]
        begun = _weighted(until_first, 0.03)
        # The first of an hour of the week is in what it begins with, and counts once more as the fourth time.
        usual = _weighted((values[i] for i in hour_of_week[:-1]), 0.05, (begun, 3))
        found.append(value - usual)
    return found


def _sudden(column: Sequence[float]) -> list[float]:
    lately = [0.0]
    for value in column:
        lately.append(0.7 * lately[-1] + 0.3 * value)
    return [value - before for value, before in zip(column, lately, strict=False)]


def _places(values: Sequence[float], rounding: Sequence[float]) -> list[float]:
    m = s = everything = 0.0
    found = []
    for n, (x, least) in enumerate(zip(values, rounding, strict=True), 1):
        away, weight = x - m, max(1 / n, 0.002)
        unit = s if s > least else max(abs(away), least)
        found.append(asinh(away / unit))
        counted = away if s == 0 or abs(away) <= 3 * s else 3 * s * (1 if away > 0 else -1)
        m, s = m + weight * counted, (1 - weight) * s + weight * abs(counted)
        everything = (1 - weight) * everything + weight * abs(away)
        s = max(s, everything / 10)
    return found


def _novelty(column: Sequence[float], rounding: Sequence[float], forgetting: float) -> list[float]:
    found = []
    a = b = column[0] if column else 0.0
    for q, least in zip(column, rounding, strict=True):
        outside = max(q - b, a - q, 0.0)
        found.append(outside / max(b - a, least) if outside > least else 0.0)
        half = (b - a) / 2
        a, b = min(a + forgetting * half, q), max(b - forgetting * half, q)
    return found


def _silenced(judged: Sequence[float]) -> list[float]:
    told = [0.0] * len(judged)
    for at in range(100, len(judged)):
        lately = [score for score in told[max(0, at - 60) : at] if score > 0]
        if not lately or judged[at] > lately[-1]:
            told[at] = judged[at]
    return told
