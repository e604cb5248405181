"""What a series of hours was expected to spend, as the spend-rate detector has it: for people to look at. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from dataflows.detectors.spend_drift import Rise
from dataflows.detectors.spend_series import Expected, Series, ends_day
from dataflows.times import EPOCH

_HOUR = timedelta(hours=1)


class Bands(NamedTuple):
    """What was expected of each hour, and how the week to each day that ended compares; None: too little is known."""

    hours: list[Expected | None]
    days: list[Rise | None]


def expected_of(begin: datetime, hours: Sequence[tuple[float, int, float]]) -> Bands:
    """The bands of hours from `begin` (a whole hour, UTC) on, each with its credits, its runs, and what the
    dearest of them cost. 10 µs an hour.

    They are the detector's own where it began with the same hour; else they get near to it within some weeks.
    """
    first = (begin - EPOCH) // _HOUR
    series = Series(first)
    bands = Bands([], [])
    for hour, (total, runs, dearest) in enumerate(hours, first):
        at = EPOCH + hour * _HOUR
        bands.hours.append(series.expected(hour, at) if series.is_known else None)
        series.judge(hour, at, total, runs, dearest)
        if ends_day(hour):
            series.end_day(hour)
            bands.days.append(series.drift.compared())
    return bands
