"""Change a task: claim it, complete it. Each change names the version of the task that it was made on (60.3)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.kinds import OPEN_TASK_STATUSES, AuditAction, TaskStatus

_tasks = tables.tasks.c


class TaskOutcome(StrEnum):
    """What became of a change. All but `changed` have written nothing."""

    CHANGED = "changed"
    ALREADY_DONE = "already_done"  #: the task is as the change would leave it
    STALE = "stale"  #: somebody has changed it since that version
    CLOSED = "closed"  #: it is complete or cancelled
    NOT_FOUND = "not_found"


class TaskOperation(StrEnum):
    """What was done, in audit rows."""

    CLAIM = "claim"
    COMPLETE = "complete"


def claim_task(
    connection: sa.Connection, *, task_id: str, version: int, assignee_user_id: str, actor_context: ActorContext
) -> TaskOutcome:
    """Make somebody the one who works on an open task, be it free or somebody else's.

    The transaction is the caller's. A repeat of one's own claim is `ALREADY_DONE`, whatever version it names.
    """
    task = _lock(connection, task_id)
    if task is None:
        return TaskOutcome.NOT_FOUND
    if task.status == TaskStatus.IN_PROGRESS and task.assignee_user_id == assignee_user_id:
        return TaskOutcome.ALREADY_DONE
    if task.status not in OPEN_TASK_STATUSES:
        return TaskOutcome.CLOSED
    if task.version != version:
        return TaskOutcome.STALE
    changes = {"status": TaskStatus.IN_PROGRESS, "assignee_user_id": assignee_user_id}
    _write(connection, task, TaskOperation.CLAIM, changes, actor_context)
    return TaskOutcome.CHANGED


def complete_task(connection: sa.Connection, *, task_id: str, version: int, actor_context: ActorContext) -> TaskOutcome:
    """Complete an open task, claimed or not. The transaction is the caller's."""
    task = _lock(connection, task_id)
    if task is None:
        return TaskOutcome.NOT_FOUND
    if task.status == TaskStatus.COMPLETE:
        return TaskOutcome.ALREADY_DONE
    if task.status not in OPEN_TASK_STATUSES:
        return TaskOutcome.CLOSED
    if task.version != version:
        return TaskOutcome.STALE
    changes = {"status": TaskStatus.COMPLETE, "completed_at": sa.func.now()}
    _write(connection, task, TaskOperation.COMPLETE, changes, actor_context)
    return TaskOutcome.CHANGED


def _lock(connection: sa.Connection, task_id: str) -> sa.Row[Any] | None:
    return connection.execute(sa.select(tables.tasks).where(_tasks.id == task_id).with_for_update()).first()


def _write(
    connection: sa.Connection,
    task: sa.Row[Any],
    operation: TaskOperation,
    changes: Mapping[str, Any],
    actor_context: ActorContext,
) -> None:
    connection.execute(
        sa.update(tables.tasks)
        .where(_tasks.id == task.id)
        .values(**changes, version=task.version + 1, updated_at=sa.func.now())
    )
    write_audit(
        connection,
        tenant_id=task.tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.UPDATE_TASK,
                resource_type="task",
                resource_id=task.id,
                episode_id=task.episode_id,
                decision_id=task.decision_id,
                metadata={
                    "operation": operation,
                    "from_status": task.status,
                    "to_status": changes["status"],
                    "from_assignee": task.assignee_user_id,
                    "version": task.version + 1,
                },
            )
        ],
    )
