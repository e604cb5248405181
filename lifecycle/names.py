"""Read what tenants and workflows are called, for pages that hold their ids."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from lifecycle import tables

_tenants = tables.tenants.c
_workflows = tables.workflows.c


def read_tenant_names(connection: sa.Connection, tenant_ids: Collection[str]) -> Mapping[str, str]:
    """Names by id, of those tenants that are known and that the caller may see."""
    rows = connection.execute(sa.select(_tenants.id, _tenants.name).where(_tenants.id.in_(set(tenant_ids))))
    return {tenant_id: name for tenant_id, name in rows}  # noqa: C416  (rows are no tuples to the type checker)


def list_tenant_names(connection: sa.Connection, *, limit: int) -> Mapping[str, str]:
    """Names by id of at most so many tenants that the caller may see, by name."""
    rows = connection.execute(sa.select(_tenants.id, _tenants.name).order_by(_tenants.name, _tenants.id).limit(limit))
    return {tenant_id: name for tenant_id, name in rows}  # noqa: C416  (rows are no tuples to the type checker)


def read_workflow_name(connection: sa.Connection, tenant_id: str, workflow_id: str) -> str | None:
    """What a tenant's workflow is called; None where the registry has none, or has it for another tenant."""
    name: str | None = connection.execute(
        sa.select(_workflows.name).where(_workflows.tenant_id == tenant_id, _workflows.workflow_id == workflow_id)
    ).scalar()
    return name
