"""Block a version by hand: with a reason, and a task to put it right, in one transaction (30.1)."""

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.ids import stable_id
from lifecycle.kinds import AuditAction, BlockKind, Priority, TaskContext, TaskKind
from lifecycle.moves import Move
from lifecycle.options import LifecycleOptions
from lifecycle.statuses import Operation, Status
from lifecycle.texts import masked, one_line
from lifecycle.transitions import move_version
from lifecycle.versions import LockedVersion

MANUAL = "manual"


def block(
    connection: sa.Connection,
    version: LockedVersion,
    blocked_reason: str,
    *,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> str:
    """Block a locked version that may be; the id of the remediation task. The caller has checked who asks.

    `LifecycleError` `blocked_reason_required` for an empty reason; a long one is cut, and what looks like a secret
    in it is masked.
    """
    reason = masked(blocked_reason)
    if not any(character.isprintable() and not character.isspace() for character in reason):
        raise LifecycleError(
            ErrorCode.BLOCKED_REASON_REQUIRED,
            "Say why the version is blocked.",
            [Detail("reason_given", "blocked_reason", "A reason of 1 to 500 characters.")],
        )
    episode_id = stable_id("block", version.tenant_id, version.id, version.now.isoformat())
    task_id = stable_id("remediation", episode_id)
    move_version(
        connection,
        version,
        Move(
            operation=Operation.BLOCK,
            target=Status.BLOCKED,
            columns={
                "blocked_reason": reason,
                "blocked_at": version.now,
                "blocked_from_status": version.status,
                "block_episode_id": episode_id,
            },
            reason_code=MANUAL,
            reason=reason,
            episode_id=episode_id,
            audit=(
                AuditEntry(
                    action=AuditAction.BLOCK_AUTOMATION,
                    resource_type="automation_version",
                    resource_id=version.id,
                    episode_id=episode_id,
                    metadata={"blocked_reason_summary": reason, "remediation_task_id": task_id},
                ),
            ),
        ),
        actor_context=actor_context,
        options=options,
    )
    connection.execute(
        sa.insert(tables.block_reasons).values(
            id=stable_id("block_reason", episode_id, BlockKind.MANUAL),
            tenant_id=version.tenant_id,
            automation_version_id=version.id,
            episode_id=episode_id,
            kind=BlockKind.MANUAL,
            reason=reason,
            opened_at=version.now,
        )
    )
    connection.execute(
        sa.insert(tables.tasks).values(
            id=task_id,
            tenant_id=version.tenant_id,
            project_id=version.project_id,
            automation_version_id=version.id,
            context_type=TaskContext.AUTOMATION_VERSION,
            context_id=version.id,
            kind=TaskKind.REMEDIATION,
            title=one_line(f"Put right why “{version.automation_name}” is blocked"),
            description=f"{reason} {options.version_link(version.id)}",
            priority=Priority.HIGH,
            created_by_user_id=actor_context.user_id,
            created_by_system=actor_context.system_initiated,
            episode_id=episode_id,
        )
    )
    return task_id
