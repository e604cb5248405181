"""What is remembered of a workflow's or a tenant's spending, by hour and by day (spec 50.9; docs/spend-rate.md).

Packed where there is much of it: a number is eight bytes then, and a run some hundred, instead of objects of their own.
"""

from bisect import insort
from collections.abc import Iterable
from datetime import datetime, timedelta
from struct import Struct
from typing import NamedTuple

import msgspec

from dataflows.detectors.spend_drift import DAYS_A_WEEK, Drift, Rise
from dataflows.detectors.spend_rate_core import ALARM, HOURS_A_DAY, NUMBER, WEEK_HOURS, SpendRate
from dataflows.detectors.spend_zeros import learn_zeros
from dataflows.times import EPOCH

#: A burst matters from this multiple of the usual on, and from this many mean errors of such hours above it.
BURST_MULTIPLE = 1.5
BURST_ERRORS = 6.0
#: The least weight of a new hour's error in the mean one, of all hours and of that hour of the day.
ERROR_WEIGHT = 1 / WEEK_HOURS
DAILY_ERROR_WEIGHT = 1 / 28
#: Fewer runs are no burst, nor is what the dearest one made: what a single run costs is judged by its scenario.
BURST_RUNS = 5
#: A burst is over when no hour was one for so long.
BURST_OVER = 24
#: An odd hour is learned as no more than its limit, or what odd hours reached on so many days before: that occurs.
OUTLIER_DAYS = 2
#: Such a day begins with an odd hour, and counts for nine weeks: what comes back each month is known by then.
OUTLIERS_KEPT = 9 * WEEK_HOURS
#: Fewer silent hours are learned one by one: it costs less.
SHORT_SILENCE = 4
#: Days without spending after which a series is forgotten.
QUIET_DAYS = 28
#: The dearest runs that are remembered of an hour; of each day it is the dearest one.
DEAREST = 10


class Spent(NamedTuple):
    """A run as evidence."""

    credits: float
    time: int
    event_id: str
    execution_id: str
    #: Empty where it is the series' own.
    workflow_id: str


def packed(credits_: float, time: int, event_id: str, execution_id: str, workflow_id: str = "") -> bytes:
    """A run in some hundred bytes, which sort as runs do: by what it cost, time, and ids, the shorter first. 0.5 µs."""
    # Big-endian numbers that are not negative sort as their bytes do; adding zero takes the sign off a zero.
    return _ORDER.pack(credits_ + 0.0, time) + _pack((event_id, execution_id, workflow_id))


def unpacked(run: bytes, workflow_id: str | None = None) -> Spent:
    """The inverse; `workflow_id` is that of a run which does not name its own."""
    credits_, time = _ORDER.unpack_from(run)
    event_id, execution_id, own = _unpack_ids(memoryview(run)[_ORDER.size :])
    return Spent(credits_, time, event_id, execution_id, own or workflow_id or "")


class Hour(msgspec.Struct, array_like=True, gc=False):
    """The runs of a workflow in the hour that is going on; 130 bytes for each of the dearest."""

    total: float = 0.0
    runs: int = 0
    #: Packed, the dearest last.
    dearest: list[bytes] = []

    def add(self, credits_: float, time: int, event_id: str, execution_id: str) -> None:
        """Count a run. 0.5 µs; twice that when it is one of the dearest."""
        self.total += credits_
        self.runs += 1
        dearest = self.dearest
        is_full = len(dearest) == DEAREST
        if is_full and _ORDER.pack(credits_ + 0.0, time) < dearest[0][: _ORDER.size]:
            return
        insort(dearest, packed(credits_, time, event_id, execution_id))
        if is_full:
            del dearest[0]


def credits_of(run: bytes) -> float:
    """What a packed run cost."""
    credits_: float = _ORDER.unpack_from(run)[0]
    return credits_


def ends_day(hour: int) -> bool:
    """Whether an hour, of those since the epoch, is the last one of its day."""
    return (hour + 1) % HOURS_A_DAY == 0


class Expected(NamedTuple):
    """Credits of an hour: what such an hour usually spends, and what would still be nothing special."""

    usual: float
    limit: float


class Burst(NamedTuple):
    """An hour that spent too much, with the range that was expected; whether an episode begins with it."""

    score: float
    usual: float
    limit: float
    is_first: bool


class Series(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of the hours before: 4 KB."""

    #: The first hour, in hours since the epoch.
    began: int
    rate: SpendRate = msgspec.field(default_factory=SpendRate)
    #: Hours that were judged.
    hours: int = 0
    #: The mean distance of an hour from what was expected of it: of any hour, and by the hour of the day.
    error: float = 0.0
    daily_error: bytearray = msgspec.field(default_factory=lambda: bytearray(NUMBER.size * HOURS_A_DAY))
    #: The last hour that was a burst, told or not.
    burst: int | None = None
    drift: Drift = msgspec.field(default_factory=Drift)
    day_total: float = 0.0
    #: The dearest run of today; empty while there is none.
    day_run: bytes = b""
    #: Those of the last seven days, packed together.
    week_runs: bytes = b""
    #: The most that an odd hour spent on the day that began with `odd_since`, and with their beginnings that of days
    #: before it: those that enough later ones did not reach.
    day_outlier: float = 0.0
    outliers: bytes = b""
    odd_since: int | None = None

    @property
    def is_known(self) -> bool:
        """Enough hours were seen to judge one."""
        return self.hours >= WEEK_HOURS

    def expected(self, hour: int, at: datetime) -> Expected | None:
        """Of an hour that begins at `at`; None before anything is known of such hours."""
        usual = self.rate.usual.expected(at)
        if usual is None:
            return None
        of_day = memoryview(self.daily_error).cast("d")[hour % HOURS_A_DAY]
        return Expected(usual, _limit(usual, self.error, of_day))

    def judge(
        self, hour: int, at: datetime, total: float, runs: int, dearest: float, explained: float = 0.0
    ) -> Burst | None:
        """Judge an hour's sum, then learn it, and before it the silence since the last one. 8 µs, and `catch_up`'s.

        `at` is the hour's begin, `dearest` what its dearest run cost; `explained` is what workflows spent too much in
        it, and were told of. The day gets no more than the limit, and what is usual if it is a burst: neither a burst
        nor a dear run is a slow rise.
        """
        if self.began + self.rate.points < hour:
            self.catch_up(hour)
        is_known, expected = self.is_known, self.expected(hour, at)
        if expected is None:
            self.rate.score(at, total)
            self.day_total += total - explained
            return None
        usual, limit = expected
        is_going_on = self.burst is not None and hour - self.burst <= BURST_OVER
        score, learned = 0.0, total
        if is_known and total > limit:
            score = self.rate.odd(at, total)
            if score >= ALARM:
                learned = min(total, max(limit, self._accept(hour, total)))
        self.rate.score(at, learned)
        counted = min(total - explained, limit) if is_known else total - explained
        self.day_total += counted
        self._learn_errors(hour, (usual,), total)
        if not is_known or runs < BURST_RUNS or total - dearest - explained <= limit:
            return None
        if score < ALARM and not is_going_on:
            return None
        self.burst = hour
        self.day_total += usual - counted
        return Burst(score, usual, limit, not is_going_on)

    def catch_up(self, hour: int) -> None:
        """Learn the hours before this one that were not judged, in which nothing was spent: 2 µs each.

        It does not matter when, as long as it is before anything is spent or expected: day by day or all at once.
        """
        first = self.began + self.rate.points
        if hour - first < SHORT_SILENCE:
            for silent in range(first, hour):
                self.judge(silent, EPOCH + timedelta(hours=silent), 0.0, 0, 0.0)
            return
        self._learn_errors(first, learn_zeros(self.rate, EPOCH + timedelta(hours=first), hour - first), 0.0)

    def _accept(self, hour: int, total: float) -> float:
        """Note an odd hour; what it may spend all the same, as odd hours reached it on enough days before."""
        if self.odd_since is None or hour - self.odd_since >= HOURS_A_DAY:
            self._begin_odd_day(hour)
        self.day_outlier = max(self.day_outlier, total)
        known = sorted(most for _, most in _OUTLIER.iter_unpack(self.outliers))
        return known[-OUTLIER_DAYS] if len(known) >= OUTLIER_DAYS else 0.0

    def _begin_odd_day(self, hour: int) -> None:
        """The hours of one incident are one day, whether it goes on over midnight or not."""
        days = list(_OUTLIER.iter_unpack(self.outliers))
        if self.odd_since is not None:
            days.append((self.odd_since, self.day_outlier))
        kept: list[tuple[int, float]] = []
        for since, most in reversed(days):
            if hour - since <= OUTLIERS_KEPT and sum(later >= most for _, later in kept) < OUTLIER_DAYS:
                kept.append((since, most))
        self.outliers = b"".join(_OUTLIER.pack(*day) for day in reversed(kept))
        self.odd_since, self.day_outlier = hour, 0.0

    def _learn_errors(self, first: int, usuals: Iterable[float | None], total: float) -> None:
        """How far each of some hours that spent the same was from what was usual, None where that was not known."""
        daily, hours, error = memoryview(self.daily_error).cast("d"), self.hours, self.error
        for hour, usual in enumerate(usuals, first):
            if usual is None:
                continue
            of_day = daily[hour % HOURS_A_DAY]
            missed = abs(total - usual)
            if hours >= WEEK_HOURS:
                # What is far out is learned as though it were at the limit: a burst shall not hide the next one.
                most = _limit(usual, error, of_day) - usual
                if 0.0 < most < missed:
                    missed = most
            hours += 1
            weight, weight_of_day = 1 / hours, 1 / (1 + hours // HOURS_A_DAY)
            if weight < ERROR_WEIGHT:
                weight = ERROR_WEIGHT
            if weight_of_day < DAILY_ERROR_WEIGHT:
                weight_of_day = DAILY_ERROR_WEIGHT
            error += weight * (missed - error)
            daily[hour % HOURS_A_DAY] = of_day + weight_of_day * (missed - of_day)
        self.hours, self.error = hours, error

    def end_day(self, hour: int) -> Rise | None:
        """Judge the sum of the day whose last hour it is, then learn it. 3 µs."""
        known = _unpack_week(self.week_runs) if self.week_runs else []
        self.week_runs = _pack([*known[1 - DAYS_A_WEEK :], self.day_run])
        # The day on which a series began is only part of one, and would make the next ones look like a rise.
        is_whole = self.began <= hour + 1 - HOURS_A_DAY
        rise = self.drift.learn(self.day_total) if is_whole else None
        self.day_total, self.day_run = 0.0, b""
        return rise

    def runs_of_week(self) -> list[bytes]:
        """The dearest run of each of the last seven days that had one, oldest first."""
        return [run for run in _unpack_week(self.week_runs) if run]

    def is_quiet(self) -> bool:
        """Nothing was spent for so long that it may be forgotten."""
        return self.drift.is_zero_for(QUIET_DAYS)


def _limit(usual: float, error: float, of_day: float) -> float:
    if error < of_day:
        error = of_day
    limit = usual + BURST_ERRORS * error
    if limit < BURST_MULTIPLE * usual:
        limit = BURST_MULTIPLE * usual
    return limit


#: What a packed run begins with: credits and time.
_ORDER = Struct(">dq")
#: When a day with odd hours began, and the most that one of them spent.
_OUTLIER = Struct("=qd")
_pack = msgspec.msgpack.Encoder().encode
_unpack_ids = msgspec.msgpack.Decoder(tuple[str, str, str]).decode
_unpack_week = msgspec.msgpack.Decoder(list[bytes]).decode
