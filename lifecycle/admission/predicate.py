"""Whether a run may start (40.5). Pure, and the same for all ways to ask.

A run may start when its workflow is not blacklisted, its version is Live, and no credit case holds it back. The code
of a refusal is the first of `RefusalCode` that applies: what an operator has to end first.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from lifecycle.kinds import GateHoldKind, RefusalCode
from lifecycle.statuses import Status


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a workflow at one moment, as one snapshot of the database."""

    blacklisted: bool
    #: Of the version that runs; where none does, of the one that was moved last. None: no version is bound.
    status: Status | None
    #: Kinds of holds that apply to the request.
    holds: Set[GateHoldKind] = frozenset()


#: What each status means to the gate; only Live may run.
_BY_STATUS: Mapping[Status, RefusalCode | None] = {
    **dict.fromkeys(Status, RefusalCode.AUTOMATION_NOT_LIVE),
    Status.LIVE: None,
    Status.BLOCKED: RefusalCode.AUTOMATION_BLOCKED,
    Status.PAUSED: RefusalCode.AUTOMATION_PAUSED,
    Status.ARCHIVED: RefusalCode.AUTOMATION_ARCHIVED,
}

#: `error_code` of the event that tells of a refused run (spec 10): detectors pass over these.
ERROR_CODES: Mapping[RefusalCode, str] = {
    **dict.fromkeys(RefusalCode, "AutomationNotRunnable"),
    RefusalCode.WORKFLOW_BLACKLISTED: "WorkflowBlacklisted",
    RefusalCode.WORKFLOW_ON_HOLD: "WorkflowOnHold",
}

#: For the caller.
MESSAGES: Mapping[RefusalCode, str] = {
    RefusalCode.WORKFLOW_BLACKLISTED: "Workflow is blacklisted",
    RefusalCode.AUTOMATION_BLOCKED: "Automation is blocked",
    RefusalCode.AUTOMATION_PAUSED: "Automation is paused",
    RefusalCode.AUTOMATION_ARCHIVED: "Automation is archived",
    RefusalCode.AUTOMATION_NOT_LIVE: "Automation is not live",
    RefusalCode.WORKFLOW_ON_HOLD: "Workflow is on hold",
}


def why_not(facts: Facts) -> RefusalCode | None:
    """Why a run may not start; None when it may."""
    if facts.blacklisted:
        return RefusalCode.WORKFLOW_BLACKLISTED
    if facts.status is None:
        return RefusalCode.AUTOMATION_NOT_LIVE
    refusal = _BY_STATUS[facts.status]
    if refusal is None and facts.holds:
        return RefusalCode.WORKFLOW_ON_HOLD
    return refusal
