"""Durations as people write them in files and settings: `500ms`, `90s`, `15m`, `24h`, `30d`."""

import re
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(value: object) -> timedelta:
    """A duration from `15m` or from a `timedelta`; a bare number has no unit and is refused.

    Raises `ValueError` with a sentence that names the accepted form.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and (match := _PATTERN.fullmatch(value.strip())):
        try:
            return float(match[1]) * _UNITS[match[2]]
        except OverflowError:
            pass
    raise ValueError("must be a duration with a unit, such as 90s, 15m or 24h")


def format_duration(value: timedelta) -> str:
    """The shortest exact form: `timedelta(minutes=90)` is `90m`, `timedelta(hours=2)` is `2h`."""
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(value, _UNITS[unit])
        if not rest and count:
            return f"{count}{unit}"
    return f"{value.total_seconds():g}s"
