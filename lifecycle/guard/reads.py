"""Read what the guard holds, and its incidents."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import HoldStatus
from lifecycle.tasks import MAX_PAGE

_holds, _incidents = tables.holds.c, tables.provider_incidents.c


def list_holds(
    connection: sa.Connection, *, status: HoldStatus | None = None, limit: int = 50
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Holds of all tenants that the connection shows, newest first; all of them, or those of a status."""
    query = (
        sa.select(tables.holds, tables.tenants.c.name.label("tenant_name"))
        .join(tables.tenants, tables.tenants.c.id == _holds.tenant_id)
        .order_by(_holds.held_at.desc(), _holds.id)
        .limit(min(limit, MAX_PAGE))
    )
    if status is not None:
        query = query.where(_holds.status == status)
    return connection.execute(query).all()


def list_incidents(connection: sa.Connection, *, limit: int = 50) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Provider incidents, newest first."""
    return connection.execute(
        sa.select(tables.provider_incidents, tables.systems.c.display_name.label("system_name"))
        .outerjoin(tables.systems, tables.systems.c.system_key == _incidents.system_key)
        .order_by(_incidents.opened_at.desc(), _incidents.id)
        .limit(min(limit, MAX_PAGE))
    ).all()
