"""What a change of status answers, and what a caller may say that it believed (30.2, 30.7)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.statuses import Status

Transact = Callable[[], AbstractContextManager[sa.Connection]]
"""Opens a transaction that commits at its end: what an operation of several transactions is handed (30.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the caller last knew of a version; looked at only when something would change."""

    last_known_status: Status | None = None
    #: From the body or from `If-Match`.
    last_known_updated_at: datetime | None = None


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSnapshot:
    """A version as a caller may see it."""

    id: str
    automation_id: str
    tenant_id: str
    status: Status
    blocked_reason: str | None
    blocked_at: datetime | None
    blocked_from_status: Status | None
    status_changed_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSnapshot:
    """The version's project, if it has one."""

    id: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusResult:
    """The state after a request."""

    automation_version: VersionSnapshot
    project: ProjectSnapshot | None
    #: The version was as requested before; nothing was written.
    already_applied: bool


def check_hints(hints: Hints, status: Status, updated_at: datetime) -> None:
    """`LifecycleError` `concurrency_conflict` when the version is no longer as the caller knew it."""
    details = []
    if hints.last_known_status not in (None, status):
        details.append(Detail("status_changed", "last_known_status", f"It is {status} now."))
    if hints.last_known_updated_at not in (None, updated_at):
        details.append(Detail("updated_since", "last_known_updated_at", f"It was changed at {updated_at.isoformat()}."))
    if details:
        raise LifecycleError(
            ErrorCode.CONCURRENCY_CONFLICT, "The version was changed meanwhile; load it again.", details
        )


def not_found() -> LifecycleError:
    """The same words for a version that is unknown and for one of another tenant."""
    return LifecycleError(ErrorCode.AUTOMATION_VERSION_NOT_FOUND, "There is no such automation version in this tenant.")


def read_result(
    connection: sa.Connection, tenant_id: str, automation_version_id: str, *, already_applied: bool
) -> StatusResult:
    """Read a version and its project as they are now; `LifecycleError` when the tenant has no such version."""
    row = connection.execute(_ONE, {"tenant": tenant_id, "version": automation_version_id}).first()
    if row is None:
        raise not_found()
    return StatusResult(
        automation_version=VersionSnapshot(
            id=row.id,
            automation_id=row.automation_id,
            tenant_id=row.tenant_id,
            status=Status(row.status),
            blocked_reason=row.blocked_reason,
            blocked_at=row.blocked_at,
            blocked_from_status=None if row.blocked_from_status is None else Status(row.blocked_from_status),
            status_changed_at=row.status_changed_at,
            updated_at=row.updated_at,
        ),
        project=None if row.project_id is None else ProjectSnapshot(id=row.project_id, status=row.project_status),
        already_applied=already_applied,
    )


_versions, _projects = tables.automation_versions.c, tables.projects.c
_ONE = (
    sa.select(
        _versions.id,
        _versions.automation_id,
        _versions.tenant_id,
        _versions.status,
        _versions.blocked_reason,
        _versions.blocked_at,
        _versions.blocked_from_status,
        _versions.status_changed_at,
        _versions.updated_at,
        _projects.id.label("project_id"),
        _projects.status.label("project_status"),
    )
    .outerjoin(
        tables.projects,
        sa.and_(_projects.tenant_id == _versions.tenant_id, _projects.automation_version_id == _versions.id),
    )
    .where(_versions.tenant_id == sa.bindparam("tenant"), _versions.id == sa.bindparam("version"))
)
