"""Which version another system's name stands for: `workflow_bindings.external_ref` (spec 10, Other inputs)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.statuses import Status

_versions = tables.automation_versions.c
_bindings = tables.workflow_bindings.c

#: Of versions with the same name that one runs which is in front; runs of a blocked one may still be under way.
_RANK = {Status.LIVE: 0, Status.BLOCKED: 1, Status.PAUSED: 1, Status.ARCHIVED: 3}
_NOT_YET_LIVE = 2

_QUERY = (
    sa.select(
        _versions.tenant_id,
        _versions.id.label("automation_version_id"),
        _bindings.wrk_workflow_id.label("workflow_id"),
        _versions.automation_id,
        _versions.version,
        _versions.status,
    )
    .select_from(tables.workflow_bindings)
    .join(
        tables.automation_versions,
        sa.and_(_bindings.tenant_id == _versions.tenant_id, _bindings.automation_version_id == _versions.id),
    )
)


class AmbiguousReferenceError(Exception):
    """A name stands for versions of several automations or tenants: an operator has to give each its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedVersion:
    """The version that a name stands for."""

    tenant_id: str
    automation_version_id: str
    #: None while the version is bound to no workflow.
    workflow_id: str | None


def find_by_external_ref(
    connection: sa.Connection, external_ref: str, tenant_ids: Collection[str] | None = None
) -> NamedVersion | None:
    """The version that a name stands for, among those of some tenants or of all; None when nobody has given it.

    Versions of one automation may share a name: then the live one runs, else one that is blocked or paused, else the
    one with the highest number. `AmbiguousReferenceError` when the foremost ones are of several automations.
    """
    if "\x00" in external_ref:
        return None
    query = _QUERY.where(_bindings.external_ref == external_ref)
    if tenant_ids is not None:
        query = query.where(_versions.tenant_id.in_(tenant_ids))
    rows = [row._mapping for row in connection.execute(query)]  # noqa: SLF001  (its public form)
    return None if not rows else _foremost(rows)


def _foremost(rows: Sequence[sa.RowMapping]) -> NamedVersion:
    first = min(_rank(row) for row in rows)
    front = [row for row in rows if _rank(row) == first]
    if len({(row["tenant_id"], row["automation_id"]) for row in front}) > 1:
        raise AmbiguousReferenceError
    newest = max(front, key=lambda row: row["version"])
    return NamedVersion(
        tenant_id=newest["tenant_id"],
        automation_version_id=newest["automation_version_id"],
        workflow_id=newest["workflow_id"],
    )


def _rank(row: sa.RowMapping) -> int:
    return _RANK.get(Status(row["status"]), _NOT_YET_LIVE)
