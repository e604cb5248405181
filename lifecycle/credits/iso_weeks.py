"""Weeks as ISO 8601 counts them, in UTC: `2026-W04` begins on a Monday at midnight."""

import re
from datetime import UTC, date, datetime, time, timedelta

WEEK = timedelta(days=7)

#: Years from which all weeks and months near them can be reckoned.
_FIRST_YEAR, _LAST_YEAR = 2, 9998

_FORM = re.compile(r"(\d{4})-W(\d\d)", re.ASCII)


def week_of(at: datetime) -> str:
    """The week that a moment is in."""
    year, number, _ = at.astimezone(UTC).isocalendar()
    return f"{year:04}-W{number:02}"


def last_week_before(at: datetime) -> str:
    """The newest week that is over."""
    return week_of(at - WEEK)


def period_of(week: str) -> tuple[datetime, datetime]:
    """Where a week begins, and where the next one does. `ValueError` for what is no week."""
    found = _FORM.fullmatch(week)
    if found is None:
        raise ValueError("must be a week as in 2026-W04")
    if not _FIRST_YEAR <= int(found[1]) <= _LAST_YEAR:
        raise ValueError("must be a week of the years 2 to 9998")
    try:
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
    except ValueError:
        raise ValueError("there is no such week in that year") from None
    begin = datetime.combine(monday, time(), UTC)
    return begin, begin + WEEK
