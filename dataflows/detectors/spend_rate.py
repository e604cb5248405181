"""Is more spent in an hour, or from week to week, than usually? (spec 50.9; docs/spend-rate.md)

Sees a tenant's terminal runs with credits in the order in which the second stage judges them. What they cost is summed
by the hour, for each workflow and for the tenant; an hour is judged when it is over, and hours without runs count.
Two things are told, once an episode: an hour that spends what no such hour ever did (`burst`), and weeks that rise by
too little for any hour or day to show it (`drift`). The tenant's own sums show what is too small in each workflow.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from heapq import nlargest

import msgspec

from dataflows.decisions import MAX_EVIDENCE, Decision, DecisionKind, ReasonCode, decision_id
from dataflows.detectors.spend_drift import DAYS_A_WEEK, Rise
from dataflows.detectors.spend_rate_core import ALARM, HOURS_A_DAY
from dataflows.detectors.spend_series import DEAREST, Burst, Hour, Series, Spent, credits_of, ends_day, packed, unpacked
from dataflows.events import RunEvent
from dataflows.times import EPOCH, from_micros

POLICY_ID = "spend_rate"

HOUR = 3_600_000_000
#: A run counts with no more credits than this, so that sums, and squares of their differences, are numbers.
MOST_CREDITS = 1e140
#: Workflows that a tenant's drift names.
WORKFLOWS_NAMED = 10


class Tenant(msgspec.Struct, array_like=True, gc=False):
    """All series of a tenant; their hours end together."""

    tenant_id: str
    #: The hour that is going on, in hours since the epoch.
    hour: int
    #: Of the sums over all workflows.
    own: Series
    workflows: dict[str, Series] = {}
    #: Of the workflows that have spent something in this hour.
    current: dict[str, Hour] = {}


class SpendAnomalies:
    """The detector. Tenants are changed in place."""

    def __init__(self, policy_version: int = 1) -> None:
        self._policy_version = policy_version

    def begin(self, tenant_id: str, now: int) -> Tenant:
        """A tenant of which nothing is known."""
        return Tenant(tenant_id, now // HOUR, Series(now // HOUR))

    def on_run(self, tenant: Tenant, event: RunEvent, now: int) -> Sequence[Decision]:
        """Count a run at `now`, which never goes back: its event time, or how far its lane had come, if later. 1 µs."""
        out = () if now // HOUR <= tenant.hour else self.on_time(tenant, now)
        workflow_id = event.workflow_id or ""
        hour = tenant.current.get(workflow_id)
        if hour is None:
            hour = tenant.current[workflow_id] = Hour()
            series = tenant.workflows.get(workflow_id)
            if series is not None:
                # Would do at the hour's end; many workflows that have rested for long would make that a long one.
                series.catch_up(tenant.hour)
        hour.add(min(event.credits_total or 0.0, MOST_CREDITS), now, event.event_id, event.execution_id or "")
        return out

    def on_time(self, tenant: Tenant, now: int) -> list[Decision]:
        """Judge the hours that are over at `now`, one after another: 8 µs for each workflow that spent something."""
        hour = now // HOUR
        out: list[Decision] = []
        while tenant.hour < hour:
            if not tenant.current and not tenant.workflows:
                # Nothing is known, or nothing was spent for so long that all was forgotten: the next run begins anew.
                tenant.hour, tenant.own = hour, Series(hour)
                break
            if tenant.current:
                out += self._end_hour(tenant)
            if ends_day(tenant.hour):
                out += self._end_day(tenant)
            tenant.hour += 1
        return out

    def _end_hour(self, tenant: Tenant) -> Iterable[Decision]:
        hour, current, own = tenant.hour, tenant.current, tenant.own
        at = EPOCH + timedelta(hours=hour)
        tenant.current = {}
        for workflow_id in current:
            if workflow_id not in tenant.workflows:
                tenant.workflows[workflow_id] = Series(hour)
        total = explained = most = 0.0
        runs = 0
        for workflow_id, spent in sorted(current.items()):
            series = tenant.workflows[workflow_id]
            dearest = spent.dearest[-1]
            cost = credits_of(dearest)
            burst = series.judge(hour, at, spent.total, spent.runs, cost)
            if burst is not None:
                explained += spent.total - burst.usual
                if burst.is_first:
                    runs_told = [unpacked(run, workflow_id) for run in spent.dearest]
                    yield self._told_burst(tenant, workflow_id, burst, spent.total, spent.runs, runs_told)
            series.day_run = max(series.day_run, dearest)
            if dearest > own.day_run:
                own.day_run = packed(*unpacked(dearest, workflow_id))
            total += spent.total
            most = max(most, cost)
            runs += spent.runs
        burst = own.judge(hour, at, total, runs, most, explained)
        if burst is not None and burst.is_first:
            everyones = (packed(*unpacked(run, name)) for name, spent in current.items() for run in spent.dearest)
            dearest_of_all = [unpacked(run) for run in nlargest(DEAREST, everyones)]
            yield self._told_burst(tenant, None, burst, total, runs, dearest_of_all)

    def _end_day(self, tenant: Tenant) -> Iterable[Decision]:
        hour, own = tenant.hour, tenant.own
        for workflow_id, series in sorted(tenant.workflows.items()):
            rise = series.end_day(hour)
            if rise is not None:
                yield self._told_drift(tenant, workflow_id, series, rise)
        rise = own.end_day(hour)
        if rise is not None:
            told = sum(one.drift.lately_more() for _, one in sorted(tenant.workflows.items()) if one.drift.is_told)
            if rise.lately - told < rise.limit:
                # The workflows' own decisions say it; what comes on top of them is not told yet.
                own.drift.is_told = False
            else:
                yield self._told_drift(tenant, None, own, rise)
        for gone in [name for name, one in tenant.workflows.items() if one.is_quiet()]:
            del tenant.workflows[gone]

    def _told_burst(
        self, tenant: Tenant, workflow_id: str | None, burst: Burst, total: float, runs: int, dearest: list[Spent]
    ) -> Decision:
        return self._decision(
            tenant,
            workflow_id,
            ReasonCode.SPEND_BURST,
            observed={"credits": total, "runs": runs, "score": burst.score},
            threshold={"expected": burst.usual, "limit": burst.limit, "score": ALARM, "window_hours": 1},
            runs=dearest,
        )

    def _told_drift(self, tenant: Tenant, workflow_id: str | None, series: Series, rise: Rise) -> Decision:
        decision = self._decision(
            tenant,
            workflow_id,
            ReasonCode.SPEND_DRIFT,
            observed={"credits_a_day": rise.lately, "share_more": rise.lately / rise.before - 1.0},
            threshold={"expected": rise.before, "limit": rise.limit, "window_hours": DAYS_A_WEEK * HOURS_A_DAY},
            runs=[unpacked(run, workflow_id) for run in series.runs_of_week()],
        )
        if workflow_id is not None:
            return decision
        risen = {name: more for name, one in tenant.workflows.items() if (more := one.drift.lately_more()) > 0}
        decision.detail["workflows"] = [
            {"workflow_id": name, "credits_a_day_more": risen[name]}
            for name in nlargest(WORKFLOWS_NAMED, sorted(risen), key=risen.__getitem__)
        ]
        return decision

    def _decision(
        self,
        tenant: Tenant,
        workflow_id: str | None,
        reason: ReasonCode,
        *,
        observed: dict[str, float],
        threshold: dict[str, float],
        runs: Iterable[Spent],
    ) -> Decision:
        ends = EPOCH + timedelta(hours=tenant.hour + 1)
        cause = f"{reason.value}:{ends.isoformat()}"
        dearest = sorted(runs, reverse=True)
        in_order = sorted(dearest, key=lambda one: (one.time, one.event_id))[-MAX_EVIDENCE:]
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
                        "occurred_at": from_micros(one.time).isoformat(),
                    }
                    for one in dearest
                ],
            },
        )
