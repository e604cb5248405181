"""Close a task of the platform's own when what it asked for has come about."""

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.kinds import OPEN_TASK_STATUSES, AuditAction, TaskStatus

_tasks = tables.tasks.c


def close_task(
    connection: sa.Connection,
    *,
    tenant_id: str | None,
    idempotency_key: str,
    actor_context: ActorContext,
    status: TaskStatus = TaskStatus.COMPLETE,
    operation: str = "complete",
    episode_id: str | None = None,
    **why: str,
) -> None:
    """Close it, with an audit row, which has `why` besides; nothing happens when a person has closed it.

    `tenant_id` is None for tasks about no tenant.
    """
    closed = connection.execute(
        sa.update(tables.tasks)
        .where(
            _tasks.tenant_id == tenant_id,
            _tasks.idempotency_key == idempotency_key,
            _tasks.status.in_(OPEN_TASK_STATUSES),
        )
        .values(
            status=status,
            completed_at=sa.func.now() if status is TaskStatus.COMPLETE else None,
            updated_at=sa.func.now(),
            version=_tasks.version + 1,
        )
        .returning(_tasks.id)
    ).first()
    if closed is not None:
        write_audit(
            connection,
            tenant_id=tenant_id,
            actor_context=actor_context,
            entries=[
                AuditEntry(
                    action=AuditAction.UPDATE_TASK,
                    resource_type="task",
                    resource_id=closed.id,
                    episode_id=episode_id,
                    metadata={"operation": operation, "to_status": status, **why},
                )
            ],
        )
