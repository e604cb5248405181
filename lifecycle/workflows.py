"""Whose workflow is it, and what is it called? Asked before anything is written about one."""

from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import BindingStatus
from lifecycle.refusals import Refusal
from lifecycle.statuses import Status

#: What a scenario is called that no registered version stands for: it is its own version and workflow (10). The
#: platform does not know it, so nothing of it can be stopped.
SCENARIO_PREFIX = "scenario:"

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
    found = connection.execute(
        _FIND_WORKFLOW, {"tenant": tenant_id, "workflow": workflow_id, "version": version_id}
    ).one()
    if version_id is not None and found.of_version is None:
        return Refusal.AUTOMATION_VERSION_NOT_FOUND
    # A workflow with a row is its owner's alone.
    name = found.name if found.owner == tenant_id else found.of_itself if found.owner is None else None
    if name is None:
        return Refusal.WORKFLOW_NOT_FOUND
    return Workflow(tenant_id=tenant_id, workflow_id=workflow_id, name=name)


def find_workflow_or_scenario(
    connection: sa.Connection, tenant_id: str, workflow_id: str, version_id: str | None
) -> Workflow | Refusal:
    """As `find_workflow`; or a scenario of a tenant that is known, for what is only about what runs cost."""
    if not is_scenario(workflow_id):
        return find_workflow(connection, tenant_id, workflow_id, version_id)
    if not tenant_is_known(connection, tenant_id):
        return Refusal.TENANT_NOT_FOUND
    return Workflow(tenant_id=tenant_id, workflow_id=workflow_id, name=workflow_id.removeprefix(SCENARIO_PREFIX))


def is_scenario(workflow_id: str) -> bool:
    """Whether a workflow is none of the platform's."""
    return workflow_id.startswith(SCENARIO_PREFIX)


def tenant_is_known(connection: sa.Connection, tenant_id: str) -> bool:
    """Whether there is such a tenant, for what is about no workflow of it."""
    tenants = tables.tenants.c
    return connection.execute(sa.select(tenants.id).where(tenants.id == tenant_id)).first() is not None


def tenant_of_workflow(connection: sa.Connection, workflow_id: str) -> str | None:
    """Whose a workflow is, for those who may see all tenants; None when nobody knows it."""
    owner: str | None = connection.execute(
        sa.select(tables.workflows.c.tenant_id).where(tables.workflows.c.workflow_id == workflow_id)
    ).scalar()
    if owner is not None:
        return owner
    stands_for: str | None = connection.execute(
        sa.select(_versions.tenant_id).where(_versions.id == workflow_id)
    ).scalar()
    return stands_for


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


def _automation_name(version: str) -> sa.ScalarSelect[str]:
    """The name of the automation that a version of the tenant belongs to; `version` names the parameter."""
    return (
        sa.select(tables.automations.c.name)
        .join(
            tables.automation_versions,
            sa.and_(
                _versions.tenant_id == tables.automations.c.tenant_id,
                _versions.automation_id == tables.automations.c.id,
            ),
        )
        .where(_versions.tenant_id == sa.bindparam("tenant"), _versions.id == sa.bindparam(version))
        .scalar_subquery()
    )


def _of_workflow(column: sa.Column[str]) -> sa.ScalarSelect[str]:
    return sa.select(column).where(tables.workflows.c.workflow_id == sa.bindparam("workflow")).scalar_subquery()


#: One round trip for all that is asked of a workflow.
_FIND_WORKFLOW = sa.select(
    _automation_name("version").label("of_version"),
    _automation_name("workflow").label("of_itself"),
    _of_workflow(tables.workflows.c.tenant_id).label("owner"),
    _of_workflow(tables.workflows.c.name).label("name"),
)
