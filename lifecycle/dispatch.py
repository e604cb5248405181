"""Which operation a requested status means, given the stored one (30.1). Pure."""

from lifecycle.statuses import Operation, Status, find_transition


def operation_for(requested: Status, stored: Status, blocked_from: Status | None) -> Operation | None:
    """The operation that would move a version from `stored` to `requested`; None when nothing may.

    Not asked when both are the same: there is nothing to do then. What leaves Blocked is an unblock, to the status
    that the version was blocked from and to no other, or the end.
    """
    if stored is Status.BLOCKED and requested is not Status.ARCHIVED:
        return Operation.UNBLOCK if requested is blocked_from else None
    return next(
        (operation for operation in _BY_HAND if find_transition(operation, stored, requested) is not None), None
    )


#: What people may ask for by naming a status; the other operations are the monitor's.
_BY_HAND = (
    Operation.UPDATE_STATUS,
    Operation.BLOCK,
    Operation.DEPLOY,
    Operation.PAUSE,
    Operation.RESUME,
    Operation.ARCHIVE,
)
