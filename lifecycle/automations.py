"""Read automation versions: the list, one, its history (30.7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import BindingStatus, BlockKind
from lifecycle.results import not_found
from lifecycle.statuses import Status
from lifecycle.tasks import MAX_PAGE

_versions, _automations = tables.automation_versions.c, tables.automations.c
_bindings, _projects = tables.workflow_bindings.c, tables.projects.c
_history = tables.automation_versions_status_history.c
_reasons = tables.block_reasons.c


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """A version with what belongs to it."""

    id: str
    tenant_id: str
    tenant_name: str
    automation_id: str
    automation_name: str
    owner_user_id: str | None
    version: int
    status: Status
    blocked_reason: str | None
    blocked_at: datetime | None
    blocked_from_status: Status | None
    status_changed_at: datetime
    updated_at: datetime
    workflow_id: str | None
    binding_status: BindingStatus | None
    project_id: str | None
    project_status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One step of a version."""

    from_status: Status | None
    to_status: Status
    operation: str
    actor: str
    system_initiated: bool
    reason_code: str | None
    episode_id: str | None
    decision_id: str | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class OpenBlockReason:
    """One of the reasons that keep a version blocked."""

    kind: BlockKind
    reason: str
    opened_at: datetime
    #: None for a block by hand.
    decision_id: str | None


def list_versions(
    connection: sa.Connection,
    *,
    status: Status | None = None,
    automation_id: str | None = None,
    tenant_id: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> tuple[Sequence[VersionSummary], str | None]:
    """Versions by id, of all tenants that the connection shows; and the id that the next page begins after."""
    limit = min(limit, MAX_PAGE)
    query = _summaries().order_by(_versions.id).limit(limit + 1)
    if status is not None:
        query = query.where(_versions.status == status)
    if automation_id is not None:
        query = query.where(_versions.automation_id == automation_id)
    if tenant_id is not None:
        query = query.where(_versions.tenant_id == tenant_id)
    if after is not None:
        query = query.where(_versions.id > after)
    found = [_summary(row) for row in connection.execute(query)]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def read_version(connection: sa.Connection, tenant_id: str, automation_version_id: str) -> VersionSummary:
    """One version of a tenant; `LifecycleError` when it has no such one."""
    row = connection.execute(_ONE, {"tenant": tenant_id, "version": automation_version_id}).first()
    if row is None:
        raise not_found()
    return _summary(row)


def read_history(
    connection: sa.Connection, tenant_id: str, automation_version_id: str, *, limit: int = 200
) -> Sequence[HistoryRow]:
    """The steps of a version, newest first."""
    rows = connection.execute(
        sa.select(tables.automation_versions_status_history)
        .where(_history.tenant_id == tenant_id, _history.automation_version_id == automation_version_id)
        .order_by(_history.id.desc())
        .limit(limit)
    )
    return [
        HistoryRow(
            from_status=None if row.from_status is None else Status(row.from_status),
            to_status=Status(row.to_status),
            operation=row.operation,
            actor=row.actor,
            system_initiated=row.system_initiated,
            reason_code=row.reason_code,
            episode_id=row.episode_id,
            decision_id=row.decision_id,
            changed_at=row.changed_at,
        )
        for row in rows
    ]


def read_block_reasons(
    connection: sa.Connection, tenant_id: str, automation_version_id: str
) -> Sequence[OpenBlockReason]:
    """Why a version is blocked, oldest reason first; nothing for one that is not."""
    rows = connection.execute(
        sa.select(_reasons.kind, _reasons.reason, _reasons.opened_at, _reasons.decision_id)
        .where(
            _reasons.tenant_id == tenant_id,
            _reasons.automation_version_id == automation_version_id,
            _reasons.cleared_at.is_(None),
        )
        .order_by(_reasons.opened_at, _reasons.id)
    )
    return [OpenBlockReason(BlockKind(row.kind), row.reason, row.opened_at, row.decision_id) for row in rows]


def _summaries() -> sa.Select[Any]:
    return sa.select(
        tables.automation_versions,
        tables.tenants.c.name.label("tenant_name"),
        _automations.name.label("automation_name"),
        _automations.owner_user_id,
        _bindings.wrk_workflow_id.label("workflow_id"),
        _bindings.status.label("binding_status"),
        _projects.id.label("project_id"),
        _projects.status.label("project_status"),
    ).select_from(
        tables.automation_versions.join(tables.tenants, tables.tenants.c.id == _versions.tenant_id)
        .join(
            tables.automations,
            sa.and_(_automations.tenant_id == _versions.tenant_id, _automations.id == _versions.automation_id),
        )
        .outerjoin(
            tables.workflow_bindings,
            sa.and_(_bindings.tenant_id == _versions.tenant_id, _bindings.automation_version_id == _versions.id),
        )
        .outerjoin(
            tables.projects,
            sa.and_(_projects.tenant_id == _versions.tenant_id, _projects.automation_version_id == _versions.id),
        )
    )


def _summary(row: sa.Row[Any]) -> VersionSummary:
    return VersionSummary(
        id=row.id,
        tenant_id=row.tenant_id,
        tenant_name=row.tenant_name,
        automation_id=row.automation_id,
        automation_name=row.automation_name,
        owner_user_id=row.owner_user_id,
        version=row.version,
        status=Status(row.status),
        blocked_reason=row.blocked_reason,
        blocked_at=row.blocked_at,
        blocked_from_status=None if row.blocked_from_status is None else Status(row.blocked_from_status),
        status_changed_at=row.status_changed_at,
        updated_at=row.updated_at,
        workflow_id=row.workflow_id,
        binding_status=None if row.binding_status is None else BindingStatus(row.binding_status),
        project_id=row.project_id,
        project_status=row.project_status,
    )


#: Built once: building it costs more than Postgres takes to answer it.
_ONE = _summaries().where(_versions.tenant_id == sa.bindparam("tenant"), _versions.id == sa.bindparam("version"))
