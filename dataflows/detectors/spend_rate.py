"""Is more spent in an hour, or from week to week, than usually? (spec 50.9; docs/spend-rate.md)

Sees a tenant's terminal runs with credits in the order in which the second stage judges them. What they cost is summed
by the hour, for each workflow and for the tenant; an hour is judged when it is over, and hours without runs count.
Two things are told, once an episode: an hour that spends what no such hour ever did (`burst`), and weeks that rise by
too little for any hour or day to show it (`drift`). The tenant's own sums show what is too small in each workflow.
"""

from collections.abc import Iterable
from datetime import UTC, timedelta
from heapq import nlargest

import msgspec

from dataflows.decisions import MAX_EVIDENCE, Decision, DecisionKind, ReasonCode, decision_id
from dataflows.detectors.spend_drift import DAYS_A_WEEK, Drift, Rise
from dataflows.detectors.spend_rate_core import ALARM, WEEK_HOURS, SpendRate
from dataflows.events import RunEvent
from dataflows.times import EPOCH, from_micros

POLICY_ID = "spend_rate"

HOUR = 3_600_000_000
DAY_HOURS = 24

#: A burst matters from this multiple of the usual on, and from this many mean errors of such hours above it.
BURST_MULTIPLE = 1.5
BURST_ERRORS = 6.0
#: The least weight of a new hour's error in the mean one, of all hours and of that hour of the day.
ERROR_WEIGHT = 1 / WEEK_HOURS
DAILY_ERROR_WEIGHT = 1 / 28
#: Fewer runs are no burst: what a single run costs is judged by its scenario.
BURST_RUNS = 5
#: A burst is over when no hour was one for so long.
BURST_OVER = 24
#: Days without spending after which a workflow is forgotten, and a tenant begins anew.
QUIET_DAYS = 28
#: The dearest runs that are remembered of an hour and of today, those of each day before; workflows that are named.
DEAREST = 10
DEAREST_OF_A_DAY = 3
WORKFLOWS_NAMED = 10


class Spent(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """A run as evidence; ordered by what it cost, then by its time."""

    credits: float
    time: int
    event_id: str
    execution_id: str
    workflow_id: str


class Series(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of a workflow's or a tenant's spending; 25 KB."""

    #: The hour that is being summed, in hours since the epoch.
    hour: int
    #: The first hour.
    began: int
    total: float = 0.0
    runs: int = 0
    dearest: list[Spent] = []
    rate: SpendRate = msgspec.field(default_factory=SpendRate)
    #: The mean distance of an hour from what was expected of it: of any hour, and by the hour of the day.
    error: float = 0.0
    daily_error: list[float] = msgspec.field(default_factory=lambda: [0.0] * DAY_HOURS)
    hours: int = 0
    #: The last hour that was a burst, told or not.
    burst: int | None = None
    drift: Drift = msgspec.field(default_factory=Drift)
    day_total: float = 0.0
    day_dearest: list[Spent] = []
    #: Of the last seven days, oldest first.
    week_dearest: list[list[Spent]] = []

    def is_quiet(self) -> bool:
        """Nothing was spent for so long that it may be forgotten."""
        days = self.drift.days[-QUIET_DAYS:]
        return len(days) == QUIET_DAYS and not any(days)


class Tenant(msgspec.Struct, array_like=True, gc=False):
    """All series of a tenant; their hours end together."""

    tenant_id: str
    own: Series
    workflows: dict[str, Series] = {}
    #: Nothing was spent for so long that all was forgotten; the next run begins anew.
    is_asleep: bool = False


class Burst(msgspec.Struct, frozen=True):
    """An hour that spent too much, with the range that was expected."""

    score: float
    usual: float
    limit: float


class SpendAnomalies:
    """The detector. Tenants are changed in place."""

    def __init__(self, policy_version: int = 1) -> None:
        self._policy_version = policy_version

    def begin(self, tenant_id: str, now: int) -> Tenant:
        """A tenant of which nothing is known."""
        return Tenant(tenant_id, _begun(now // HOUR))

    def on_run(self, tenant: Tenant, event: RunEvent, now: int) -> list[Decision]:
        """Count a run at `now`, which never goes back: its event time, or how far its lane had come, if later."""
        out = self.on_time(tenant, now)
        tenant.is_asleep = False
        workflow_id = event.workflow_id or ""
        series = tenant.workflows.get(workflow_id)
        if series is None:
            series = tenant.workflows[workflow_id] = _begun(tenant.own.hour)
        credits_ = event.credits_total or 0.0
        spent = Spent(credits_, now, event.event_id, event.execution_id or "", workflow_id)
        for one in (series, tenant.own):
            one.total += credits_
            one.runs += 1
            if len(one.dearest) < DEAREST or one.dearest[-1] < spent:
                one.dearest = _dearest(one.dearest, [spent])
        return out

    def on_time(self, tenant: Tenant, now: int) -> list[Decision]:
        """Judge the hours that are over at `now`, one after another."""
        hour = now // HOUR
        if hour <= tenant.own.hour:
            return []
        if tenant.is_asleep:
            tenant.own = _begun(hour)
            return []
        out: list[Decision] = []
        for over in range(tenant.own.hour, hour):
            explained = 0.0
            for workflow_id, series in sorted(tenant.workflows.items()):
                usual, total = series.rate.usual.expected(EPOCH + timedelta(hours=over)), series.total
                out += self._end_hour(tenant, workflow_id, series, over)
                if series.burst == over:
                    explained += total - (usual or 0.0)
            out += self._end_hour(tenant, None, tenant.own, over, explained)
            if (over + 1) % DAY_HOURS == 0:
                for gone in [name for name, one in tenant.workflows.items() if one.is_quiet()]:
                    del tenant.workflows[gone]
                if tenant.own.is_quiet():
                    tenant.own, tenant.workflows, tenant.is_asleep = _begun(hour), {}, True
                    break
        return out

    def _end_hour(
        self, tenant: Tenant, workflow_id: str | None, series: Series, hour: int, explained: float = 0.0
    ) -> Iterable[Decision]:
        """`explained` is what workflows spent too much in the hour, and was told of them."""
        burst = _burst(series, hour, explained)
        if burst is not None:
            yield self._told_burst(tenant, workflow_id, series, burst, hour)
        series.day_total += series.total
        series.day_dearest = _dearest(series.day_dearest, series.dearest)
        series.hour, series.total, series.runs, series.dearest = hour + 1, 0.0, 0, []
        if (hour + 1) % DAY_HOURS:
            return
        series.week_dearest = [*series.week_dearest[1 - DAYS_A_WEEK :], series.day_dearest[:DEAREST_OF_A_DAY]]
        # The day on which a series began is only part of one, and would make the next ones look like a rise.
        is_whole = series.began <= hour + 1 - DAY_HOURS
        rise = series.drift.learn(series.day_total) if is_whole else None
        series.day_total, series.day_dearest = 0.0, []
        if rise is None:
            return
        if workflow_id is None:
            told = sum(one.drift.lately_more() for one in tenant.workflows.values() if one.drift.is_told)
            if rise.lately - told < rise.limit:
                # The workflows' own decisions say it; what comes on top of them is not told yet.
                series.drift.is_told = False
                return
        yield self._told_drift(tenant, workflow_id, series, rise, hour)

    def _told_burst(self, tenant: Tenant, workflow_id: str | None, series: Series, burst: Burst, hour: int) -> Decision:
        return self._decision(
            tenant,
            workflow_id,
            ReasonCode.SPEND_BURST,
            hour,
            observed={"credits": series.total, "runs": series.runs, "score": burst.score},
            threshold={"expected": burst.usual, "limit": burst.limit, "score": ALARM, "window_hours": 1},
            runs=series.dearest,
        )

    def _told_drift(self, tenant: Tenant, workflow_id: str | None, series: Series, rise: Rise, hour: int) -> Decision:
        risen = {name: more for name, one in tenant.workflows.items() if (more := one.drift.lately_more()) > 0}
        return self._decision(
            tenant,
            workflow_id,
            ReasonCode.SPEND_DRIFT,
            hour,
            observed={"credits_a_day": rise.lately, "share_more": rise.lately / rise.before - 1.0},
            threshold={"expected": rise.before, "limit": rise.limit, "window_hours": DAYS_A_WEEK * DAY_HOURS},
            runs=_dearest([], [one for day in series.week_dearest for one in day]),
            more={}
            if workflow_id is not None
            else {
                "workflows": [
                    {"workflow_id": name, "credits_a_day_more": risen[name]}
                    for name in nlargest(WORKFLOWS_NAMED, sorted(risen), key=risen.__getitem__)
                ]
            },
        )

    def _decision(
        self,
        tenant: Tenant,
        workflow_id: str | None,
        reason: ReasonCode,
        hour: int,
        *,
        observed: dict[str, float],
        threshold: dict[str, float],
        runs: list[Spent],
        more: dict[str, object] | None = None,
    ) -> Decision:
        ends = EPOCH + timedelta(hours=hour + 1)
        cause = f"{reason.value}:{ends.isoformat()}"
        in_order = sorted(runs, key=lambda one: (one.time, one.event_id))[-MAX_EVIDENCE:]
        return Decision(
            decision_id=decision_id(DecisionKind.SPEND_ANOMALY, tenant.tenant_id, workflow_id or "", POLICY_ID, cause),
            kind=DecisionKind.SPEND_ANOMALY,
            tenant_id=tenant.tenant_id,
            workflow_id=workflow_id,
            automation_version_id=None,
            occurred_at=ends,
            policy_id=POLICY_ID,
            policy_version=self._policy_version,
            reason_code=reason,
            observed=dict(observed),
            threshold=dict(threshold),
            evidence=[one.event_id for one in in_order],
            detail={
                "scope": "tenant" if workflow_id is None else "workflow",
                "runs": [
                    {
                        "execution_id": one.execution_id,
                        "workflow_id": one.workflow_id,
                        "credits": one.credits,
                        "occurred_at": from_micros(one.time).astimezone(UTC).isoformat(),
                    }
                    for one in sorted(runs, reverse=True)
                ],
                **(more or {}),
            },
        )


def _begun(hour: int) -> Series:
    return Series(hour, began=hour)


def _burst(series: Series, hour: int, explained: float) -> Burst | None:
    """Judge an hour's sum, then learn it; the first of an episode is told, unless it was of the workflows."""
    at = EPOCH + timedelta(hours=hour)
    usual = series.rate.usual.expected(at)
    score = series.rate.score(at, series.total)
    if usual is None:
        return None
    hour_of_day = hour % DAY_HOURS
    error = BURST_ERRORS * max(series.error, series.daily_error[hour_of_day])
    limit = max(BURST_MULTIPLE * usual, usual + error)
    series.hours += 1
    is_known = series.hours > WEEK_HOURS
    # What is far out is learned as though it were at the limit: a burst shall not hide the next one.
    missed = abs(series.total - usual)
    if is_known and limit > usual:
        missed = min(missed, limit - usual)
    series.error += max(1 / series.hours, ERROR_WEIGHT) * (missed - series.error)
    weight = max(1 / (1 + series.hours // DAY_HOURS), DAILY_ERROR_WEIGHT)
    series.daily_error[hour_of_day] += weight * (missed - series.daily_error[hour_of_day])
    if not is_known or series.runs < BURST_RUNS or series.total - explained <= limit:
        return None
    is_going_on = series.burst is not None and hour - series.burst <= BURST_OVER
    if score < ALARM and not is_going_on:
        return None
    series.burst = hour
    return None if is_going_on else Burst(score, usual, limit)


def _dearest(known: list[Spent], more: Iterable[Spent]) -> list[Spent]:
    """The dearest of both, the dearest first."""
    return nlargest(DEAREST, [*known, *more])
