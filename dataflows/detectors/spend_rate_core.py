"""Is the newest value of a series something that was never seen before? (spec 50.9; docs/spend-rate.md)

Five quantities are followed for each value: the value itself, the mean of the last day's worth of points, what the
time of the day and week leaves unexplained, how much of that came suddenly, and how suddenly the value came on a scale
on which a hundred times the usual is a few times as much. Of each the least and the most so far are remembered, an
envelope that forgets slowly. A value is the more odd the further one of the five goes out of its envelope, measured in
the envelope's own width: only the series itself says what is much. Of values that can be exchanged for each other the
n-th is an extreme with probability 2/n (Renyi 1962), so false alarms get fewer with time, without any assumption
about how the values are distributed; the tolerances take off those that are extremes by a hair.

Strictly causal: a score depends on the points before and on its own, never on the length or range of what follows.
"""

import math
from datetime import datetime
from struct import Struct

import msgspec

#: From this score on a point is an alarm.
ALARM = 0.5

#: How far out of its envelope each quantity has to be for an alarm, as share of the envelope's width.
VALUE_TOLERANCE = 0.01
LEVEL_TOLERANCE = 0.07
SEASON_TOLERANCE = 0.1
SHIFT_TOLERANCE = 0.1
JUMP_TOLERANCE = 0.1

#: Points before the first one that is judged.
WARM_UP = 100
#: Points that make a level.
LEVEL_POINTS = 24
#: An episode goes on for so many points after its last alarm; within it only what is odder still is told.
EPISODE_POINTS = 60
#: The share of its half width by which all envelopes but the value's shrink with each point: half of what was extreme
#: is forgotten after 3,500 points. That of the value keeps all.
FORGETTING = 0.0002
#: The weight of the newest point in what the next one is compared with to say what is sudden.
RECENT_WEIGHT = 0.3
#: The weight of a new point in the usual value and its usual distance from it: two days of five minutes.
SCALE_WEIGHT = 0.002
#: A point moves both by no more than so many usual distances, and the usual distance is no less than this share of the
#: mean one: where most values are alike and some are far away, the latter count for something.
OUTLIER = 3.0
LEAST_SHARE = 0.1
#: The least weight of a new point in its hour's usual value: of the day, and of the week.
DAILY_WEIGHT = 0.03
WEEKLY_WEIGHT = 0.05
#: An hour of the week begins with what is known of that hour of any day, as though it had been seen so often.
BORROWED = 3

#: Differences below this share of a value are rounding.
ROUNDING = 1e-12
#: What is further from zero counts as this, and what is nearer as a difference of none, so that all stays finite.
LARGEST = 1e300
SMALLEST = 1e-300

HOURS_A_DAY = 24
WEEK_HOURS = 168
SLOTS = HOURS_A_DAY + WEEK_HOURS

#: How a number is remembered: packed, as a list of objects would take four times as much; in the machine's own order,
#: for `memoryview` reads no other.
NUMBER = Struct("=d")
_LEVEL = Struct(f"={LEVEL_POINTS}d")
#: The most that a count of an hour's values says; every weight is at its least by then.
MOST_POINTS = 255


class Envelope(msgspec.Struct, array_like=True, gc=False):
    """The least and the most of a quantity, lately."""

    low: float = math.inf
    high: float = -math.inf

    def novelty(self, quantity: float, finest: float, forgetting: float = FORGETTING) -> float:
        """How far it is outside, in widths of the envelope; 0 inside. The envelope then takes it in.

        What never varied has no width: any change is new then, unless it is only one of rounding, below `finest`.
        """
        low, high = self.low, self.high
        if low > high:
            low = high = quantity
        width = high - low
        found = 0.0
        if not low <= quantity <= high:
            outside = max(quantity - high, low - quantity)
            if outside > finest:
                found = outside / max(width, finest)
        shrunk = forgetting * width / 2
        high -= shrunk
        low += shrunk
        if high < quantity:
            high = quantity
        if low > quantity:
            low = quantity
        self.low, self.high = low, high
        return found


class Scale(msgspec.Struct, array_like=True, gc=False):
    """The usual value of a series whatever the time is, and how far its values usually are from it."""

    points: int = 0
    centre: float = 0.0
    spread: float = 0.0
    #: The mean distance with all outliers.
    mean_distance: float = 0.0

    def place(self, value: float, finest: float) -> float:
        """Say where a value is: how many usual distances away, by the inverse hyperbolic sine; then learn it.

        So 1 is 0.9, 10 is 3 and 100 is 5.3: near the centre it is the distance, far from it its logarithm.
        """
        spread, distance = self.spread, value - self.centre
        far = abs(distance)
        self.points += 1
        weight = max(1.0 / self.points, SCALE_WEIGHT)
        near = min(OUTLIER * spread, far) if spread else far
        self.centre += weight * (near if distance > 0.0 else -near)
        self.mean_distance += weight * (far - self.mean_distance)
        self.spread = max(spread + weight * (near - spread), LEAST_SHARE * self.mean_distance)
        # What never varied has no usual distance: the first change is one.
        return math.asinh(distance / (spread if spread > finest else max(far, finest)))


class Usual(msgspec.Struct, array_like=True, gc=False):
    """What the hours of the day and of the week usually bring; 2 KB.

    First the 24 hours of any day, then the 168 of the week: the mean as eight bytes, and in one byte how many values
    it was made from, up to where more would not change the weight of the next one.
    """

    means: bytearray = msgspec.field(default_factory=lambda: bytearray(NUMBER.size * SLOTS))
    points: bytearray = msgspec.field(default_factory=lambda: bytearray(SLOTS))

    def expected(self, at: datetime) -> float | None:
        """What this hour of the week usually brings; None before anything is known of it."""
        hour = at.hour
        slot = HOURS_A_DAY + at.weekday() * HOURS_A_DAY + hour
        means = memoryview(self.means).cast("d")
        if self.points[slot]:
            return means[slot]
        return means[hour] if self.points[hour] else None

    def learn(self, at: datetime, value: float) -> float:
        """Take in a value; return how far it was from what was expected of its hour."""
        hour = at.hour
        slot = HOURS_A_DAY + at.weekday() * HOURS_A_DAY + hour
        means, points = memoryview(self.means).cast("d"), self.points
        points[hour] = seen = min(points[hour] + 1, MOST_POINTS)
        means[hour] = mean = means[hour] + max(1.0 / seen, DAILY_WEIGHT) * (value - means[hour])
        if points[slot]:
            mean = means[slot]
        else:
            points[slot] = BORROWED
        error = value - mean
        points[slot] = seen = min(points[slot] + 1, MOST_POINTS)
        means[slot] = mean + max(1.0 / seen, WEEKLY_WEIGHT) * error
        return error


class SpendRate(msgspec.Struct, array_like=True, gc=False):
    """All that is remembered of a series: 3 KB, however long it gets."""

    points: int = 0
    value: Envelope = msgspec.field(default_factory=Envelope)
    level: Envelope = msgspec.field(default_factory=Envelope)
    season: Envelope = msgspec.field(default_factory=Envelope)
    shift: Envelope = msgspec.field(default_factory=Envelope)
    jump: Envelope = msgspec.field(default_factory=Envelope)
    scale: Scale = msgspec.field(default_factory=Scale)
    #: The largest value, without its sign: what is rounding is a share of it.
    largest: float = 0.0
    #: What the season did not explain lately, and where on the scale the values were.
    unexplained: float = 0.0
    place: float = 0.0
    usual: Usual = msgspec.field(default_factory=Usual)
    #: The newest values, oldest first.
    newest: bytearray = msgspec.field(default_factory=bytearray)
    #: The score of the last alarm's episode, and the point it was told at.
    told: float = 0.0
    told_at: int = 0

    def score(self, at: datetime, value: float) -> float:
        """How odd a value is, from 0 to below 1, judged before it is learned. 5 µs.

        `at` is the time whose hour and weekday count; points come in its order.
        """
        found = self.learn(at, value)
        return self.tell(self.points, found) if found > 0.0 else 0.0

    def odd(self, at: datetime, value: float) -> float:
        """The score that a value would have, whatever was told before; nothing is learned. 9 µs."""
        found = _decode(_encode(self)).learn(at, value)
        return found / (1.0 + found)

    def learn(self, at: datetime, value: float) -> float:
        """How far out a value is, as a multiple of what is tolerated; then it is learned."""
        if not -LARGEST <= value <= LARGEST:
            value = math.copysign(LARGEST, value)
        self.points += 1
        self.newest += NUMBER.pack(value)
        del self.newest[: -NUMBER.size * LEVEL_POINTS]
        newest = _LEVEL.unpack(self.newest) if len(self.newest) == _LEVEL.size else memoryview(self.newest).cast("d")
        error = self.usual.learn(at, value)
        shift = error - self.unexplained
        self.unexplained += RECENT_WEIGHT * shift
        if self.largest < abs(value):
            self.largest = abs(value)
        finest = ROUNDING * self.largest
        if finest < SMALLEST:
            finest = SMALLEST
        jump = self.scale.place(value, finest) - self.place
        self.place += RECENT_WEIGHT * jump
        return max(
            self.value.novelty(value, finest, forgetting=0.0) / VALUE_TOLERANCE,
            self.level.novelty(sum(newest) / len(newest), finest) / LEVEL_TOLERANCE,
            self.season.novelty(error, finest) / SEASON_TOLERANCE,
            self.shift.novelty(shift, finest) / SHIFT_TOLERANCE,
            self.jump.novelty(jump, ROUNDING) / JUMP_TOLERANCE,
        )

    def tell(self, point: int, found: float) -> float:
        """The score of a point, of how far out it is; 0 within an episode. Points come in their order."""
        odd = found / (1.0 + found)
        if point <= WARM_UP or (point - self.told_at <= EPISODE_POINTS and odd <= self.told):
            return 0.0
        self.told, self.told_at = odd, point
        return odd


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SpendRate).decode
