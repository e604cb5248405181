"""Who owns which version, and which workflow it is bound to: what the monitor checks events against (spec 10)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from lifecycle import tables

_versions = tables.automation_versions.c
_bindings = tables.workflow_bindings.c
_projects = tables.projects.c


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionBinding:
    """One version as the registry knows it."""

    tenant_id: str
    automation_version_id: str
    #: None while the version has no workflow; it stands for one itself then.
    workflow_id: str | None
    project_id: str | None
    status: str


_QUERY = sa.select(
    _versions.tenant_id,
    _versions.id.label("automation_version_id"),
    _bindings.wrk_workflow_id.label("workflow_id"),
    _projects.id.label("project_id"),
    _versions.status,
).select_from(
    tables.automation_versions.outerjoin(
        tables.workflow_bindings,
        sa.and_(_bindings.tenant_id == _versions.tenant_id, _bindings.automation_version_id == _versions.id),
    ).outerjoin(
        tables.projects,
        sa.and_(_projects.tenant_id == _versions.tenant_id, _projects.automation_version_id == _versions.id),
    )
)


def find_binding(connection: sa.Connection, automation_version_id: str) -> VersionBinding | None:
    """The binding of one version, whoever owns it; None when there is no such version."""
    if "\x00" in automation_version_id:
        return None
    row = connection.execute(_QUERY.where(_versions.id == automation_version_id)).first()
    return None if row is None else VersionBinding(**row._mapping)  # noqa: SLF001  (its public form)


def find_bindings(connection: sa.Connection, automation_version_ids: Sequence[str]) -> list[VersionBinding]:
    """The bindings of those versions that there are, in no order; one statement, however many are asked for."""
    ids = [one for one in automation_version_ids if "\x00" not in one]
    wanted = sa.any_(sa.literal(ids, ARRAY(sa.Text)))
    rows = connection.execute(_QUERY.where(_versions.id == wanted))
    return [VersionBinding(**row._mapping) for row in rows]  # noqa: SLF001  (its public form)


def read_bindings(
    connection: sa.Connection, *, batch: int = 10_000, limit: int | None = None
) -> Iterator[VersionBinding]:
    """All bindings, or so many of them, in no order, streamed in batches: memory does not grow with their number."""
    with connection.execution_options(yield_per=batch).execute(_QUERY.limit(limit)) as rows:
        for row in rows:
            yield VersionBinding(**row._mapping)  # noqa: SLF001  (its public form)
