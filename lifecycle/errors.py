"""What the lifecycle says no with: a code, and every fault at once (30.1, 30.7). Whoever raises has written nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class ErrorCode(StrEnum):
    """The closed list of codes that callers may rely on."""

    AUTOMATION_VERSION_NOT_FOUND = "automation_version_not_found"  #: unknown, or of another tenant
    NOT_FOUND = "not_found"  #: any other thing that is unknown, or of another tenant
    UNKNOWN_STATUS = "unknown_status"
    INVALID_STATUS_TRANSITION = "invalid_status_transition"
    STATUS_PREREQUISITE_MISSING = "status_prerequisite_missing"
    BLOCKED_REASON_REQUIRED = "blocked_reason_required"
    REASON_REQUIRED = "reason_required"
    PROJECT_MISSING_FOR_TRANSITION = "project_missing_for_transition"
    QUOTE_MISSING_FOR_TRANSITION = "quote_missing_for_transition"
    CONCURRENCY_CONFLICT = "concurrency_conflict"
    PRECONDITION_FAILED = "precondition_failed"
    APPROVAL_REQUIRED = "approval_required"
    DEPLOYMENT_FAILED = "deployment_failed"  #: the platform did not do it; nothing changed here
    ARCHIVE_REMOTE_DEACTIVATION_FAILED = "archive_remote_deactivation_failed"
    ASSIGNEE_NOT_A_MEMBER = "assignee_not_a_member"
    FORBIDDEN = "forbidden"  #: the capability is missing


@dataclass(frozen=True, slots=True)
class Detail:
    """One of the things that are wrong."""

    code: str
    #: The part of the request that it is about, or None.
    field: str | None
    #: What to do, for people; without anything that others wrote.
    message: str


class LifecycleError(Exception):
    """A request that can't be done. Raised inside the caller's transaction, which must be rolled back."""

    def __init__(self, code: ErrorCode, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(code.value)
        self.code = code
        self.message = message
        self.details = tuple(details)
