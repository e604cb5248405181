"""Which workflow each automation version's runs belong to: what an event's ids are checked against (spec 10)."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle.tables.registry import automation_versions, workflow_bindings


@dataclass(frozen=True, slots=True)
class VersionBinding:
    """One automation version, and the workflow bound to it, if there is one."""

    tenant_id: str
    automation_version_id: str
    workflow_id: str | None


def version_bindings(
    connection: sa.Connection, *, automation_version_id: str | None = None
) -> Iterator[VersionBinding]:
    """All versions, or the one asked for. One query; rows are streamed by the caller's connection."""
    versions, bindings = automation_versions.c, workflow_bindings.c
    joined = automation_versions.outerjoin(
        workflow_bindings,
        (bindings.tenant_id == versions.tenant_id) & (bindings.automation_version_id == versions.id),
    )
    query = sa.select(versions.tenant_id, versions.id, bindings.wrk_workflow_id).select_from(joined)
    if automation_version_id is not None:
        query = query.where(versions.id == automation_version_id)
    for tenant_id, version_id, workflow_id in connection.execute(query):
        yield VersionBinding(tenant_id, version_id, workflow_id)
