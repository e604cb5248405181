"""Read the blacklist: workflows that are not started any more (40.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.cursors import Cursor, Order
from lifecycle.kinds import BlacklistSource
from lifecycle.tasks import MAX_PAGE

_blacklist = tables.workflow_blacklist.c


@dataclass(frozen=True, slots=True, kw_only=True)
class BlacklistedWorkflow:
    """A row: a workflow that is on the list, or was."""

    id: str
    tenant_id: str
    tenant_name: str
    workflow_id: str
    #: As it was called when it was blacklisted.
    workflow_name: str
    source: BlacklistSource
    reason: str
    stuck_count: int | None
    threshold: int | None
    window: timedelta | None
    execution_ids: Sequence[str]
    decision_id: str | None
    blacklisted_at: datetime
    blacklisted_by: str
    #: The rest is None while it is on the list.
    removed_at: datetime | None
    removed_by: str | None
    removal_note: str | None
    removal_source: BlacklistSource | None


@dataclass(frozen=True, slots=True)
class BlacklistPage:
    """One page of the list."""

    workflows: Sequence[BlacklistedWorkflow]
    #: None on the last page.
    next: Cursor | None


def is_on_blacklist(connection: sa.Connection, tenant_id: str, workflow_id: str) -> bool:
    """Whether a workflow is on the blacklist, as the caller's transaction sees it."""
    row = connection.execute(
        sa.select(_blacklist.id).where(
            _blacklist.tenant_id == tenant_id, _blacklist.workflow_id == workflow_id, _blacklist.removed_at.is_(None)
        )
    ).first()
    return row is not None


def is_released_since(connection: sa.Connection, tenant_id: str, workflow_id: str, at: datetime) -> bool:
    """Whether a workflow was taken off the blacklist at this time or later: what got stuck by then counts no more."""
    row = connection.execute(
        sa.select(_blacklist.id)
        .where(_blacklist.tenant_id == tenant_id, _blacklist.workflow_id == workflow_id, _blacklist.removed_at >= at)
        .limit(1)
    ).first()
    return row is not None


def tenants_on_blacklist(connection: sa.Connection, workflow_id: str, *, active: bool | None) -> Sequence[str]:
    """The tenants with rows of a workflow, sorted; `active` as for `list_blacklisted`. One, but where it was moved."""
    query = sa.select(_blacklist.tenant_id).where(_blacklist.workflow_id == workflow_id).distinct()
    if active is not None:
        query = query.where(_blacklist.removed_at.is_(None) if active else _blacklist.removed_at.is_not(None))
    return connection.execute(query.order_by(_blacklist.tenant_id)).scalars().all()


def list_blacklisted(
    connection: sa.Connection,
    *,
    active: bool | None = True,
    tenant_id: str | None = None,
    workflow_id: str | None = None,
    after: Cursor | None = None,
    limit: int = 50,
) -> BlacklistPage:
    """At most `limit` rows after a cursor, those that were put on the list last first.

    `active`: workflows that are on the list now, or rows of those taken off it, or (None) both.
    """
    query = (
        sa.select(tables.workflow_blacklist, tables.tenants.c.name.label("tenant_name"))
        .join(tables.tenants, tables.tenants.c.id == _blacklist.tenant_id)
        .order_by(_blacklist.blacklisted_at.desc(), _blacklist.id.desc())
    )
    if active is not None:
        query = query.where(_blacklist.removed_at.is_(None) if active else _blacklist.removed_at.is_not(None))
    if tenant_id is not None:
        query = query.where(_blacklist.tenant_id == tenant_id)
    if workflow_id is not None:
        query = query.where(_blacklist.workflow_id == workflow_id)
    if after is not None:
        there = sa.tuple_(
            sa.literal(after.at, _blacklist.blacklisted_at.type), sa.literal(after.id, _blacklist.id.type)
        )
        query = query.where(sa.tuple_(_blacklist.blacklisted_at, _blacklist.id) < there)
    limit = min(limit, MAX_PAGE)
    found = [_read(row) for row in connection.execute(query.limit(limit + 1))]
    page = found[:limit]
    last = Cursor(Order.NEWEST_FIRST, page[-1].blacklisted_at, page[-1].id) if len(found) > limit else None
    return BlacklistPage(page, last)


def _read(row: sa.Row[Any]) -> BlacklistedWorkflow:
    return BlacklistedWorkflow(
        id=row.id,
        tenant_id=row.tenant_id,
        tenant_name=row.tenant_name,
        workflow_id=row.workflow_id,
        workflow_name=row.workflow_name,
        source=BlacklistSource(row.source),
        reason=row.reason,
        stuck_count=row.stuck_count,
        threshold=row.threshold,
        window=None if row.window_seconds is None else timedelta(seconds=row.window_seconds),
        execution_ids=row.execution_ids,
        decision_id=row.decision_id,
        blacklisted_at=row.blacklisted_at,
        blacklisted_by=row.blacklisted_by,
        removed_at=row.removed_at,
        removed_by=row.removed_by,
        removal_note=row.removal_note,
        removal_source=None if row.removal_source is None else BlacklistSource(row.removal_source),
    )
