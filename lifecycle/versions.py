"""Lock a version with all that belongs to it, in the one order that everybody keeps (30.2).

Whoever counts automatic stops has the guard's lock before all of them (`guard.counts`); then automation, version,
binding, project, tasks. `FOR UPDATE` can't lock a row that is not there yet, so the
automation, which always is, comes first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import AutomationStatus, BindingStatus, QuoteStatus
from lifecycle.statuses import Status

_automations = tables.automations.c
_versions = tables.automation_versions.c
_bindings = tables.workflow_bindings.c
_projects = tables.projects.c
_quotes = tables.quotes.c


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedBinding:
    """The version's binding to a workflow of the platform."""

    id: str
    status: BindingStatus
    #: None while it is pending.
    wrk_workflow_id: str | None


@dataclass(frozen=True, slots=True)
class LatestQuote:
    """The newest revision of what the client was offered; pricing owns it."""

    id: str
    status: QuoteStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedVersion:
    """A version as it is, and stays until the transaction ends."""

    tenant_id: str
    id: str
    automation_id: str
    automation_name: str
    tenant_name: str
    automation_status: AutomationStatus
    owner_user_id: str | None
    version: int
    status: Status
    blocked_reason: str | None
    blocked_at: datetime | None
    blocked_from_status: Status | None
    block_episode_id: str | None
    updated_at: datetime
    #: The bound workflow; without one the version stands for it (spec 10).
    workflow_id: str
    binding: LockedBinding | None
    project_id: str | None
    #: The latest quote of the project, None without one.
    quote: LatestQuote | None
    #: The database's clock, read under the lock: later than any change of this version before.
    now: datetime


def lock_version(connection: sa.Connection, tenant_id: str, version_id: str) -> LockedVersion | None:
    """Lock and read; None when the tenant has no such version, whoever else may have."""
    return _read(connection, _LOCKING, tenant_id, version_id)


def read_unlocked(connection: sa.Connection, tenant_id: str, version_id: str) -> LockedVersion | None:
    """The same without locks, for a look at what could be done: by the time that it is, it may be otherwise."""
    return _read(connection, _READING, tenant_id, version_id)


def _read(
    connection: sa.Connection, statements: "_Statements", tenant_id: str, version_id: str
) -> LockedVersion | None:
    which = {"tenant": tenant_id, "version": version_id}
    version = connection.execute(statements.version, which).first()
    if version is None:
        return None
    related = connection.execute(statements.related, which).one()
    return LockedVersion(
        tenant_id=tenant_id,
        id=version_id,
        automation_id=version.automation_id,
        automation_name=version.automation_name,
        tenant_name=version.tenant_name,
        automation_status=AutomationStatus(version.automation_status),
        owner_user_id=version.owner_user_id,
        version=version.version,
        status=Status(version.status),
        blocked_reason=version.blocked_reason,
        blocked_at=version.blocked_at,
        blocked_from_status=None if version.blocked_from_status is None else Status(version.blocked_from_status),
        block_episode_id=version.block_episode_id,
        updated_at=version.updated_at,
        workflow_id=version_id if related.workflow_id is None else related.workflow_id,
        binding=None
        if related.binding_id is None
        else LockedBinding(
            id=related.binding_id,
            status=BindingStatus(related.binding_status),
            wrk_workflow_id=related.workflow_id,
        ),
        project_id=related.project_id,
        quote=None if related.quote_id is None else LatestQuote(related.quote_id, QuoteStatus(related.quote_status)),
        # A clock that was set back must not make two changes share a time: `updated_at` is what `If-Match` compares.
        now=max(related.now, version.updated_at + timedelta(microseconds=1)),
    )


class _Statements(NamedTuple):
    """What is asked, in the order of the locks."""

    #: The version with its automation.
    version: sa.Select[Any]
    #: One round trip for all the rest: whoever locks it holds the automation and the version already.
    related: sa.Select[Any]


def _statements(*, lock: bool) -> _Statements:
    tenant: sa.BindParameter[str] = sa.bindparam("tenant")
    version_id: sa.BindParameter[str] = sa.bindparam("version")

    def locked(query: sa.Select[Any], *of: sa.Table) -> sa.Select[Any]:
        # Postgres locks the rows of a result in the order in which their tables are named.
        return query.with_for_update(of=of or None) if lock else query

    binding = locked(
        sa.select(_bindings.id, _bindings.status, _bindings.wrk_workflow_id).where(
            _bindings.tenant_id == tenant, _bindings.automation_version_id == version_id
        )
    ).cte("binding")
    project = locked(
        sa.select(_projects.id).where(_projects.tenant_id == tenant, _projects.automation_version_id == version_id)
    ).cte("project")
    quote = (
        sa.select(_quotes.id, _quotes.status)
        .where(_quotes.tenant_id == tenant, _quotes.project_id == sa.select(project.c.id).scalar_subquery())
        .order_by(_quotes.revision.desc())
        .limit(1)
        .cte("quote")
    )
    of_version = tables.automation_versions.alias("of_version").c
    return _Statements(
        version=locked(
            sa.select(
                _automations.id.label("automation_id"),
                _automations.name.label("automation_name"),
                _automations.status.label("automation_status"),
                _automations.owner_user_id,
                tables.tenants.c.name.label("tenant_name"),
                _versions.version,
                _versions.status,
                _versions.blocked_reason,
                _versions.blocked_at,
                _versions.blocked_from_status,
                _versions.block_episode_id,
                _versions.updated_at,
            )
            .join(tables.tenants, tables.tenants.c.id == _automations.tenant_id)
            # Each found by its own id: no plan can walk over the tenant's versions once for each of its automations.
            .join(tables.automation_versions, sa.and_(_versions.tenant_id == tenant, _versions.id == version_id))
            .where(
                _automations.tenant_id == tenant,
                _automations.id
                == sa.select(of_version.automation_id)
                .where(of_version.tenant_id == tenant, of_version.id == version_id)
                .scalar_subquery(),
            ),
            tables.automations,
            tables.automation_versions,
        ),
        related=sa.select(
            sa.select(binding.c.wrk_workflow_id).scalar_subquery().label("workflow_id"),
            sa.select(binding.c.id).scalar_subquery().label("binding_id"),
            sa.select(binding.c.status).scalar_subquery().label("binding_status"),
            sa.select(project.c.id).scalar_subquery().label("project_id"),
            sa.select(quote.c.id).scalar_subquery().label("quote_id"),
            sa.select(quote.c.status).scalar_subquery().label("quote_status"),
            sa.func.clock_timestamp(type_=sa.DateTime(timezone=True)).label("now"),
        ),
    )


_LOCKING = _statements(lock=True)
_READING = _statements(lock=False)
