"""Read the blacklist: workflows that are not started any more (40.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.cursors import Cursor, Order
from lifecycle.kinds import BlacklistSource
from lifecycle.tasks import MAX_PAGE

_blacklist = tables.workflow_blacklist.c


@dataclass(frozen=True, slots=True, kw_only=True)
class BlacklistedWorkflow:
    """An active row."""

    id: str
    tenant_id: str
    tenant_name: str
    workflow_id: str
    #: As it was called when it was blacklisted.
    workflow_name: str
    source: BlacklistSource
    reason: str
    stuck_count: int | None
    window: timedelta | None
    decision_id: str | None
    blacklisted_at: datetime
    blacklisted_by: str


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


def list_blacklisted(connection: sa.Connection, *, after: Cursor | None = None, limit: int = 50) -> BlacklistPage:
    """At most `limit` workflows that are on the blacklist now, newest first, after a cursor."""
    query = (
        sa.select(tables.workflow_blacklist, tables.tenants.c.name.label("tenant_name"))
        .join(tables.tenants, tables.tenants.c.id == _blacklist.tenant_id)
        .where(_blacklist.removed_at.is_(None))
        .order_by(_blacklist.blacklisted_at.desc(), _blacklist.id.desc())
    )
    if after is not None:
        there = sa.tuple_(
            sa.literal(after.at, _blacklist.blacklisted_at.type), sa.literal(after.id, _blacklist.id.type)
        )
        query = query.where(sa.tuple_(_blacklist.blacklisted_at, _blacklist.id) < there)
    limit = min(limit, MAX_PAGE)
    found = [
        BlacklistedWorkflow(
            id=row.id,
            tenant_id=row.tenant_id,
            tenant_name=row.tenant_name,
            workflow_id=row.workflow_id,
            workflow_name=row.workflow_name,
            source=BlacklistSource(row.source),
            reason=row.reason,
            stuck_count=row.stuck_count,
            window=None if row.window_seconds is None else timedelta(seconds=row.window_seconds),
            decision_id=row.decision_id,
            blacklisted_at=row.blacklisted_at,
            blacklisted_by=row.blacklisted_by,
        )
        for row in connection.execute(query.limit(limit + 1))
    ]
    page = found[:limit]
    last = Cursor(Order.NEWEST_FIRST, page[-1].blacklisted_at, page[-1].id) if len(found) > limit else None
    return BlacklistPage(page, last)
