"""What somebody may do with a version, as forms: what each does, what it needs, and why it is switched off. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lifecycle.capabilities import CAPABILITIES, Capability
from lifecycle.checklists import ChecklistItem, PossibleMove
from lifecycle.statuses import Operation, Prerequisite, Status, find_transition

_OWNER_TOO = frozenset({Capability.PAUSE_AND_RESUME})


class UnblockWay(StrEnum):
    """Why a block may end, as the form says it."""

    TASKS = "tasks_complete"
    CREDENTIALS = "credentials_verified"
    OVERRIDE = "override"


class Reason(StrEnum):
    """Whether a form asks for one."""

    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One form."""

    #: Names it within the page.
    key: str
    #: The last part of the address that it is sent to.
    action: str
    fields: Mapping[str, str]
    label: str
    #: What happens when it is sent.
    effect: str
    checklist: Sequence[ChecklistItem] = field(default_factory=tuple)
    reason: Reason = Reason.OPTIONAL
    #: Words of a box to tick before what is hard to take back; empty for none.
    confirmation: str = ""
    #: Why it can't be sent; empty where it can.
    why_not: str = ""


def ways_of(
    moves: Sequence[PossibleMove],
    *,
    status: Status,
    capabilities: frozenset[Capability],
    credentials: ChecklistItem | None,
) -> list[Way]:
    """The forms for these moves, in their order; a block for credentials may end in two more ways."""
    ways = []
    for move in moves:
        if move.operation is Operation.UNBLOCK:
            ways += _unblocks(move, capabilities, credentials)
        else:
            ways.append(_way(move, status))
    return ways


def who_may(capability: Capability) -> str:
    """The roles that have a capability, as words."""
    roles = [role.value for role, mine in CAPABILITIES.items() if capability in mine]
    if capability in _OWNER_TOO:
        roles.append("the owner of the automation")
    return roles[0] if len(roles) == 1 else f"{', '.join(roles[:-1])} or {roles[-1]}"


def _way(move: PossibleMove, status: Status) -> Way:
    label, effect = _WORDS.get(move.operation, (f"Move to {move.target}", _DELIVERY))
    transition = find_transition(move.operation, status, move.target)
    needs_reason = transition is not None and Prerequisite.REASON_GIVEN in transition.prerequisites
    return Way(
        key=f"{move.operation}-{move.target.lower().replace(' ', '-').replace('&', 'and')}",
        action="move",
        fields={"status": move.target.value},
        label=label,
        effect=effect,
        checklist=move.prerequisites,
        reason=Reason.REQUIRED if needs_reason else Reason.OPTIONAL,
        confirmation=_CONFIRMATIONS.get(move.operation, ""),
        why_not=_why_not(move.capability, allowed=move.allowed, ready=move.ready),
    )


def _unblocks(move: PossibleMove, capabilities: frozenset[Capability], credentials: ChecklistItem | None) -> list[Way]:
    may = Capability.UNBLOCK in capabilities
    ways = [
        Way(
            key="unblock-tasks",
            action="unblock",
            fields={"mode": UnblockWay.TASKS},
            label="Unblock",
            effect=f"Every reason of the block is cleared, and the version is {move.target} again. People are told.",
            checklist=move.prerequisites,
            why_not=_why_not(Capability.UNBLOCK, allowed=may, ready=move.ready),
        )
    ]
    if credentials is not None:
        ways.append(
            Way(
                key="unblock-credentials",
                action="unblock",
                fields={"mode": UnblockWay.CREDENTIALS},
                label="Unblock, since the credentials work",
                effect="The block for credentials ends, with its tasks. What a person blocked it for stays.",
                checklist=[credentials],
                why_not=_why_not(Capability.UNBLOCK, allowed=may, ready=credentials.missing is None),
            )
        )
    ways.append(
        Way(
            key="unblock-override",
            action="unblock",
            fields={"mode": UnblockWay.OVERRIDE},
            label="Override the block",
            effect=(
                f"The version is {move.target} again whatever is missing; open tasks of the block are cancelled, and it"
                " counts as a false alarm."
            ),
            reason=Reason.REQUIRED,
            confirmation="The block was wrong, or I answer for going on.",
            why_not=_why_not(Capability.OVERRIDE, allowed=Capability.OVERRIDE in capabilities, ready=True),
        )
    )
    return ways


def _why_not(capability: Capability, *, allowed: bool, ready: bool) -> str:
    if not allowed:
        return f"Your roles do not allow this. It takes {who_may(capability)}."
    return "" if ready else "Something is missing; see the list above."


_DELIVERY = "The project of the version follows, and the people concerned are told."

_WORDS: Mapping[Operation, tuple[str, str]] = {
    Operation.BLOCK: (
        "Block",
        "It stops: no run is started any more. A task to put it right is made, and the people concerned are told.",
    ),
    Operation.DEPLOY: (
        "Deploy",
        "Its workflow is switched on at the platform and it goes Live; the version that is Live now is archived.",
    ),
    Operation.PAUSE: ("Pause", "No run is started until it is resumed."),
    Operation.RESUME: ("Resume", "Runs are started again."),
    Operation.ARCHIVE: (
        "Archive",
        "Its workflow is switched off at the platform, and the version is out of use for good.",
    ),
}

_CONFIRMATIONS: Mapping[Operation, str] = {
    Operation.DEPLOY: "Put this version into service now.",
    Operation.ARCHIVE: "Archive it: nothing leads back.",
}
