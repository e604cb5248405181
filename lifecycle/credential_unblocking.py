"""End a block because its credentials work again, or because it was wrong: `request_unblock_for_credentials` (30.4).

Only the credentials reason is cleared; a version that a person blocked as well stays blocked for that.
"""

from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.capabilities import Capability
from lifecycle.credential_checks import unverified
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.ids import stable_id
from lifecycle.kinds import BlockKind, Clearing, Priority, TaskContext, TaskKind
from lifecycle.options import LifecycleOptions
from lifecycle.results import StatusResult, not_found, read_result
from lifecycle.statuses import Status
from lifecycle.texts import one_line, typed_reason
from lifecycle.unblocking import check_active, failed_systems, lift_reasons
from lifecycle.versions import LockedVersion, lock_version


class UnblockMode(StrEnum):
    """Why a block for credentials may end."""

    VERIFIED = "verified"  #: every required credential was seen to work after the block
    OVERRIDE = "override"  #: a person says that the block was wrong


_CLEARING = {UnblockMode.VERIFIED: Clearing.VERIFIED, UnblockMode.OVERRIDE: Clearing.OVERRIDE}
_REASON_CODE = {UnblockMode.VERIFIED: "credentials_verified", UnblockMode.OVERRIDE: "override"}


def request_unblock_for_credentials(
    connection: sa.Connection,
    *,
    tenant_id: str,
    automation_version_id: str,
    actor_context: ActorContext,
    mode: UnblockMode,
    reason: str | None = None,
    options: LifecycleOptions,
) -> StatusResult:
    """Clear the credentials reason, end its tasks, and restore the status when no other reason is left.

    A version that is not blocked for credentials is `already_applied`. `LifecycleError`:
    `automation_version_not_found`, `forbidden`, `approval_required` when the options ask for a person,
    `invalid_status_transition` for an archived automation, `reason_required`, `status_prerequisite_missing` with
    every credential that is not verified, `precondition_failed` when another version went Live meanwhile.
    The transaction is the caller's.
    """
    version = lock_version(connection, tenant_id, automation_version_id)
    if version is None:
        raise not_found()
    if version.status is not Status.BLOCKED or not failed_systems(connection, version):
        return read_result(connection, tenant_id, automation_version_id, already_applied=True)
    _check_capability(mode, actor_context, options)
    check_active(version)
    reason = typed_reason(reason)
    if mode is UnblockMode.OVERRIDE and reason is None:
        raise LifecycleError(ErrorCode.REASON_REQUIRED, "Say why the block was wrong.")
    if mode is UnblockMode.VERIFIED and (details := unverified(connection, version)):
        raise LifecycleError(
            ErrorCode.STATUS_PREREQUISITE_MISSING, "The credentials were not all seen to work since the block.", details
        )
    lift_reasons(
        connection,
        version,
        kinds=(BlockKind.CREDENTIALS,),
        clearing=_CLEARING[mode],
        actor_context=actor_context,
        options=options,
        reason_code=_REASON_CODE[mode],
        reason=reason,
    )
    return read_result(connection, tenant_id, automation_version_id, already_applied=False)


def ask_a_person(connection: sa.Connection, version: LockedVersion, options: LifecycleOptions) -> None:
    """Add the task to decide about a block whose credentials work again; once in an episode. It ends with the block."""
    key = f"approve_unblock:{version.block_episode_id}"
    connection.execute(
        insert(tables.tasks).on_conflict_do_nothing(),
        {
            "id": stable_id("approve_unblock", version.tenant_id, key),
            "tenant_id": version.tenant_id,
            "project_id": version.project_id,
            "automation_version_id": version.id,
            "context_type": TaskContext.AUTOMATION_VERSION,
            "context_id": version.id,
            "kind": TaskKind.APPROVAL,
            "idempotency_key": key,
            "title": one_line(f"Unblock “{version.automation_name}”, version {version.version}, or leave it"),
            "description": (
                "Its credentials work again, and a person has to decide whether it goes on."
                f" Unblocking it ends this task. {options.version_link(version.id)}"
            ),
            "priority": Priority.HIGH,
            "created_by_system": True,
            "episode_id": version.block_episode_id,
        },
    )


def _check_capability(mode: UnblockMode, actor_context: ActorContext, options: LifecycleOptions) -> None:
    mine = actor_context.capabilities
    if mode is UnblockMode.OVERRIDE:
        allowed = Capability.OVERRIDE in mine
    else:
        allowed = bool(mine & {Capability.UNBLOCK, Capability.AUTOMATIC})
    if not allowed:
        raise LifecycleError(ErrorCode.FORBIDDEN, "Your roles do not allow you to unblock this way.")
    if mode is UnblockMode.VERIFIED and options.unblock_needs_ops_approval and Capability.UNBLOCK not in mine:
        raise LifecycleError(ErrorCode.APPROVAL_REQUIRED, "A person has to agree to the end of this block.")
