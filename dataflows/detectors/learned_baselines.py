"""What a scenario's healthy runs usually cost, learned from them, and never led astray fast (spec 50.3).

The baseline of a run is the median of the last healthy runs before it. It moves at most 20 % a week of event time:
whatever it was within the week before, it is not more than a fifth above the least of that nor below the most. So a
mix of runs that are each just not remarkable can't lift it faster than a person looks at weekly reviews. Where there
were too few healthy runs for more than a week, it may have moved by so much for each of these weeks.
"""

from bisect import bisect_left, bisect_right, insort
from decimal import Decimal
from math import inf, nextafter

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

#: Credits below this are compared as decimals alone: doubles have not all their digits there.
SMALL = 1e-290

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

    # All below can be found again from the above, and `settle` lets go of it before a snapshot.
    #: `credits`, the least first; empty when nobody has put them in order yet.
    ordered: list[float] = []
    #: The two in the middle that the newest baseline is the mean of; below 0 when `newest` has it.
    lower: float = -1.0
    upper: float = -1.0
    #: A median between these that is said before this time changes nothing but when the last stretch ends.
    floor: float = inf
    ceiling: float = -inf
    before: int = 0

    def learn(self, time: int, credits_total: float, items: int | None) -> None:
        """Take in a healthy run. What has been learned of the oldest is forgotten."""
        times, ordered = self.times, self.ordered
        count = len(times)
        if len(ordered) == count:
            insort(ordered, credits_total)
        per_item = _share(credits_total, items) if items else None
        if count and time < times[-1]:
            at = bisect_right(times, time)
            times.insert(at, time)
            self.credits.insert(at, credits_total)
            self.per_item.insert(at, per_item)
        else:
            times.append(time)
            self.credits.append(credits_total)
            self.per_item.append(per_item)
        if count >= NEWEST:
            del times[0], self.per_item[0]
            oldest = self.credits.pop(0)
            if ordered:
                del ordered[bisect_left(ordered, oldest)]

    def baseline(self, time: int) -> Decimal | None:
        """The baseline of a run at `time`, in force from then on; None with too few healthy runs. About 3 µs."""
        return None if self.pass_time(time) is None else self.said()

    def pass_time(self, time: int) -> float | None:
        """A run at `time` is about to be judged: its baseline, near enough; None with too few healthy runs.

        It is in force from then on, and `said` gives it exactly. About 0.4 µs when it stays within what it was in
        these hours, else 4 µs.
        """
        times, ordered = self.times, self.ordered
        count = len(times)
        if count < LEAST:
            return None
        if times[0] < time - WINDOW or times[-1] > time:
            begin, end = self._window(time)
            count = end - begin
            if count < LEAST:
                return None
            ordered = sorted(self.credits[begin:end])
        elif len(ordered) != count:
            ordered = self.ordered = sorted(self.credits)
        middle = count // 2
        upper = ordered[middle]
        lower = upper if count % 2 else ordered[middle - 1]
        if lower >= self.floor and upper <= self.ceiling and time < self.before:
            last = self.stretches[-1]
            if time > last.until:
                last.until = time
            self.lower, self.upper = lower, upper
            return lower + (upper - lower) * 0.5
        return float(self._say(_mean(lower, upper), time))

    def said(self) -> Decimal | None:
        """The newest baseline, exactly."""
        if self.lower >= 0:
            self.newest = self.stretches[-1].last = _mean(self.lower, self.upper)
            self.lower = self.upper = -1.0
        return self.newest

    def settle(self) -> None:
        """Let go of all that can be found again."""
        self.said()
        self.ordered, self.floor, self.ceiling, self.before = [], inf, -inf, 0

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
        last = self.stretches[-1]
        self.before = last.begin + STRETCH
        if last.most <= last.least * MOST:
            self.floor, self.ceiling = _from(last.least), _until(last.most)
        else:
            self.floor, self.ceiling = inf, -inf
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
