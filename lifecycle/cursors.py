"""Where a page of a list ends, as a short text that goes into links (keyset pagination)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_CURSOR = re.compile(rf"([un])([0-9])\.(-?[0-9]{{1,18}})\.({_UUID})", re.ASCII)


class Order(StrEnum):
    """How a list is sorted; a cursor fits its own order alone."""

    URGENT_FIRST = "u"  #: by rank, then oldest first
    NEWEST_FIRST = "n"


class BadCursorError(ValueError):
    """A cursor that no list of this order has given out. The caller's fault; nothing was read."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: the next page begins after it, whatever was added or done meanwhile."""

    order: Order
    at: datetime
    id: str
    #: One digit; zero where the order has no rank.
    rank: int = 0

    def __str__(self) -> str:
        """The text for a link."""
        return f"{self.order}{self.rank}.{(self.at - _EPOCH) // _MICROSECOND}.{self.id}"


def read_cursor(text: str, order: Order) -> Cursor:
    """The inverse of `str`; raises `BadCursorError` for anything else, a cursor of another order too."""
    match = _CURSOR.fullmatch(text)
    if match is None or match[1] != order:
        raise BadCursorError
    try:
        at = _EPOCH + int(match[3]) * _MICROSECOND
    except OverflowError:
        raise BadCursorError from None
    return Cursor(order=order, at=at, id=match[4], rank=int(match[2]))
