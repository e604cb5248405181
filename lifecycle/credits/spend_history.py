"""Read what a workflow or a tenant spent by the hour, from the ledger, and the spend anomalies of that time (50.9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.entry import plain
from lifecycle.credits.spending import PERIOD
from lifecycle.kinds import CaseSeverity, DecisionKind, SpendRise

#: As long as weeks are compared with each other.
HISTORY = timedelta(weeks=9)

_INCIDENTS = (CaseSeverity.SEV0, CaseSeverity.SEV1, CaseSeverity.SEV2)

_runs = tables.credit_runs.c
_decisions = tables.decisions.c
_workflows = tables.workflows.c
_hour = sa.func.date_trunc("hour", _runs.occurred_at, "UTC")


@dataclass(frozen=True, slots=True)
class HourTotal:
    """What was spent in an hour that had runs."""

    begin: datetime
    credits: Decimal
    runs: int
    #: What the dearest of them cost.
    dearest: Decimal
    #: Runs of SEV0 to SEV2.
    incidents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendEpisode:
    """A spend anomaly as it was decided. Amounts are credits: of the hour (burst), or a day (drift)."""

    decision_id: str
    tenant_id: str
    #: None: the tenant's sum.
    workflow_id: str | None
    #: None for the tenant's sum, and where the registry has none, or has it for another tenant.
    workflow_name: str | None
    #: The end of the hour or day.
    occurred_at: datetime
    rise: SpendRise
    spent: float
    expected: float
    limit: float
    #: How many events it rests on are kept with the decision.
    evidence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSpend:
    """One workflow in the 30 days until the newest run."""

    tenant_id: str
    workflow_id: str
    #: None where the registry has none, or has it for another tenant.
    name: str | None
    credits: Decimal
    runs: int
    incidents: int
    anomalies: int


@dataclass(frozen=True, slots=True)
class SpendHistory:
    """Nine weeks until the tenant's newest run."""

    until: datetime
    #: Those with runs, oldest first.
    hours: Sequence[HourTotal]
    #: Newest first; of the one workflow, or of the tenant and all its workflows.
    episodes: Sequence[SpendEpisode]


def read_spend_history(connection: sa.Connection, tenant_id: str, workflow_id: str | None) -> SpendHistory | None:
    """What a workflow spent, or the tenant altogether; None when the caller sees no run. Reads all rows of the time."""
    mine = [_runs.tenant_id == tenant_id]
    until = connection.execute(sa.select(sa.func.max(_runs.occurred_at)).where(*mine)).scalar()
    if workflow_id is not None:
        mine.append(_runs.workflow_id == workflow_id)
    if until is None:
        return None
    rows = connection.execute(
        sa.select(
            _hour.label("begin"),
            sa.func.sum(_runs.credits_total).label("credits"),
            sa.func.count().label("runs"),
            sa.func.max(_runs.credits_total).label("dearest"),
            sa.func.count().filter(_runs.severity.in_(_INCIDENTS)).label("incidents"),
        )
        .where(*mine, _runs.occurred_at > until - HISTORY)
        .group_by(_hour)
        .order_by(_hour)
    )
    hours = [
        HourTotal(row.begin.astimezone(UTC), plain(row.credits), row.runs, row.dearest, row.incidents) for row in rows
    ]
    conditions = [_decisions.tenant_id == tenant_id, _decisions.occurred_at > until - HISTORY]
    if workflow_id is not None:
        conditions.append(_decisions.workflow_id == workflow_id)
    episodes = _episodes(connection, conditions)
    return SpendHistory(until.astimezone(UTC), hours, episodes) if hours else None


def read_episodes(connection: sa.Connection, *, tenant_id: str | None = None, limit: int) -> list[SpendEpisode]:
    """The newest spend anomalies of a tenant and its workflows, or of all that the caller may see."""
    return _episodes(connection, [] if tenant_id is None else [_decisions.tenant_id == tenant_id], limit)


def read_workflows(
    connection: sa.Connection, until: datetime, *, tenant_id: str | None = None, limit: int = 50
) -> list[WorkflowSpend]:
    """What workflows spent in the 30 days until then, the most expensive first."""
    total = sa.func.sum(_runs.credits_total)
    mine = [] if tenant_id is None else [_runs.tenant_id == tenant_id]
    spent = (
        sa.select(
            _runs.tenant_id,
            _runs.workflow_id,
            total.label("credits"),
            sa.func.count().label("runs"),
            sa.func.count().filter(_runs.severity.in_(_INCIDENTS)).label("incidents"),
        )
        .where(*mine, _runs.occurred_at > until - PERIOD)
        .group_by(_runs.tenant_id, _runs.workflow_id)
        .order_by(total.desc(), _runs.tenant_id, _runs.workflow_id)
        .limit(limit)
        .subquery()
    )
    anomalies = (
        sa.select(sa.func.count())
        .where(
            _decisions.kind == DecisionKind.SPEND_ANOMALY,
            _decisions.tenant_id == spent.c.tenant_id,
            _decisions.workflow_id == spent.c.workflow_id,
            _decisions.occurred_at > until - PERIOD,
        )
        .scalar_subquery()
    )
    rows = connection.execute(
        sa.select(spent, _workflows.name, anomalies.label("anomalies"))
        .join_from(
            spent,
            tables.workflows,
            (_workflows.tenant_id == spent.c.tenant_id) & (_workflows.workflow_id == spent.c.workflow_id),
            isouter=True,
        )
        .order_by(spent.c.credits.desc(), spent.c.tenant_id, spent.c.workflow_id)
    )
    return [
        WorkflowSpend(
            tenant_id=row.tenant_id,
            workflow_id=row.workflow_id,
            name=row.name,
            credits=plain(row.credits),
            runs=row.runs,
            incidents=row.incidents,
            anomalies=row.anomalies,
        )
        for row in rows
    ]


def _episodes(
    connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]], limit: int = 200
) -> list[SpendEpisode]:
    rows = connection.execute(
        episode_rows().where(*conditions).order_by(_decisions.occurred_at.desc(), _decisions.decision_id).limit(limit)
    )
    return [read_episode(row) for row in rows]


def episode_rows() -> sa.Select[Any]:
    """The query behind `SpendEpisode`, from `decisions`, for callers that add their own conditions."""
    evidence = tables.decision_evidence.c
    return (
        sa.select(
            _decisions.decision_id,
            _decisions.tenant_id,
            _decisions.workflow_id,
            _workflows.name.label("workflow_name"),
            _decisions.occurred_at,
            _decisions.reason_code,
            _decisions.observed,
            _decisions.threshold,
            sa.select(sa.func.count())
            .where(evidence.decision_id == _decisions.decision_id)
            .scalar_subquery()
            .label("evidence"),
        )
        .join_from(
            tables.decisions,
            tables.workflows,
            (_workflows.tenant_id == _decisions.tenant_id) & (_workflows.workflow_id == _decisions.workflow_id),
            isouter=True,
        )
        .where(_decisions.kind == DecisionKind.SPEND_ANOMALY, _decisions.reason_code.in_(list(SpendRise)))
    )


def read_episode(row: sa.Row[*tuple[Any, ...]]) -> SpendEpisode:
    """A row of `episode_rows` as a `SpendEpisode`."""
    rise = SpendRise(row.reason_code)
    return SpendEpisode(
        decision_id=row.decision_id,
        tenant_id=row.tenant_id,
        workflow_id=row.workflow_id,
        workflow_name=row.workflow_name,
        occurred_at=row.occurred_at.astimezone(UTC),
        rise=rise,
        spent=float(row.observed["credits" if rise is SpendRise.BURST else "credits_a_day"]),
        expected=float(row.threshold["expected"]),
        limit=float(row.threshold["limit"]),
        evidence=row.evidence,
    )
