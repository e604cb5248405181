"""The status machine of an automation version (spec 30.1).

Rule 1: every move is a row of `TRANSITIONS`; if it is not here it cannot happen.
Rule 2: nothing here knows where a request comes from or what it writes.

The SQL check, the tests, the diagram and the console's buttons are derived from this table.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lifecycle.capabilities import Capability


class Status(StrEnum):
    """Where an automation version is in its life."""

    INTAKE_IN_PROGRESS = "Intake in Progress"  #: the blueprint is being written
    NEEDS_PRICING = "Needs Pricing"  #: the blueprint is locked, a price is being found
    AWAITING_CLIENT_APPROVAL = "Awaiting Client Approval"  #: a quote is out
    READY_FOR_BUILD = "Ready for Build"  #: the quote is signed
    BUILD_IN_PROGRESS = "Build in Progress"
    QA_AND_TESTING = "QA & Testing"
    READY_TO_LAUNCH = "Ready to Launch"
    LIVE = "Live"  #: runs on the platform; one version of an automation at most
    PAUSED = "Paused"  #: stopped by a person, for a while
    BLOCKED = "Blocked"  #: stopped because something is broken; always with a reason
    ARCHIVED = "Archived"  #: the end; nothing leads out


class Operation(StrEnum):
    """What may move a version; each is one function of the lifecycle."""

    UPDATE_STATUS = "update_status"  #: Flow 13
    BLOCK = "block"  #: Flow 13, by hand
    BLOCK_FOR_CREDENTIALS = "request_block_for_credentials"  #: Flow 26
    UNBLOCK = "unblock"  #: Flow 13, by hand
    UNBLOCK_FOR_CREDENTIALS = "request_unblock_for_credentials"  #: Flow 26
    DEPLOY = "deploy"  #: Flow 24
    PAUSE = "pause"  #: Flow 24A
    RESUME = "resume"  #: Flow 24B
    ARCHIVE = "archive"  #: Flows 13 and 35


class Prerequisite(StrEnum):
    """What must hold before a move; all that don't are reported at once."""

    PROJECT_EXISTS = "project_exists"
    LATEST_QUOTE_SIGNED = "latest_quote_signed"
    PAYMENT_RECORDED = "payment_recorded"
    BUILD_CHECKLIST_COMPLETE = "build_checklist_complete"
    ARTIFACTS_AND_RUNBOOK_ATTACHED = "artifacts_and_runbook_attached"
    QA_CHECKLIST_APPROVED = "qa_checklist_approved"
    PASS_RATE_REACHED = "pass_rate_reached"  # noqa: S105  (tests that pass)
    DEPLOYMENT_AND_ROLLBACK_PLANNED = "deployment_and_rollback_planned"
    REASON_GIVEN = "reason_given"
    REMEDIATION_COMPLETE = "remediation_complete"
    CREDENTIALS_VERIFIED = "credentials_verified"
    BINDING_DEPLOYABLE = "binding_deployable"
    NO_OTHER_VERSION_LIVE = "no_other_version_live"
    NO_ACTIVE_BINDING = "no_active_binding"


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed move. `target` None means the status that the version was blocked from."""

    source: Status
    target: Status | None
    operation: Operation
    #: What the one who asks must be allowed to do.
    capability: Capability
    prerequisites: tuple[Prerequisite, ...] = ()


_BUILD = (
    Prerequisite.PROJECT_EXISTS,
    Prerequisite.LATEST_QUOTE_SIGNED,
    Prerequisite.PAYMENT_RECORDED,
)
_BLOCKABLE = tuple(status for status in Status if status not in (Status.BLOCKED, Status.ARCHIVED))

TRANSITIONS: tuple[Transition, ...] = (
    # delivery
    Transition(
        Status.AWAITING_CLIENT_APPROVAL,
        Status.READY_FOR_BUILD,
        Operation.UPDATE_STATUS,
        Capability.BUILD_AND_QA,
        (Prerequisite.LATEST_QUOTE_SIGNED,),
    ),
    *(
        Transition(source, Status.BUILD_IN_PROGRESS, Operation.UPDATE_STATUS, Capability.BUILD_AND_QA, _BUILD)
        for source in (Status.AWAITING_CLIENT_APPROVAL, Status.READY_FOR_BUILD)
    ),
    Transition(
        Status.BUILD_IN_PROGRESS,
        Status.QA_AND_TESTING,
        Operation.UPDATE_STATUS,
        Capability.BUILD_AND_QA,
        (Prerequisite.BUILD_CHECKLIST_COMPLETE, Prerequisite.ARTIFACTS_AND_RUNBOOK_ATTACHED),
    ),
    Transition(
        Status.QA_AND_TESTING,
        Status.READY_TO_LAUNCH,
        Operation.UPDATE_STATUS,
        Capability.APPROVE_LAUNCH,
        (
            Prerequisite.QA_CHECKLIST_APPROVED,
            Prerequisite.PASS_RATE_REACHED,
            Prerequisite.DEPLOYMENT_AND_ROLLBACK_PLANNED,
        ),
    ),
    Transition(
        Status.QA_AND_TESTING,
        Status.BUILD_IN_PROGRESS,
        Operation.UPDATE_STATUS,
        Capability.BUILD_AND_QA,
        (Prerequisite.REASON_GIVEN,),
    ),
    # running
    Transition(
        Status.READY_TO_LAUNCH,
        Status.LIVE,
        Operation.DEPLOY,
        Capability.DEPLOY,
        (Prerequisite.BINDING_DEPLOYABLE,),
    ),
    Transition(Status.LIVE, Status.PAUSED, Operation.PAUSE, Capability.PAUSE_AND_RESUME),
    Transition(
        Status.PAUSED,
        Status.LIVE,
        Operation.RESUME,
        Capability.PAUSE_AND_RESUME,
        (Prerequisite.NO_OTHER_VERSION_LIVE,),
    ),
    # broken, and mended
    *(
        Transition(status, Status.BLOCKED, Operation.BLOCK, Capability.BLOCK, (Prerequisite.REASON_GIVEN,))
        for status in _BLOCKABLE
    ),
    *(
        Transition(status, Status.BLOCKED, Operation.BLOCK_FOR_CREDENTIALS, Capability.AUTOMATIC)
        for status in _BLOCKABLE
    ),
    Transition(Status.BLOCKED, None, Operation.UNBLOCK, Capability.UNBLOCK, (Prerequisite.REMEDIATION_COMPLETE,)),
    Transition(
        Status.BLOCKED,
        None,
        Operation.UNBLOCK_FOR_CREDENTIALS,
        Capability.AUTOMATIC,
        (Prerequisite.CREDENTIALS_VERIFIED,),
    ),
    # the end
    *(
        Transition(status, Status.ARCHIVED, Operation.ARCHIVE, Capability.ARCHIVE, (Prerequisite.NO_ACTIVE_BINDING,))
        for status in Status
        if status is not Status.ARCHIVED
    ),
)

#: A credential block is automatic only where runs prove something; elsewhere people are told (30.4).
AUTOMATIC_BLOCK_SOURCES = frozenset({Status.LIVE, Status.READY_TO_LAUNCH, Status.BUILD_IN_PROGRESS})

#: What a project mirrors: delivery up to Live, never a stop (30.2).
DELIVERY_STATUSES = frozenset(Status) - {Status.PAUSED, Status.BLOCKED, Status.ARCHIVED}

_BY_MOVE = {(row.operation, row.source, row.target): row for row in TRANSITIONS}


def find_transition(operation: Operation, source: Status, target: Status | None) -> Transition | None:
    """The row that allows a move, None when it is not allowed.

    `target` is None for an unblock, which leads back to wherever the version was blocked from.
    """
    return _BY_MOVE.get((operation, source, target))


def transitions_from(source: Status) -> Iterable[Transition]:
    """Every move that leads out of a status, in the table's order."""
    return (row for row in TRANSITIONS if row.source is source)
