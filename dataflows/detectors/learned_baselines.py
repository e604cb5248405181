"""What a scenario's healthy runs usually cost, learned from them, and never led astray fast (spec 50.3).

The baseline of a run is the median of the last healthy runs before it. It moves at most 20 % a week of event time:
whatever it was within the week before, it is not more than a fifth above the least of that nor below the most. So a
mix of runs that are each just not remarkable can't lift it faster than a person looks at weekly reviews. Where there
were too few healthy runs for more than a week, it may have moved by so much for each of these weeks.
"""

from bisect import bisect_left, bisect_right
from decimal import Decimal
from math import inf, nextafter

import msgspec

from dataflows.credit_runs import exact
from dataflows.times import NEVER

DAY = 24 * 3600 * 1_000_000
WEEK = 7 * DAY

#: Healthy runs that are looked at, at most, how old they may be, and how many there must be.
NEWEST = 30
WINDOW = 30 * DAY
LEAST = 5
#: Runs that may be kept beyond those.
SPARE = 15

MOST = Decimal("1.2")
LOWEST = Decimal("0.8")

#: Credits below this are compared as decimals alone: doubles have not all their digits there.
SMALL = 1e-290
#: What doubles say to be so many times as much is more as decimals, too.
INSIDE = 1 + 1e-12

#: Baselines that were said less than this apart are remembered together. That makes the week longer by as much.
STRETCH = DAY // 4


class Stretch(msgspec.Struct, array_like=True, gc=False):
    """The baselines that were in force for some time."""

    begin: int
    until: int
    least: Decimal
    most: Decimal
    #: The one that was in force when it was over.
    last: Decimal


class History(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of a scenario's healthy runs, oldest first. Times are microseconds since the epoch."""

    times: list[int] = []
    credits: list[float] = []
    #: Credits for each item, None of a run that names no items.
    per_item: list[float | None] = []
    #: Learned baselines of the last week, oldest first; the first was in force when it began.
    stretches: list[Stretch] = []
    #: The newest of them, unless it is the mean of `lower` and `upper`.
    newest: Decimal | None = None

    # All below can be found again from the above, and `settle` lets go of it before a snapshot. Besides, up to `SPARE`
    # runs that are too old to count are kept, which are taken away together.
    #: The runs there were when the baseline was last said; 0 when `newest` has that one.
    counted: int = 0
    #: When it was last said.
    until: int = NEVER
    #: A median between these that is said before this time changes nothing but when the last stretch ends.
    floor: float = inf
    ceiling: float = -inf
    before: int = NEVER
    #: Of the runs that count, those that are not between them.
    below: int = 0
    above: int = 0

    def learn(self, time: int, credits_total: float, items: int | None) -> None:
        """Take in a healthy run. What has been learned of the oldest is forgotten. About 0.4 µs."""
        times, credits_ = self.times, self.credits
        per_item = _share(credits_total, items) if items else None
        count = len(times)
        if count and time < times[-1]:
            self._insert(time, credits_total, per_item)
            return
        if count >= NEWEST:
            if count == NEWEST + SPARE:
                self._forget()
                count = NEWEST
            oldest = credits_[count - NEWEST]
            if oldest < self.floor:
                self.below -= 1
            elif oldest > self.ceiling:
                self.above -= 1
        times.append(time)
        credits_.append(credits_total)
        self.per_item.append(per_item)
        if credits_total < self.floor:
            self.below += 1
        elif credits_total > self.ceiling:
            self.above += 1

    def baseline(self, time: int) -> Decimal | None:
        """The baseline of a run at `time`, in force from then on; None with too few healthy runs. About 3 µs."""
        return None if self.pass_time(time) is None else self.said()

    def pass_time(self, time: int) -> float | None:
        """A run at `time` is about to be judged: what its baseline is not below; None with too few healthy runs.

        It is in force from then on, and `said` gives it exactly. About 0.3 µs when it stays within what it was in
        these hours, else 5 µs.
        """
        times = self.times
        count = len(times)
        if time < self.before and times[-1] <= time:
            counting = min(count, NEWEST)
            # The middle one, or both of them, are within: no more than half of the others are on either side.
            most = (counting - 1) // 2
            if self.below <= most and self.above <= most and times[-counting] >= time - WINDOW:
                self.counted = count
                if time > self.until:
                    self.until = time
                return self.floor
        if count < LEAST:
            return None
        begin, end = self._window(time)
        if end - begin < LEAST:
            return None
        ordered = sorted(self.credits[begin:end])
        middle = len(ordered) // 2
        upper = ordered[middle]
        lower = upper if len(ordered) % 2 else ordered[middle - 1]
        if time < self.before and end - begin == min(count, NEWEST):
            # One of the two may be outside, and what is between them is not.
            near = lower + (upper - lower) * 0.5
            if self.floor * INSIDE <= near <= self.ceiling / INSIDE:
                self.counted = count
                self.until = max(self.until, time)
                return near
        said = float(self._say(_mean(lower, upper), time))
        if len(ordered) < min(count, NEWEST):
            ordered = sorted(self.credits[-NEWEST:])
        self.below = bisect_left(ordered, self.floor)
        self.above = len(ordered) - bisect_right(ordered, self.ceiling)
        return said

    def said(self) -> Decimal | None:
        """The newest baseline, exactly. 2 µs when nobody asked before."""
        counted = self.counted
        if counted:
            last = self.stretches[-1]
            self.newest = last.last = median(self.credits[max(0, counted - NEWEST) : counted])
            last.until = max(last.until, self.until)
            self.counted = 0
        return self.newest

    def settle(self) -> None:
        """Let go of all that can be found again."""
        self.said()
        self._forget()
        self.until, self.floor, self.ceiling, self.before, self.below, self.above = NEVER, inf, -inf, NEVER, 0, 0

    def _insert(self, time: int, credits_total: float, per_item: float | None) -> None:
        """Take in a run that is older than the newest one."""
        self.said()
        at = bisect_right(self.times, time)
        self.times.insert(at, time)
        self.credits.insert(at, credits_total)
        self.per_item.insert(at, per_item)
        self._forget()
        # Whether it counts, and which one does not any more, is found out with the next run.
        self.before = NEVER

    def _forget(self) -> None:
        """Let go of runs that are too old to count."""
        more = len(self.times) - NEWEST
        if more > 0:
            if self.counted == len(self.times):
                self.counted = NEWEST
            elif self.counted:
                self.said()
            del self.times[:more], self.credits[:more], self.per_item[:more]

    def _say(self, learned: Decimal, time: int) -> Decimal:
        """Bring the median of the healthy runs within its bounds, and remember it."""
        newest = self.said()
        if newest is None:
            self.stretches = [Stretch(time, time, learned, learned, learned)]
        else:
            last = self.stretches[-1]
            now = max(time, last.until)
            if now - last.begin < STRETCH and last.least <= learned <= last.most <= last.least * MOST:
                # Between two baselines of the same hours it is as near to all others as they are.
                last.until, last.last = now, learned
            else:
                learned = self._within_bounds(learned, newest, now)
                self._remember(learned, now)
        self.newest = learned
        self._bound()
        return learned

    def _bound(self) -> None:
        """Find out between what a median would be said as it is, and be one more of the last stretch."""
        stretches = self.stretches
        last = stretches[-1]
        least, most, before = last.least, last.most, last.begin + STRETCH
        if most > least * MOST:
            # It is held against all stretches then, as long as these are the ones.
            least = max(least, max(one.most for one in stretches) * LOWEST)
            most = min(most, min(one.least for one in stretches) * MOST)
            if len(stretches) > 1:
                first = stretches[0]
                before = min(before, stretches[1].begin + WEEK)
                if not first.least == first.most == first.last:
                    before = min(before, first.until + WEEK)
        self.floor, self.ceiling, self.before = _from(least), _until(most), before

    def credits_per_item(self, time: int) -> Decimal | None:
        """The median of the healthy runs before `time` that name their items; None if none does."""
        begin, end = self._window(time)
        known = [value for value in self.per_item[begin:end] if value is not None]
        return median(known) if known else None

    def _window(self, time: int) -> tuple[int, int]:
        times = self.times
        first = max(0, len(times) - NEWEST)
        return bisect_left(times, time - WINDOW, first), bisect_right(times, time, first)

    def _within_bounds(self, learned: Decimal, newest: Decimal, now: int) -> Decimal:
        stretches = self.stretches
        while len(stretches) > 1 and stretches[1].begin <= now - WEEK:
            del stretches[0]
        if stretches[-1].until <= now - WEEK:
            weeks = (now - stretches[-1].until) // WEEK
            return min(max(learned, newest * LOWEST**weeks), newest * MOST**weeks)
        # To stay is always possible, also where stretches reach further back than a week.
        if stretches[0].until <= now - WEEK:
            stretches[0].least = stretches[0].most = stretches[0].last
        most = max(newest, min(one.least for one in stretches) * MOST)
        lowest = min(newest, max(one.most for one in stretches) * LOWEST)
        return min(max(learned, lowest), most)

    def _remember(self, learned: Decimal, now: int) -> None:
        last = self.stretches[-1]
        if now - last.begin < STRETCH:
            last.until, last.last = now, learned
            if learned < last.least:
                last.least = learned
            elif learned > last.most:
                last.most = learned
        else:
            self.stretches.append(Stretch(now, now, learned, learned, learned))


def _share(credits_total: float, items: int) -> float:
    try:
        return credits_total / items
    except OverflowError:  # a count may have any number of digits, a double has not
        return 0.0


def median(values: list[float]) -> Decimal:
    """The middle value, or the mean of the two in the middle; of the decimals that were written."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return _mean(ordered[middle if len(ordered) % 2 else middle - 1], ordered[middle])


def _mean(lower: float, upper: float) -> Decimal:
    return exact(lower) if lower == upper else (exact(lower) + exact(upper)) / 2


def _from(least: Decimal) -> float:
    """The least double that says `least` or more; what is too small for comparisons of doubles says nothing."""
    found = float(least)
    return max(found if exact(found) >= least else nextafter(found, inf), SMALL)


def _until(most: Decimal) -> float:
    """The greatest double that says `most` or less."""
    found = float(most)
    return found if exact(found) <= most else nextafter(found, -inf)
