"""Whose workflow is it, and what is it called? Asked before anything is written about one."""

from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import BindingStatus
from lifecycle.refusals import Refusal
from lifecycle.statuses import Status

_versions = tables.automation_versions.c
_bindings = tables.workflow_bindings.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow of the tenant that was asked about."""

    tenant_id: str
    workflow_id: str
    name: str


def find_workflow(
    connection: sa.Connection, tenant_id: str, workflow_id: str, version_id: str | None
) -> Workflow | Refusal:
    """The tenant's workflow, or why it is none.

    A workflow without a row of its own is one that stands for a version (spec 10) and bears the automation's name.
    `version_id`, where given, must be the tenant's too.
    """
    if version_id is not None and _automation_name(connection, tenant_id, version_id) is None:
        return Refusal.AUTOMATION_VERSION_NOT_FOUND
    row = connection.execute(
        sa.select(tables.workflows.c.tenant_id, tables.workflows.c.name).where(
            tables.workflows.c.workflow_id == workflow_id
        )
    ).first()
    if row is None:
        name = _automation_name(connection, tenant_id, workflow_id)
    else:
        name = row.name if row.tenant_id == tenant_id else None
    if name is None:
        return Refusal.WORKFLOW_NOT_FOUND
    return Workflow(tenant_id=tenant_id, workflow_id=workflow_id, name=name)


def version_of_workflow(connection: sa.Connection, tenant_id: str, workflow_id: str) -> str | None:
    """The version that a workflow's runs belong to: the live one, else one whose binding is in use, else the newest.

    A workflow that stands for a version is that version's id.
    """
    bound: str | None = connection.execute(
        sa.select(_versions.id)
        .join(
            tables.workflow_bindings,
            sa.and_(_bindings.tenant_id == _versions.tenant_id, _bindings.automation_version_id == _versions.id),
        )
        .where(_bindings.tenant_id == tenant_id, _bindings.wrk_workflow_id == workflow_id)
        .order_by(
            (_versions.status == Status.LIVE).desc(),
            (_bindings.status == BindingStatus.ACTIVE).desc(),
            _versions.version.desc(),
            _versions.id,
        )
        .limit(1)
    ).scalar()
    if bound is not None:
        return bound
    itself: str | None = connection.execute(
        sa.select(_versions.id).where(_versions.tenant_id == tenant_id, _versions.id == workflow_id)
    ).scalar()
    return itself


def _automation_name(connection: sa.Connection, tenant_id: str, version_id: str) -> str | None:
    return connection.execute(
        sa.select(tables.automations.c.name)
        .join(
            tables.automation_versions,
            sa.and_(
                _versions.tenant_id == tables.automations.c.tenant_id,
                _versions.automation_id == tables.automations.c.id,
            ),
        )
        .where(_versions.tenant_id == tenant_id, _versions.id == version_id)
    ).scalar()
