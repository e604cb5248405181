"""Flow 13: move a version by naming the status that it shall have, where no platform has to be asked (30.1, 30.2).

The order of refusals: not found; nothing to do (no refusal, whatever the hints say); may change nothing at all; no
such move; may not make this move; changed meanwhile; prerequisites, all at once.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from lifecycle.actors import ActorContext
from lifecycle.capabilities import Capability
from lifecycle.dispatch import operation_for
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.manual_block import block
from lifecycle.moves import Move
from lifecycle.options import LifecycleOptions
from lifecycle.prerequisites import Asked, check
from lifecycle.qa_checklist import queue_qa_checklist
from lifecycle.results import Hints, StatusResult, check_hints, not_found, read_result
from lifecycle.runtime import toggle
from lifecycle.status_metadata import merge_metadata
from lifecycle.statuses import Operation, Status, Transition, find_transition
from lifecycle.texts import typed_reason
from lifecycle.transitions import move_version
from lifecycle.unblocking import check_active, unblock
from lifecycle.versions import LockedVersion, lock_version

#: What asks the platform, in several transactions of its own.
_OF_THE_PLATFORM = frozenset({Operation.DEPLOY, Operation.ARCHIVE})

#: Capabilities that change nothing.
_HARMLESS = frozenset({Capability.READ})


class PlatformNeededError(Exception):
    """The move is one that asks the platform: `deploy.deploy` or `archive.archive` make it. Nothing was written."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation)
        self.operation = operation


def change_status(
    connection: sa.Connection,
    *,
    tenant_id: str,
    automation_version_id: str,
    requested: Status,
    actor_context: ActorContext,
    hints: Hints,
    reason: str | None = None,
    blocked_reason: str | None = None,
    status_metadata: Mapping[str, Any] | None = None,
    override: bool = False,
    options: LifecycleOptions,
) -> StatusResult:
    """Move a version to `requested`; for deliveries, pauses, blocks and unblocks by hand.

    `LifecycleError` with the codes of 30.7; `PlatformNeededError`, before anything is checked, for a deploy and an
    archive. The transaction is the caller's, who rolls it back.
    """
    version = lock_version(connection, tenant_id, automation_version_id)
    if version is None:
        raise not_found()
    if version.status is requested:
        return read_result(connection, tenant_id, automation_version_id, already_applied=True)
    operation = operation_for(requested, version.status, version.blocked_from_status)
    if operation in _OF_THE_PLATFORM:
        raise PlatformNeededError(operation)
    transition = allowed_transition(version, requested, actor_context)
    if transition.operation is Operation.UNBLOCK:
        unblock(
            connection,
            tenant_id=tenant_id,
            automation_version_id=automation_version_id,
            actor_context=actor_context,
            hints=hints,
            reason=reason,
            override=override,
            options=options,
        )
    else:
        check_hints(hints, version.status, version.updated_at)
        _apply(connection, version, transition, reason, blocked_reason, actor_context, options)
    if status_metadata:
        merge_metadata(connection, version, status_metadata)
    return read_result(connection, tenant_id, automation_version_id, already_applied=False)


def allowed_transition(version: LockedVersion, requested: Status, actor_context: ActorContext) -> Transition:
    """The move from where a version is; `LifecycleError` when there is none, or the asking one may not make it."""
    capabilities = actor_context.capabilities_over(version.owner_user_id)
    if not capabilities - _HARMLESS:
        raise forbidden()
    check_active(version)
    operation = operation_for(requested, version.status, version.blocked_from_status)
    if operation is None:
        raise invalid_transition(version.status, requested)
    transition = find_transition(operation, version.status, None if operation is Operation.UNBLOCK else requested)
    assert transition is not None  # the dispatch has found the operation in the same table
    if transition.capability not in capabilities and not (
        operation is Operation.UNBLOCK and Capability.OVERRIDE in capabilities
    ):
        raise forbidden()
    return transition


def invalid_transition(stored: Status, requested: Status | None) -> LifecycleError:
    """There is no such move."""
    return LifecycleError(
        ErrorCode.INVALID_STATUS_TRANSITION, f"A version that is {stored} can't be made {requested} this way."
    )


def forbidden() -> LifecycleError:
    """The one who asks may not."""
    return LifecycleError(ErrorCode.FORBIDDEN, "Your roles do not allow this.")


def _apply(
    connection: sa.Connection,
    version: LockedVersion,
    transition: Transition,
    reason: str | None,
    blocked_reason: str | None,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> None:
    match transition.operation:
        case Operation.BLOCK:
            block(connection, version, blocked_reason or reason or "", actor_context=actor_context, options=options)
        case Operation.PAUSE | Operation.RESUME:
            toggle(connection, version, transition, reason=reason, actor_context=actor_context, options=options)
        case Operation.UPDATE_STATUS:
            _update(connection, version, transition, reason, actor_context, options)
        case _:
            raise invalid_transition(version.status, transition.target)


def _update(
    connection: sa.Connection,
    version: LockedVersion,
    transition: Transition,
    reason: str | None,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> None:
    assert transition.target is not None  # only an unblock leads back
    check(Asked(connection, version, options, reason or ""), transition)
    move_version(
        connection,
        version,
        Move(
            operation=Operation.UPDATE_STATUS,
            target=transition.target,
            columns={},
            reason_code="update_status",
            reason=typed_reason(reason),
        ),
        actor_context=actor_context,
        options=options,
    )
    if transition.target is Status.QA_AND_TESTING:
        queue_qa_checklist(connection, version)
