"""Put a version out of use: what archiving writes, by hand or because a newer one went Live (30.1, 30.5)."""

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry
from lifecycle.intents import set_binding
from lifecycle.kinds import OPEN_TASK_STATUSES, AuditAction, BindingStatus, BlockKind, Clearing, TaskStatus
from lifecycle.moves import Move
from lifecycle.options import LifecycleOptions
from lifecycle.statuses import Operation, Status
from lifecycle.transitions import move_version
from lifecycle.unblocking import NOT_BLOCKED, clear_reasons
from lifecycle.versions import LockedVersion

_tasks = tables.tasks.c


def retire(
    connection: sa.Connection,
    version: LockedVersion,
    *,
    reason_code: str,
    actor_context: ActorContext,
    options: LifecycleOptions,
    reason: str | None = None,
) -> None:
    """Archive a locked version: its binding inactive, its block cleared, its open tasks cancelled."""
    had_active_binding = version.binding is not None and version.binding.status is BindingStatus.ACTIVE
    if version.status is Status.BLOCKED:
        clear_reasons(
            connection, version, kinds=tuple(BlockKind), clearing=Clearing.ARCHIVED, actor_context=actor_context
        )
    connection.execute(
        sa.update(tables.tasks)
        .where(
            _tasks.tenant_id == version.tenant_id,
            _tasks.automation_version_id == version.id,
            _tasks.status.in_(OPEN_TASK_STATUSES),
        )
        .values(status=TaskStatus.CANCELLED, updated_at=version.now, version=_tasks.version + 1)
    )
    if had_active_binding:
        set_binding(connection, version, BindingStatus.INACTIVE)
    move_version(
        connection,
        version,
        Move(
            operation=Operation.ARCHIVE,
            target=Status.ARCHIVED,
            columns={"archived_at": version.now, **NOT_BLOCKED},
            reason_code=reason_code,
            reason=reason,
            audit=(
                AuditEntry(
                    action=AuditAction.ARCHIVE_AUTOMATION,
                    resource_type="automation_version",
                    resource_id=version.id,
                    metadata={
                        "previous_status": version.status,
                        "new_status": Status.ARCHIVED,
                        "had_active_binding": had_active_binding,
                        "workflow_binding_id": None if version.binding is None else version.binding.id,
                        "archive_reason": reason,
                        "reason_code": reason_code,
                    },
                ),
            ),
        ),
        actor_context=actor_context,
        options=options,
    )
