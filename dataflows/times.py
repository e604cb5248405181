"""Event time as whole microseconds since 1970-01-01T00:00:00Z.

Detectors compare and add times far more often than people read them. An `int` is exact (a float second is
not), never overflows when a timeout is added to the last day of year 9999, and costs half a `datetime`.
"""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

#: The earliest and latest event time that can be written as a UTC `datetime`.
EARLIEST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
LATEST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND

#: Before every event: the watermark of a partition in which nothing was seen.
NEVER = -(2**63)

#: A time at which to look for more: without one the engine waits a millisecond after a batch that decided nothing.
AT_ONCE = EPOCH


def to_micros(value: datetime) -> int:
    """Microseconds since the epoch of an aware `datetime`, exact."""
    return (value - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    """The aware UTC `datetime`; `OverflowError` outside the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=value)


def micros(value: timedelta) -> int:
    """A duration in microseconds, exact."""
    return value // MICROSECOND
