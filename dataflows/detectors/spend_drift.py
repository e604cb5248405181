"""Has what is spent in a week risen, too slowly for any single day to show it? (spec 50.9; docs/spend-rate.md)

The mean of the last seven days is compared with that of the weeks from a fortnight before it back to eight weeks,
whole weeks both, so that no weekday counts more on one side. The week between is left out: a slow rise has begun
there. How far apart the two may be by chance follows from the differences between equal weekdays of neighbouring
weeks, with their own mean taken off: neither the season nor the rise itself is taken for noise.
"""

from math import sqrt
from typing import NamedTuple

import msgspec

from dataflows.detectors.spend_rate_core import NUMBER

DAYS_A_WEEK = 7
#: The longest stretch that is compared with, in weeks, and how many weeks before now it ends.
MOST_WEEKS = 6
GAP_WEEKS = 2
KEPT_DAYS = (MOST_WEEKS + GAP_WEEKS) * DAYS_A_WEEK
#: Seven days to judge, seven between, seven to compare with.
LEAST_DAYS = 3 * DAYS_A_WEEK

#: A rise matters from this share on, when chance would not do it: so many standard errors.
RISE = 0.1
ERRORS = 4.5
#: The rise is over below this many: what is spent now is what is usual.
OVER = 2.0
#: Nobody's days are alike to less than this share.
LEAST_SPREAD = 0.01


class Rise(NamedTuple):
    """Credits a day: lately, before, what would still be chance, and the standard error of the difference."""

    lately: float
    before: float
    limit: float
    error: float


class Drift(msgspec.Struct, array_like=True, gc=False):
    """The sums of the last eight weeks' days, oldest first, eight bytes each, and whether their rise was told."""

    days: bytes = b""
    is_told: bool = False

    def learn(self, total: float) -> Rise | None:
        """Take in a day's sum; say the rise when it begins to matter, and again only when it was over. 2 µs."""
        self.days = (self.days + NUMBER.pack(total))[-NUMBER.size * KEPT_DAYS :]
        if not self.is_told and not self._may_matter():
            return None
        compared = self.compared()
        if compared is None or compared.before <= 0.0:
            return None
        lately, before, limit, error = compared
        if self.is_told:
            self.is_told = lately - before > OVER * error
            return None
        if lately < limit:
            return None
        self.is_told = True
        return compared

    def lately_more(self) -> float:
        """Credits a day more than before; 0 while too little is known."""
        compared = self.compared()
        return 0.0 if compared is None else compared.lately - compared.before

    def is_zero_for(self, days: int) -> bool:
        """So many days are known, and the last ones were all zero."""
        return self.days.endswith(bytes(NUMBER.size * days))

    def compared(self) -> Rise | None:
        """The last week and the weeks before it; None while too little is known."""
        if len(self.days) < NUMBER.size * LEAST_DAYS:
            return None
        days = self._days()
        earlier = _earlier(days)
        before = sum(earlier) / len(earlier)
        lately = sum(days[-DAYS_A_WEEK:]) / DAYS_A_WEEK
        # The last week has no part in what is usual, once enough else is known.
        known = days if len(earlier) == DAYS_A_WEEK else days[:-DAYS_A_WEEK]
        apart = [known[at] - known[at - DAYS_A_WEEK] for at in range(DAYS_A_WEEK, len(known))]
        mean = sum(apart) / len(apart)
        variance = sum((one - mean) * (one - mean) for one in apart) / (len(apart) - 1) / 2
        spread = max(sqrt(variance), LEAST_SPREAD * before)
        error = spread * sqrt(1 / DAYS_A_WEEK + 1 / len(earlier))
        return Rise(lately, before, before + max(RISE * before, ERRORS * error), error)

    def _may_matter(self) -> bool:
        """Chance aside, which takes most of the time: on most days of most series that is enough."""
        if len(self.days) < NUMBER.size * LEAST_DAYS:
            return False
        days = self._days()
        earlier = _earlier(days)
        before = sum(earlier) / len(earlier)
        return sum(days[-DAYS_A_WEEK:]) / DAYS_A_WEEK >= before + RISE * before

    def _days(self) -> list[float]:
        return list(memoryview(self.days).cast("d"))


def _earlier(days: list[float]) -> list[float]:
    """Whole weeks, those that ended long enough ago to be compared with."""
    end = len(days) - GAP_WEEKS * DAYS_A_WEEK
    return days[end % DAYS_A_WEEK : end]
