"""What a scenario's healthy runs usually cost, learned from them, and never led astray fast (spec 50.3).

The baseline of a run is the median of the last healthy runs before it. It moves at most 20 % a week of event time:
whatever it was within the week before, it is not more than a fifth above the least of that nor below the most. So a
mix of runs that are each just not remarkable can't lift it faster than a person looks at weekly reviews. Where there
were too few healthy runs for more than a week, it may have moved by so much for each of these weeks.
"""

from bisect import bisect_left, bisect_right
from decimal import Decimal

import msgspec

from dataflows.credit_runs import exact

DAY = 24 * 3600 * 1_000_000
WEEK = 7 * DAY

#: Healthy runs that are looked at, at most, how old they may be, and how many there must be.
NEWEST = 30
WINDOW = 30 * DAY
LEAST = 5

MOST = Decimal("1.2")
LOWEST = Decimal("0.8")

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
    #: The newest of them.
    newest: Decimal | None = None

    def learn(self, time: int, credits_total: float, items: int | None) -> None:
        """Take in a healthy run. What has been learned of the oldest is forgotten."""
        at = len(self.times)
        if at and time < self.times[-1]:
            at = bisect_right(self.times, time)
        self.times.insert(at, time)
        self.credits.insert(at, credits_total)
        self.per_item.insert(at, _share(credits_total, items) if items else None)
        if len(self.times) > NEWEST:
            del self.times[0], self.credits[0], self.per_item[0]

    def baseline(self, time: int) -> Decimal | None:
        """The baseline of a run at `time`, in force from then on; None with too few healthy runs. About 3 µs."""
        times, credits_ = self.times, self.credits
        if len(times) < LEAST:
            return None
        if times[0] < time - WINDOW or times[-1] > time:
            begin, end = self._window(time)
            if end - begin < LEAST:
                return None
            credits_ = credits_[begin:end]
        learned = median(credits_)
        newest = self.newest
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
        return learned

    def credits_per_item(self, time: int) -> Decimal | None:
        """The median of the healthy runs before `time` that name their items; None if none does."""
        begin, end = self._window(time)
        known = [value for value in self.per_item[begin:end] if value is not None]
        return median(known) if known else None

    def _window(self, time: int) -> tuple[int, int]:
        times = self.times
        return bisect_left(times, time - WINDOW), bisect_right(times, time)

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
    if len(ordered) % 2 or ordered[middle - 1] == ordered[middle]:
        return exact(ordered[middle])
    return (exact(ordered[middle - 1]) + exact(ordered[middle])) / 2
