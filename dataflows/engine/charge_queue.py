"""Charges that wait for the slowest lane, in the order of judgement."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from dataflows.engine.credit_records import Charge


class ChargeQueue:
    """Gives charges back in their order, whatever the order in which they came.

    What was put in order once is not looked at again until it is due: charges come nearly in order, and each of those
    that wait is in no cache any more.
    """

    def __init__(self) -> None:
        self._ordered: list[Charge] = []
        self._new: list[Charge] = []

    def __len__(self) -> int:
        return len(self._ordered) + len(self._new)

    def __iter__(self) -> Iterator[Charge]:
        yield from self._ordered
        yield from self._new

    def put(self, charges: Iterable[Charge]) -> None:
        """Add charges; no two are of the same time, workflow, lane and arrival."""
        self._new += charges

    def take(self, before: int | None) -> list[Charge]:
        """Remove those that are due before this time, all of them when it is None. About 0.3 µs each."""
        ordered, new = self._ordered, self._new
        if new:
            new.sort()
            at = bisect_left(ordered, new[0])
            if at < len(ordered):
                new += ordered[at:]
                new.sort()
                del ordered[at:]
            ordered += new
            self._new = []
        count = len(ordered) if before is None else bisect_left(ordered, (before,))
        taken = ordered[:count]
        del ordered[:count]
        return taken
