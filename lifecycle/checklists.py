"""What a version could become, who may ask for it, and what is missing (30.1): for buttons and checklists."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle.actors import ActorContext
from lifecycle.capabilities import Capability
from lifecycle.kinds import AutomationStatus
from lifecycle.options import LifecycleOptions
from lifecycle.prerequisites import Asked, unmet
from lifecycle.results import not_found
from lifecycle.statuses import Operation, Prerequisite, Status, transitions_from
from lifecycle.unblocking import failed_systems
from lifecycle.versions import read_unlocked

#: Given with the request, or done by the move itself.
_GIVEN_THEN = {Prerequisite.REASON_GIVEN, Prerequisite.NO_ACTIVE_BINDING}


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One prerequisite, and what is missing of it; None when it is met."""

    code: Prerequisite
    missing: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleMove:
    """One move that leads on from where a version is."""

    target: Status
    operation: Operation
    capability: Capability
    #: Whether the one who asks may make it.
    allowed: bool
    #: Whether everything is there.
    ready: bool
    prerequisites: Sequence[ChecklistItem]


def credentials_checklist(
    connection: sa.Connection, tenant_id: str, automation_version_id: str, *, options: LifecycleOptions
) -> ChecklistItem | None:
    """Whether the credentials that a version is blocked for were seen to work again; None when it is not for those.

    Changes and locks nothing.
    """
    version = read_unlocked(connection, tenant_id, automation_version_id)
    if version is None or version.status is not Status.BLOCKED or not failed_systems(connection, version):
        return None
    missing = unmet(Asked(connection, version, options), [Prerequisite.CREDENTIALS_VERIFIED])
    return ChecklistItem(Prerequisite.CREDENTIALS_VERIFIED, missing[0].message if missing else None)


def possible_moves(
    connection: sa.Connection,
    tenant_id: str,
    automation_version_id: str,
    *,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> Sequence[PossibleMove]:
    """Every move that people may make from the version's status, in the table's order; none for an archived automation.

    Changes and locks nothing. One to three small queries a move.
    """
    version = read_unlocked(connection, tenant_id, automation_version_id)
    if version is None:
        raise not_found()
    if version.automation_status is not AutomationStatus.ACTIVE:
        return []
    capabilities = actor_context.capabilities_over(version.owner_user_id)
    asked = Asked(connection, version, options)
    moves = []
    for transition in transitions_from(version.status):
        target = transition.target or version.blocked_from_status
        if transition.capability is Capability.AUTOMATIC or target is None:
            continue
        required = [one for one in transition.prerequisites if one not in _GIVEN_THEN]
        missing = {detail.code: detail.message for detail in unmet(asked, required)}
        moves.append(
            PossibleMove(
                target=target,
                operation=transition.operation,
                capability=transition.capability,
                allowed=transition.capability in capabilities,
                ready=not missing,
                prerequisites=[ChecklistItem(code, missing.get(code)) for code in required],
            )
        )
    return moves
