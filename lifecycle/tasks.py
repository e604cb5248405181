"""Read tasks: the inbox of people who put right what was found (60.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.cursors import Cursor, Order
from lifecycle.kinds import OPEN_TASK_STATUSES, Priority, TaskKind, TaskStatus

MAX_PAGE = 200

#: Sorts the most urgent first; the database knows priorities as words only.
_RANKS = {priority: rank for rank, priority in enumerate(reversed(Priority))}

_tasks = tables.tasks.c
_versions = tables.automation_versions.c
_automations = tables.automations.c


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks to list; every condition must hold."""

    #: None: whatever is open.
    status: TaskStatus | None = None
    kind: TaskKind | None = None
    automation_version_id: str | None = None

    @property
    def order(self) -> Order:
        """Open tasks come as they should be done, the others as they were last changed."""
        return Order.URGENT_FIRST if self.status in (None, *OPEN_TASK_STATUSES) else Order.NEWEST_FIRST


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task, with the names of what it is about."""

    id: str
    #: None: the platform's own, about no tenant.
    tenant_id: str | None
    tenant_name: str | None
    kind: TaskKind
    status: TaskStatus
    priority: Priority
    title: str
    description: str
    #: None where the task is about no system.
    system_key: str | None
    #: None where the system is not on the list of names that may be shown.
    system_name: str | None
    automation_version_id: str | None
    automation_name: str | None
    automation_version: int | None
    assignee_user_id: str | None
    decision_id: str | None
    #: What makes it one of its kind, where it must not be made twice.
    idempotency_key: str | None
    #: Grows with every change; a change names the version that it was made on.
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of a list."""

    tasks: Sequence[Task]
    #: None on the last page.
    next: Cursor | None


def list_tasks(
    connection: sa.Connection, task_filter: TaskFilter, *, after: Cursor | None = None, limit: int = 50
) -> TaskPage:
    """At most `limit` tasks after a cursor of the filter's order; no row is repeated or left out by paging."""
    rank = sa.case(_RANKS, value=_tasks.priority, else_=len(_RANKS))
    query = task_rows()
    if task_filter.order is Order.URGENT_FIRST:
        keys: tuple[sa.ColumnElement[Any], ...] = (rank, _tasks.created_at, _tasks.id)
        query = query.order_by(*keys)
    else:
        keys = (_tasks.updated_at, _tasks.id)
        query = query.order_by(*(key.desc() for key in keys))
    if after is not None:
        values = (after.rank, after.at, after.id)[-len(keys) :]
        here = sa.tuple_(*keys)
        there = sa.tuple_(*(sa.literal(value, key.type) for key, value in zip(keys, values, strict=True)))
        query = query.where(here > there if task_filter.order is Order.URGENT_FIRST else here < there)
    statuses = OPEN_TASK_STATUSES if task_filter.status is None else (task_filter.status,)
    query = query.where(_tasks.status.in_(statuses))
    if task_filter.kind is not None:
        query = query.where(_tasks.kind == task_filter.kind)
    if task_filter.automation_version_id is not None:
        query = query.where(_tasks.automation_version_id == task_filter.automation_version_id)
    limit = min(limit, MAX_PAGE)
    found = [read_task(row) for row in connection.execute(query.limit(limit + 1))]
    page = found[:limit]
    return TaskPage(page, _cursor(task_filter.order, page[-1]) if len(found) > limit else None)


def find_task(connection: sa.Connection, task_id: str) -> Task | None:
    """One task; None when there is none, or not for the caller."""
    row = connection.execute(task_rows().where(_tasks.id == task_id)).first()
    return None if row is None else read_task(row)


def task_rows() -> sa.Select[Any]:
    """The query behind `Task`, for callers that add their own conditions."""
    joined = (
        tables.tasks.outerjoin(tables.tenants, tables.tenants.c.id == _tasks.tenant_id)
        .outerjoin(tables.systems, tables.systems.c.system_key == _tasks.system_key)
        .outerjoin(
            tables.automation_versions,
            sa.and_(_versions.tenant_id == _tasks.tenant_id, _versions.id == _tasks.automation_version_id),
        )
        .outerjoin(
            tables.automations,
            sa.and_(_automations.tenant_id == _versions.tenant_id, _automations.id == _versions.automation_id),
        )
    )
    return sa.select(
        tables.tasks,
        tables.tenants.c.name.label("tenant_name"),
        tables.systems.c.display_name.label("system_name"),
        _automations.name.label("automation_name"),
        _versions.version.label("automation_version"),
    ).select_from(joined)


def read_task(row: sa.Row[Any]) -> Task:
    """A row of `task_rows` as a `Task`."""
    return Task(
        id=row.id,
        tenant_id=row.tenant_id,
        tenant_name=row.tenant_name,
        kind=TaskKind(row.kind),
        status=TaskStatus(row.status),
        priority=Priority(row.priority),
        title=row.title,
        description=row.description,
        system_key=row.system_key,
        system_name=row.system_name,
        automation_version_id=row.automation_version_id,
        automation_name=row.automation_name,
        automation_version=row.automation_version,
        assignee_user_id=row.assignee_user_id,
        decision_id=row.decision_id,
        idempotency_key=row.idempotency_key,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _cursor(order: Order, task: Task) -> Cursor:
    if order is Order.URGENT_FIRST:
        return Cursor(order, task.created_at, task.id, _RANKS[task.priority])
    return Cursor(order, task.updated_at, task.id)
