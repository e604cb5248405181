"""An independent reading of docs/spend-rate.md for one stream: everything is remembered, and computed anew each hour.

How odd a value is, is asked of `core`: that part has an oracle of its own (`oracle_spend_core`).

Read without a switch:

- Runs are taken in the order of 50.2, as `oracle_credits` reads it. The highest event time ends the judging of hours.
- In an episode of bursts the score does not count: an hour above its limit with five runs goes on with it.
- Of runs that cost the same the later one is the dearer; of those at the same moment the one with the longer, then the
  greater event id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import sqrt
from statistics import fmean, variance
from typing import Any, Protocol

from tests.reference.oracle_credits import charges

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Core(Protocol):
    """How odd values are, one series."""

    def usual(self, at: datetime) -> float | None:
        """What this hour of the week usually brings."""

    def odd(self, at: datetime, value: float) -> float:
        """How odd the next value would be."""

    def learn(self, at: datetime, value: float) -> None:
        """Take in the next value."""


@dataclass
class _Run:
    hour: int
    due: datetime
    workflow: str
    execution: str
    event: str
    cost: float

    @property
    def rank(self) -> tuple[Any, ...]:
        ids = (self.event, self.execution, self.workflow)
        return (self.cost, self.due, *((len(one.encode()), one) for one in ids))


@dataclass
class _Series:
    began: int
    core: Core
    #: |x - u| of each hour that had a u, by hour, at most the limit once a week is known.
    errors: list[tuple[int, float]] = field(default_factory=list)
    bursts: list[int] = field(default_factory=list)
    #: The greatest sum of an odd hour above its limit, by the hour that its day began with.
    odd: dict[int, float] = field(default_factory=dict)
    #: What each hour counts towards its day.
    quiet: dict[int, float] = field(default_factory=dict)
    days: list[float] = field(default_factory=list)
    runs: list[_Run] = field(default_factory=list)
    is_told: bool = False

    def burst(self, hour: int, runs: list[_Run], total: float, explained: float) -> tuple[float, float, float] | None:
        """Score, usual and limit of an hour that begins an episode."""
        at = EPOCH + hour * HOUR
        usual = self.core.usual(at)
        score = self.core.odd(at, total)
        self.quiet[hour] = total - explained
        if usual is None:
            self.core.learn(at, total)
            return None
        count = len(self.errors)
        ofday = [(number, error) for number, (when, error) in enumerate(self.errors, 1) if (when - hour) % 24 == 0]
        everyday = _weighted([(max(1 / n, 1 / 168), error) for n, (_, error) in enumerate(self.errors, 1)])
        daily = _weighted([(max(1 / (1 + n // 24), 1 / 28), error) for n, error in ofday])
        limit = max(1.5 * usual, usual + 6 * max(everyday, daily))
        error = abs(total - usual)
        if count >= 168 and limit > usual:
            error = min(error, limit - usual)
        self.errors.append((hour, error))
        goes_on = bool(self.bursts) and hour - self.bursts[-1] <= 24
        if count >= 168 and total > limit and score >= 0.5:
            today = max((begun for begun in self.odd if hour - begun < 24), default=hour)
            before = [most for begun, most in self.odd.items() if begun < today <= begun + 63 * 24]
            highest = sorted(before, reverse=True)
            self.odd[today] = max(total, self.odd.get(today, 0.0))
            self.core.learn(at, min(total, max([limit, *highest[1:2]])))
        else:
            self.core.learn(at, total)
        if count >= 168:
            self.quiet[hour] = min(total - explained, limit)
        if count < 168 or len(runs) < 5 or total - max(run.cost for run in runs) - explained <= limit:
            return None
        if score < 0.5 and not goes_on:
            return None
        self.bursts.append(hour)
        self.quiet[hour] = usual
        return None if goes_on else (score, usual, limit)

    def compared(self) -> tuple[float, float, float] | None:
        """L, B and the standard error of their difference."""
        days = self.days[-56:]
        if len(days) < 21:
            return None
        before = days[: len(days) - 14]
        before = before[len(before) % 7 :]
        weeks = len(before) // 7
        known = days if weeks == 1 else days[:-7]
        s = sqrt(variance([later - earlier for earlier, later in zip(known, known[7:], strict=False)]) / 2)
        base = fmean(before)
        return fmean(days[-7:]), base, max(s, base / 100) * sqrt(1 / 7 + 1 / len(before))

    def end_day(self, hour: int) -> tuple[float, float, float] | None:
        """L, B and what would still be chance, on the day on which they are told."""
        hours = range(hour - 23, hour + 1)
        if self.began <= hour - 23:
            self.days.append(sum(self.quiet[one] for one in hours))
        compared = self.compared() if self.began <= hour - 23 else None
        if compared is None or compared[1] <= 0:
            return None
        lately, before, error = compared
        if self.is_told:
            self.is_told = lately - before > 2 * error
            return None
        limit = before + max(before / 10, 4.5 * error)
        self.is_told = lately >= limit
        return (lately, before, limit) if self.is_told else None

    def dearest_of_week(self, hour: int) -> list[str]:
        """The dearest run of each of the last seven days."""
        found = []
        for day in range(7):
            last = hour - 24 * day
            runs = [run for run in self.runs if last - 24 < run.hour <= last]
            found += [max(runs, key=lambda run: run.rank).event] if runs else []
        return sorted(found)


def spend_anomalies(lines: list[bytes], core: Callable[[], Core]) -> list[dict[str, Any]]:
    """Everything that is told of a stream, in the order of tenants, hours, workflows."""
    runs = [one for one in sorted(charges(lines), key=lambda one: one.order) if "kind" not in one.fields]
    out = []
    last = max(one.order[0] for one in runs)
    for tenant in sorted({one.fields["tenant_id"] for one in runs}):
        mine = [
            _Run(
                (one.order[0] - EPOCH) // HOUR,
                one.order[0],
                one.fields["workflow_id"],
                one.fields["execution_id"],
                one.fields["event_id"],
                min(float(one.fields["credits_total"]), 1e140),
            )
            for one in runs
            if one.fields["tenant_id"] == tenant
        ]
        out += [{"tenant": tenant, **told} for told in _of_tenant(mine, (last - EPOCH) // HOUR, core)]
    return out


def _of_tenant(runs: list[_Run], end: int, core: Callable[[], Core]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    series: dict[str, _Series] = {}
    own: _Series | None = None
    for hour in range(runs[0].hour, end):
        current = [run for run in runs if run.hour == hour]
        if not current and not series:
            own = None
            continue
        if own is None:
            own = _Series(hour, core())
        for run in current:
            series.setdefault(run.workflow, _Series(hour, core())).runs.append(run)
            own.runs.append(run)
        explained = 0.0
        for name, one in sorted(series.items()):
            now = [run for run in current if run.workflow == name]
            usual = one.core.usual(EPOCH + hour * HOUR) or 0.0
            total = sum(run.cost for run in now)
            burst = one.burst(hour, now, total, 0.0)
            if burst is not None:
                out.append(_told("spend_burst", name, hour, total, burst[1:], [run.event for run in _dearest(now)]))
            if one.bursts and one.bursts[-1] == hour:
                explained += total - usual
        total = sum(run.cost for run in current)
        burst = own.burst(hour, current, total, explained)
        if burst is not None:
            out.append(_told("spend_burst", None, hour, total, burst[1:], [run.event for run in _dearest(current)]))
        if (hour + 1) % 24:
            continue
        for name, one in [*sorted(series.items()), (None, own)]:
            rise = one.end_day(hour)
            if rise is None:
                continue
            if name is None:
                compared = [other.compared() for other in series.values() if other.is_told]
                if rise[0] - sum(was[0] - was[1] for was in compared if was is not None) < rise[2]:
                    own.is_told = False
                    continue
            out.append(_told("spend_drift", name, hour, rise[0], rise[1:], one.dearest_of_week(hour)))
        for name, one in list(series.items()):
            if len(one.days) >= 28 and not any(one.days[-28:]):
                del series[name]
    return out


def _dearest(runs: list[_Run]) -> list[_Run]:
    return sorted(runs, key=lambda run: run.rank)[-10:]


def _weighted(pairs: list[tuple[float, float]]) -> float:
    """An exponentially weighted mean, each value with its weight."""
    mean = 0.0
    for weight, value in pairs:
        mean += weight * (value - mean)
    return mean


def _told(
    reason: str, workflow: str | None, hour: int, spent: float, expected: tuple[float, ...], events: list[str]
) -> dict[str, Any]:
    return {
        "reason": reason,
        "workflow": workflow,
        "until": EPOCH + (hour + 1) * HOUR,
        "spent": spent,
        "expected": expected[0],
        "limit": expected[1],
        "events": sorted(events),
    }
