"""Read what the guard holds, and its incidents."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import HoldStatus
from lifecycle.tasks import MAX_PAGE

_holds, _incidents = tables.holds.c, tables.provider_incidents.c
_versions, _workflows = tables.automation_versions.c, tables.workflows.c


def list_holds(
    connection: sa.Connection, *, status: HoldStatus | None = None, limit: int = 50
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Holds of all tenants that the connection shows, with names, newest first; all of them, or those of a status."""
    query = (
        sa.select(
            tables.holds,
            tables.tenants.c.name.label("tenant_name"),
            tables.automations.c.name.label("automation_name"),
            tables.workflows.c.name.label("workflow_name"),
        )
        .join(tables.tenants, tables.tenants.c.id == _holds.tenant_id)
        .outerjoin(
            tables.workflows,
            sa.and_(_workflows.tenant_id == _holds.tenant_id, _workflows.workflow_id == _holds.workflow_id),
        )
        .outerjoin(
            tables.automation_versions,
            sa.and_(_versions.tenant_id == _holds.tenant_id, _versions.id == _holds.automation_version_id),
        )
        .outerjoin(
            tables.automations,
            sa.and_(
                tables.automations.c.tenant_id == _versions.tenant_id,
                tables.automations.c.id == _versions.automation_id,
            ),
        )
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
