"""Times and durations for people. All times are UTC and say so."""

from datetime import UTC, datetime, timedelta

_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
)


def show_time(at: datetime) -> str:
    """`2026-03-02 08:30:05 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def show_duration(duration: timedelta) -> str:
    """The two largest units next to each other: `1 d 2 h`, `30 min`, `0 s`. What is smaller is cut off."""
    rest = max(duration, timedelta(0))
    for position, (unit, size) in enumerate(_UNITS):
        count, rest = divmod(rest, size)
        if count:
            shown = f"{count} {unit}"
            if position + 1 < len(_UNITS):
                smaller_unit, smaller_size = _UNITS[position + 1]
                smaller = rest // smaller_size
                shown += f" {smaller} {smaller_unit}" if smaller else ""
            return shown
    return "0 s"


def show_age(at: datetime, now: datetime) -> str:
    """How long ago: the largest unit alone, `just now` below a minute."""
    age = now - at
    if age < timedelta(minutes=1):
        return "just now"
    return " ".join(show_duration(age).split(" ")[:2])
