"""Read the audit log: who did what, newest first (30.2, 30.7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.tasks import MAX_PAGE

_audit = tables.audit_logs.c


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLogRow:
    """One thing that was done."""

    id: int
    #: None: the platform's.
    tenant_id: str | None
    actor: str
    invoked_via: str
    system_initiated: bool
    action_type: str
    resource_type: str
    resource_id: str
    episode_id: str | None
    decision_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime


def list_audit(
    connection: sa.Connection,
    *,
    resource_type: str | None = None,
    resource_id: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> tuple[Sequence[AuditLogRow], int | None]:
    """Rows of all tenants that the connection shows; and the id that the next page begins before."""
    limit = min(limit, MAX_PAGE)
    query = (
        sa.select(*(_audit[name] for name in AuditLogRow.__dataclass_fields__))
        .order_by(_audit.id.desc())
        .limit(limit + 1)
    )
    if resource_type is not None:
        query = query.where(_audit.resource_type == resource_type)
    if resource_id is not None:
        query = query.where(_audit.resource_id == resource_id)
    if before is not None:
        query = query.where(_audit.id < before)
    found = [AuditLogRow(**row._asdict()) for row in connection.execute(query)]
    return found[:limit], found[limit - 1].id if len(found) > limit else None
