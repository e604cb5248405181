"""Which moves a version may make now, for whom, and what is missing: the console's buttons (30.1)."""

from dataclasses import dataclass

from lifecycle.actors import ActorContext
from lifecycle.capabilities import OWNER_CAPABILITIES, Capability
from lifecycle.kinds import AutomationStatus
from lifecycle.prerequisites import Asked, unmet
from lifecycle.statuses import Operation, Prerequisite, Status, transitions_from


@dataclass(frozen=True, slots=True)
class Requirement:
    """One prerequisite of a move, as it is now."""

    prerequisite: Prerequisite
    #: What is missing, for people; None when it holds.
    missing: str | None


@dataclass(frozen=True, slots=True)
class PossibleMove:
    """One way that leads on from where a version is."""

    operation: Operation
    target: Status
    #: Whether the one who looks may ask for it.
    allowed: bool
    #: Nothing about a reason: that is given with the request.
    requirements: tuple[Requirement, ...]


#: Moves that no person asks for by naming a status.
_AUTOMATIC = frozenset({Operation.BLOCK_FOR_CREDENTIALS, Operation.UNBLOCK_FOR_CREDENTIALS})

#: Given with a request, or done by the operation itself.
_NOT_ROWS = frozenset({Prerequisite.REASON_GIVEN, Prerequisite.NO_ACTIVE_BINDING})


def possible_moves(asked: Asked, actor_context: ActorContext) -> list[PossibleMove]:
    """Every move from where the version is, in the table's order; none for an archived automation.

    One to three small queries a move. Nothing is written.
    """
    version = asked.version
    if version.automation_status is not AutomationStatus.ACTIVE:
        return []
    capabilities = capabilities_for(actor_context, version.owner_user_id)
    moves = []
    for row in transitions_from(version.status):
        target = row.target or version.blocked_from_status
        if row.operation in _AUTOMATIC or target is None:
            continue
        required = [one for one in row.prerequisites if one not in _NOT_ROWS]
        faults = {detail.code: detail.message for detail in unmet(asked, required)}
        moves.append(
            PossibleMove(
                operation=row.operation,
                target=target,
                allowed=row.capability in capabilities,
                requirements=tuple(Requirement(one, faults.get(one)) for one in required),
            )
        )
    return moves


def capabilities_for(actor_context: ActorContext, owner_user_id: str | None) -> frozenset[Capability]:
    """What somebody may do with a version of an automation that this user owns."""
    owns = actor_context.user_id is not None and actor_context.user_id == owner_user_id
    return actor_context.capabilities | (OWNER_CAPABILITIES if owns else frozenset())
