"""Tasks: the inbox of people, and what they do with it (60.3)."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from api.auth.principal import EVERY_TENANT
from api.v1.context import ContextOfRequest, storable_or_nothing
from api.v1.entered import entered_router
from api.v1.forms import Task, TaskPage, TaskRequest, TaskResponse
from lifecycle import tables
from lifecycle.cursors import read_cursor
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.kinds import TaskKind, TaskStatus
from lifecycle.task_changes import TaskChange, TaskOperation, TaskOutcome, change_task, unblock_offered
from lifecycle.tasks import TaskFilter, list_tasks, read_task, task_rows

router = entered_router(prefix="/tasks", tags=["tasks"])

_REFUSALS = {
    TaskOutcome.NOT_FOUND: (ErrorCode.NOT_FOUND, "There is no such task in this tenant."),
    TaskOutcome.STALE: (ErrorCode.CONCURRENCY_CONFLICT, "Somebody has changed the task meanwhile; load it again."),
    TaskOutcome.CLOSED: (ErrorCode.CONCURRENCY_CONFLICT, "The task is complete or cancelled; reopen it first."),
}


@router.get("")
def list_open_tasks(
    context: ContextOfRequest,
    status: Annotated[TaskStatus | None, Query(description="open ones by default")] = None,
    kind: Annotated[TaskKind | None, Query()] = None,
    automation_version_id: Annotated[str | None, Query(max_length=128)] = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> TaskPage:
    """Open tasks, most urgent first; others as they were last changed."""
    wanted = TaskFilter(status=status, kind=kind, automation_version_id=storable_or_nothing(automation_version_id))
    after = None if cursor is None else read_cursor(cursor, wanted.order)
    with context.access.read() as connection:
        page = list_tasks(connection, wanted, after=after, limit=limit)
    return TaskPage(
        items=[Task.model_validate(task) for task in page.tasks], next=None if page.next is None else str(page.next)
    )


@router.patch("/{task_id}")
def change_one_task(context: ContextOfRequest, task_id: UUID, body: TaskRequest) -> TaskResponse:
    """Claim, assign, snooze, complete or reopen a task. The last one of a block offers the unblock."""
    if body.operation is TaskOperation.ASSIGN and body.assignee_user_id is None:
        raise LifecycleError(
            ErrorCode.STATUS_PREREQUISITE_MISSING,
            "Say to whom.",
            [Detail("assignee_missing", "assignee_user_id", "The user who shall do it.")],
        )
    owner = context.access.owner("task", str(task_id))
    tenant_id = owner or None
    # A task of no tenant is the platform's; whoever may not see those finds nothing under this id.
    of_platform = not owner and context.access.principal.tenants == EVERY_TENANT
    with context.access.write_platform() if of_platform else context.access.write(owner) as connection:
        outcome = change_task(
            connection,
            tenant_id=tenant_id,
            task_id=str(task_id),
            version=body.version,
            change=TaskChange(
                operation=body.operation,
                assignee_user_id=body.assignee_user_id,
                snoozed_until=body.snoozed_until,
            ),
            actor_context=context.access.actor,
        )
        if outcome in _REFUSALS:
            raise LifecycleError(*_REFUSALS[outcome])
        task = read_task(connection.execute(task_rows().where(tables.tasks.c.id == str(task_id))).one())
        offered = unblock_offered(connection, str(task_id))
    return TaskResponse(
        task=Task.model_validate(task),
        already_applied=outcome is TaskOutcome.ALREADY_DONE,
        unblock_offered=offered,
    )
