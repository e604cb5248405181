"""Change a task: claim, assign, snooze, complete, reopen it; approve or reject what waits for it.

Each change names the version of the task that it was made on (60.3).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.capabilities import Capability
from lifecycle.credits.baseline_tasks import proposals_of_tasks
from lifecycle.credits.baselines import approve_baseline, lock_baselines, reject_baseline
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.kinds import BLOCKING_TASK_KINDS, OPEN_TASK_STATUSES, AccountStatus, AuditAction, TaskStatus
from lifecycle.statuses import Status

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
    ASSIGN = "assign"
    SNOOZE = "snooze"
    COMPLETE = "complete"
    REOPEN = "reopen"
    #: What a task that a proposed baseline waits for is completed by.
    APPROVE = "approve"
    REJECT = "reject"


_DECISIONS = (TaskOperation.APPROVE, TaskOperation.REJECT)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChange:
    """What shall be done with a task; the fields that its operation asks for."""

    operation: TaskOperation
    #: `assign`: whose the task becomes.
    assignee_user_id: str | None = None
    #: `snooze`: until when it is out of the way; None ends that.
    snoozed_until: datetime | None = None


def change_task(
    connection: sa.Connection,
    *,
    tenant_id: str | None,
    task_id: str,
    version: int,
    change: TaskChange,
    actor_context: ActorContext,
) -> TaskOutcome:
    """Change a task of a tenant, or of the platform (None). The transaction is the caller's.

    `LifecycleError` `forbidden` for one who has neither the capability nor the task itself, or who may not approve;
    `assignee_not_a_member`.
    """
    if change.operation in _DECISIONS:
        lock_baselines(connection)
    task = _lock(connection, task_id)
    if task is None or task.tenant_id != tenant_id:
        return TaskOutcome.NOT_FOUND
    mine = actor_context.user_id is not None and task.assignee_user_id == actor_context.user_id
    if Capability.TASKS not in actor_context.capabilities and not mine:
        raise LifecycleError(ErrorCode.FORBIDDEN, "Tasks are changed by operations, or by the one whose they are.")
    changes: dict[str, Any]
    match change.operation:
        case TaskOperation.CLAIM:
            return claim_task(
                connection,
                task_id=task_id,
                version=version,
                assignee_user_id=actor_context.actor,
                actor_context=actor_context,
            )
        case TaskOperation.APPROVE | TaskOperation.REJECT:
            return _decide(connection, task, version, change.operation, actor_context)
        case TaskOperation.COMPLETE:
            if task.status in OPEN_TASK_STATUSES and proposals_of_tasks(connection, [task.idempotency_key]):
                raise LifecycleError(
                    ErrorCode.APPROVAL_REQUIRED,
                    "A baseline waits for approval here: approve or reject it, which completes the task.",
                )
            return complete_task(connection, task_id=task_id, version=version, actor_context=actor_context)
        case TaskOperation.ASSIGN:
            _check_assignee(connection, tenant_id, change.assignee_user_id, actor_context)
            changes = {"assignee_user_id": change.assignee_user_id, "status": TaskStatus.IN_PROGRESS}
            wanted = OPEN_TASK_STATUSES
        case TaskOperation.SNOOZE:
            changes = {"snoozed_until": change.snoozed_until, "status": task.status}
            wanted = OPEN_TASK_STATUSES
        case TaskOperation.REOPEN:
            changes = {"status": TaskStatus.PENDING, "completed_at": None, "assignee_user_id": None}
            wanted = (TaskStatus.COMPLETE, TaskStatus.CANCELLED)
    if all(getattr(task, name) == value for name, value in changes.items()):
        return TaskOutcome.ALREADY_DONE
    if task.status not in wanted:
        return TaskOutcome.ALREADY_DONE if change.operation is TaskOperation.REOPEN else TaskOutcome.CLOSED
    if task.version != version:
        return TaskOutcome.STALE
    _write(connection, task, change.operation, changes, actor_context)
    return TaskOutcome.CHANGED


def _check_assignee(
    connection: sa.Connection, tenant_id: str | None, assignee_user_id: str | None, actor_context: ActorContext
) -> None:
    """Refuse one who could not open the task: neither an active member of its tenant nor the one who asks.

    Who is on the staff stands in their tokens alone, so staff take tasks themselves.
    """
    memberships = tables.memberships.c
    is_member = sa.exists().where(
        memberships.tenant_id == tenant_id,
        memberships.user_id == assignee_user_id,
        memberships.status == AccountStatus.ACTIVE,
    )
    if assignee_user_id == actor_context.user_id or connection.execute(sa.select(is_member)).scalar_one():
        return
    raise LifecycleError(
        ErrorCode.ASSIGNEE_NOT_A_MEMBER,
        "A task goes to an active member of its tenant, or to yourself.",
        [Detail("assignee_not_a_member", "assignee_user_id", "The id of an active member of the task's tenant.")],
    )


def _decide(
    connection: sa.Connection,
    task: sa.Row[Any],
    version: int,
    operation: TaskOperation,
    actor_context: ActorContext,
) -> TaskOutcome:
    """Approve or reject the baseline that waits for this; the caller has the lock of baselines."""
    proposal = proposals_of_tasks(connection, [task.idempotency_key]).get(task.idempotency_key)
    if task.status not in OPEN_TASK_STATUSES:
        return TaskOutcome.CLOSED
    if proposal is None:
        raise LifecycleError(ErrorCode.STATUS_PREREQUISITE_MISSING, "No baseline waits for approval by this task.")
    if task.version != version:
        return TaskOutcome.STALE
    decide = approve_baseline if operation is TaskOperation.APPROVE else reject_baseline
    decide(connection, tenant_id=proposal.tenant_id, baseline_id=proposal.id, actor_context=actor_context)
    return TaskOutcome.CHANGED


def unblock_offered(connection: sa.Connection, task_id: str) -> str | None:
    """The version that a complete task was the last obstacle of: it can be unblocked now. None for any other task."""
    task = connection.execute(sa.select(tables.tasks).where(_tasks.id == task_id)).one()
    if task.kind not in BLOCKING_TASK_KINDS or task.status != TaskStatus.COMPLETE:
        return None
    versions = tables.automation_versions.c
    left = (
        sa.select(_tasks.id)
        .where(
            _tasks.tenant_id == task.tenant_id,
            _tasks.automation_version_id == task.automation_version_id,
            _tasks.kind.in_(BLOCKING_TASK_KINDS),
            _tasks.status.in_(OPEN_TASK_STATUSES),
        )
        .exists()
    )
    offered: str | None = connection.execute(
        sa.select(versions.id).where(
            versions.tenant_id == task.tenant_id,
            versions.id == task.automation_version_id,
            versions.status == Status.BLOCKED,
            ~left,
        )
    ).scalar()
    return offered


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
