"""Flows 24A and 24B: pause a Live version, and let it run again (30.5).

Nothing is asked of the platform: every way to start a run reads the status from the database first, so a pause
holds from its commit on, and runs that have begun come to their end.
"""

import sqlalchemy as sa

from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.kinds import AuditAction
from lifecycle.moves import Move
from lifecycle.options import LifecycleOptions
from lifecycle.prerequisites import Asked, check
from lifecycle.statuses import Operation, Status, Transition
from lifecycle.texts import typed_reason
from lifecycle.transitions import move_version
from lifecycle.versions import LockedVersion

MAX_REASON = 1000


def toggle(
    connection: sa.Connection,
    version: LockedVersion,
    transition: Transition,
    *,
    reason: str | None,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> None:
    """Pause or resume a locked version, as the transition says. The caller has checked who asks.

    `LifecycleError`: `precondition_failed` when another version of the automation is Live by now;
    `status_prerequisite_missing` for a reason of more than 1,000 characters.
    """
    check(Asked(connection, version, options), transition)
    if reason is not None and len(reason) > MAX_REASON:
        raise LifecycleError(
            ErrorCode.STATUS_PREREQUISITE_MISSING,
            "The reason is too long.",
            [Detail("too_long", "reason", f"At most {MAX_REASON} characters.")],
        )
    reason = typed_reason(reason, MAX_REASON)
    paused = transition.operation is Operation.PAUSE
    move_version(
        connection,
        version,
        Move(
            operation=transition.operation,
            target=Status.PAUSED if paused else Status.LIVE,
            columns={},
            reason_code=transition.operation,
            reason=reason,
            audit=(
                AuditEntry(
                    action=AuditAction.PAUSE_WORKFLOW if paused else AuditAction.RESUME_WORKFLOW,
                    resource_type="automation_version",
                    resource_id=version.id,
                    metadata={"workflow_id": version.workflow_id, "reason": reason},
                ),
            ),
        ),
        actor_context=actor_context,
        options=options,
    )
