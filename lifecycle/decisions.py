"""Read decisions: what was concluded, on what evidence, and what was done about it (60.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.cursors import Cursor, Order
from lifecycle.kinds import DecisionKind, DecisionOutcome
from lifecycle.statuses import Status
from lifecycle.systems import System, find_systems
from lifecycle.tasks import MAX_PAGE, Task, read_task, task_rows

#: What audit rows of a decision's effects are about.
_RESOURCE_TYPES = ("automation_version", "task", "workflow")

_decisions = tables.decisions.c
_evidence = tables.decision_evidence.c
_joined = tables.task_decisions.c
_audit = tables.audit_logs.c
_versions = tables.automation_versions.c
_automations = tables.automations.c
_workflows = tables.workflows.c


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSummary:
    """A row of the list. Names are None where the registry has none, or has them for another tenant."""

    decision_id: str
    #: Not an enum: what is stored is shown, also when a newer version has written it.
    kind: str
    tenant_id: str | None
    tenant_name: str | None
    workflow_id: str | None
    workflow_name: str | None
    automation_version_id: str | None
    automation_name: str | None
    automation_version: int | None
    occurred_at: datetime
    policy_id: str
    reason_code: str
    outcome: DecisionOutcome
    outcome_reason: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One event that the decision rests on, and where it can be read again."""

    ordinal: int
    event_id: str
    source: str | None
    partition: int | None
    offset: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One thing that was done because of the decision."""

    created_at: datetime
    actor: str
    invoked_via: str
    action: str
    resource_type: str
    resource_id: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision with all that is known of it."""

    summary: DecisionSummary
    policy_version: int
    #: As it was decided, but for systems: see `systems`.
    observed: Mapping[str, Any]
    threshold: Mapping[str, Any]
    detail: Mapping[str, Any]
    #: What `observed` and `detail` name, as it may be shown: keys come with events and could hold anything (30.4).
    systems: Sequence[System]
    recorded_at: datetime
    #: Oldest first.
    evidence: Sequence[Evidence]
    tasks: Sequence[Task]
    #: In the order in which they were written.
    audit: Sequence[AuditRow]
    #: Where the version is now, not when it was decided; None where it is not known.
    automation_status: Status | None
    blocked_reason: str | None
    #: None: the workflow was not blacklisted by this decision.
    blacklisted_at: datetime | None
    blacklist_removed_at: datetime | None
    #: The credit case that the run belongs to, as people call it; None without one.
    case_id: str | None


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """One page of a list."""

    decisions: Sequence[DecisionSummary]
    #: None on the last page.
    next: Cursor | None


def list_decisions(
    connection: sa.Connection,
    *,
    kind: DecisionKind | None = None,
    task_id: str | None = None,
    after: Cursor | None = None,
    limit: int = 50,
) -> DecisionPage:
    """At most `limit` decisions, newest event time first, after a cursor; with `task_id` those that joined a task."""
    query = _summaries().order_by(_decisions.occurred_at.desc(), _decisions.decision_id.desc())
    if kind is not None:
        query = query.where(_decisions.kind == kind)
    if task_id is not None:
        query = query.where(
            _decisions.decision_id.in_(sa.select(_joined.decision_id).where(_joined.task_id == task_id))
        )
    if after is not None:
        query = query.where(
            sa.tuple_(_decisions.occurred_at, _decisions.decision_id)
            < sa.tuple_(
                sa.literal(after.at, _decisions.occurred_at.type), sa.literal(after.id, _decisions.decision_id.type)
            )
        )
    limit = min(limit, MAX_PAGE)
    found = [_summary(row) for row in connection.execute(query.limit(limit + 1))]
    page = found[:limit]
    last = Cursor(Order.NEWEST_FIRST, page[-1].occurred_at, page[-1].decision_id) if len(found) > limit else None
    return DecisionPage(page, last)


def get_decision(connection: sa.Connection, decision_id: str) -> Decision | None:
    """A decision with its evidence and effects; None when there is none. `decision_id` is a UUID's text."""
    query = _summaries().add_columns(
        _decisions.policy_version,
        _decisions.observed,
        _decisions.threshold,
        _decisions.detail,
        _decisions.recorded_at,
        _versions.status.label("automation_status"),
        _versions.blocked_reason,
    )
    row = connection.execute(query.where(_decisions.decision_id == decision_id)).first()
    if row is None:
        return None
    observed, detail = dict(row.observed), dict(row.detail)
    systems = find_systems(
        connection, _system_keys(observed.pop("system_key", None), detail.pop("failed_systems", None))
    )
    tasks = _tasks_of(connection, row)
    blacklist = tables.workflow_blacklist.c
    blacklisted = connection.execute(
        sa.select(blacklist.blacklisted_at, blacklist.removed_at).where(
            blacklist.tenant_id == row.tenant_id,
            blacklist.workflow_id == row.workflow_id,
            blacklist.decision_id == decision_id,
        )
    ).first()
    return Decision(
        summary=_summary(row),
        policy_version=row.policy_version,
        observed=observed,
        threshold=row.threshold,
        detail=detail,
        systems=systems,
        recorded_at=row.recorded_at,
        evidence=_evidence_of(connection, decision_id),
        tasks=tasks,
        audit=_audit_of(connection, row, tasks),
        automation_status=None if row.automation_status is None else Status(row.automation_status),
        blocked_reason=row.blocked_reason,
        blacklisted_at=None if blacklisted is None else blacklisted.blacklisted_at,
        blacklist_removed_at=None if blacklisted is None else blacklisted.removed_at,
        case_id=_case_of(connection, row),
    )


def count_decisions(connection: sa.Connection) -> dict[str, int]:
    """How many decisions were recorded, by kind. Reads them all: for metrics, not for pages."""
    rows = connection.execute(sa.select(_decisions.kind, sa.func.count()).group_by(_decisions.kind))
    return {kind: count for kind, count in rows}  # noqa: C416  (rows are no tuples to the type checker)


def _summaries() -> sa.Select[Any]:
    joined = (
        tables.decisions.outerjoin(tables.tenants, tables.tenants.c.id == _decisions.tenant_id)
        .outerjoin(
            tables.workflows,
            sa.and_(_workflows.tenant_id == _decisions.tenant_id, _workflows.workflow_id == _decisions.workflow_id),
        )
        .outerjoin(
            tables.automation_versions,
            sa.and_(_versions.tenant_id == _decisions.tenant_id, _versions.id == _decisions.automation_version_id),
        )
        .outerjoin(
            tables.automations,
            sa.and_(_automations.tenant_id == _versions.tenant_id, _automations.id == _versions.automation_id),
        )
    )
    return sa.select(
        _decisions.decision_id,
        _decisions.kind,
        _decisions.tenant_id,
        tables.tenants.c.name.label("tenant_name"),
        _decisions.workflow_id,
        _workflows.name.label("workflow_name"),
        _decisions.automation_version_id,
        _automations.name.label("automation_name"),
        _versions.version.label("automation_version"),
        _decisions.occurred_at,
        _decisions.policy_id,
        _decisions.reason_code,
        _decisions.outcome,
        _decisions.outcome_reason,
    ).select_from(joined)


def _summary(row: sa.Row[Any]) -> DecisionSummary:
    return DecisionSummary(
        decision_id=row.decision_id,
        kind=row.kind,
        tenant_id=row.tenant_id,
        tenant_name=row.tenant_name,
        workflow_id=row.workflow_id,
        workflow_name=row.workflow_name,
        automation_version_id=row.automation_version_id,
        automation_name=row.automation_name,
        automation_version=row.automation_version,
        occurred_at=row.occurred_at,
        policy_id=row.policy_id,
        reason_code=row.reason_code,
        outcome=DecisionOutcome(row.outcome),
        outcome_reason=row.outcome_reason,
    )


def _system_keys(judged: object, failed: object) -> set[str]:
    keys = [judged, *(failed if isinstance(failed, list) else [])]
    return {key for key in keys if isinstance(key, str)}


def _evidence_of(connection: sa.Connection, decision_id: str) -> list[Evidence]:
    rows = connection.execute(
        sa.select(
            _evidence.ordinal,
            _evidence.event_id,
            _evidence.source,
            _evidence.partition,
            _evidence.offset,
            _evidence.sha256,
        )
        .where(_evidence.decision_id == decision_id)
        .order_by(_evidence.ordinal)
    )
    return [Evidence(*row) for row in rows]


def _tasks_of(connection: sa.Connection, row: sa.Row[Any]) -> list[Task]:
    tasks = tables.tasks.c
    rows = connection.execute(
        task_rows()
        .where(
            tasks.tenant_id == row.tenant_id,
            sa.or_(
                tasks.decision_id == row.decision_id,
                tasks.id.in_(sa.select(_joined.task_id).where(_joined.decision_id == row.decision_id)),
            ),
        )
        .order_by(tasks.created_at, tasks.id)
    )
    return [read_task(task) for task in rows]


def _case_of(connection: sa.Connection, row: sa.Row[Any]) -> str | None:
    if row.kind != DecisionKind.CREDIT_INCIDENT:
        return None
    runs, cases = tables.credit_case_runs.c, tables.credit_cases.c
    case_id: str | None = connection.execute(
        sa.select(cases.case_id)
        .join_from(
            tables.credit_case_runs,
            tables.credit_cases,
            sa.and_(cases.tenant_id == runs.tenant_id, cases.id == runs.case_id),
        )
        .where(
            runs.tenant_id == row.tenant_id,
            runs.workflow_id == row.workflow_id,
            runs.execution_id == row.detail.get("execution_id"),
            runs.decision_id == row.decision_id,
        )
    ).scalar()
    return case_id


def _audit_of(connection: sa.Connection, row: sa.Row[Any], tasks: Sequence[Task]) -> list[AuditRow]:
    # By resource, since audit rows are indexed by what they are about and not by decision.
    resources = {row.automation_version_id, row.workflow_id, *(task.id for task in tasks)} - {None}
    rows = connection.execute(
        sa.select(
            _audit.created_at,
            _audit.actor,
            _audit.invoked_via,
            _audit.action_type,
            _audit.resource_type,
            _audit.resource_id,
            _audit["metadata"],
        )
        .where(
            _audit.resource_type.in_(_RESOURCE_TYPES),
            _audit.resource_id.in_(resources),
            _audit.decision_id == row.decision_id,
        )
        .order_by(_audit.id)
    )
    return [AuditRow(*audit) for audit in rows]
