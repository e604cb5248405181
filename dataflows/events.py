"""The wire model of what the monitor reads (spec 10): run events and control events.

Field limits are part of the types, so the decoder, the published JSON Schema and this page agree. What the
types can't say (aliases, defaults, which fault counts when several apply) is in `dataflows.decode`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta


class RunStatus(StrEnum):
    """What happened to an execution."""

    QUEUED = "queued"  #: waits to be started
    STARTED = "started"  #: began to run
    RUNNING = "running"  #: a heartbeat
    SUCCESS = "success"  #: ended well
    FAILURE = "failure"  #: ended in an error
    CANCELLED = "cancelled"  #: ended by somebody's wish
    TIMED_OUT = "timed_out"  #: ended by the platform, which took it for stuck

    # An enum's own hash is a Python function; this one is asked for several times an event.
    __hash__ = str.__hash__

    @classmethod
    def _missing_(cls, value: object) -> "RunStatus | None":
        """Other words for a status, in any case; the decoder asks for them, too."""
        return STATUS_ALIASES.get(value.lower()) if isinstance(value, str) else None


TERMINAL = frozenset({RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.CANCELLED, RunStatus.TIMED_OUT})

#: Other names for a status, lower case; compared without regard to case.
STATUS_ALIASES: dict[str, RunStatus] = {
    **{status.value: status for status in RunStatus},
    "succeeded": RunStatus.SUCCESS,
    "completed": RunStatus.SUCCESS,
    "complete": RunStatus.SUCCESS,
    "failed": RunStatus.FAILURE,
    "fail": RunStatus.FAILURE,
    "error": RunStatus.FAILURE,
    "crashed": RunStatus.FAILURE,
    "quarantined": RunStatus.FAILURE,
    "escalated": RunStatus.FAILURE,
    "canceled": RunStatus.CANCELLED,
    "aborted": RunStatus.CANCELLED,
    "abort": RunStatus.CANCELLED,
    "start": RunStatus.STARTED,
    "heartbeat": RunStatus.RUNNING,
    "progress": RunStatus.RUNNING,
}

#: Codes of runs that the admission gate refused; they reach no detector.
GATE_ERROR_CODES = frozenset({"WorkflowBlacklisted", "AutomationNotRunnable", "WorkflowOnHold"})

#: Marks a version that nobody has registered: it stands for a scenario whose credits alone are looked at.
SCENARIO_PREFIX = "scenario:"


class JobType(StrEnum):
    """What a run was for, in the words of the credit ledger."""

    ANALYSIS = "ANALYSIS"
    BINDER_EXPORT = "BINDER_EXPORT"
    EMAIL_SEND = "EMAIL_SEND"
    RECONCILE_BACKFILL = "RECONCILE_BACKFILL"
    FILING = "FILING"
    OTHER = "OTHER"


Identifier = Annotated[str, Meta(min_length=1, max_length=128)]
EVENT_ID_PATTERN = "^[A-Za-z0-9._:-]+$"
EventId = Annotated[str, Meta(min_length=1, max_length=128, pattern=EVENT_ID_PATTERN)]
SystemKey = Annotated[str, Meta(max_length=64)]
AwareTime = Annotated[datetime, Meta(tz=True)]
#: More than 64 bits is no count of anything; what is kept of runs is encoded in them.
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Credits = Annotated[float, Meta(ge=0)]
Text120 = Annotated[str, Meta(max_length=120)]
Text128 = Annotated[str, Meta(max_length=128)]
Text240 = Annotated[str, Meta(max_length=240)]

#: `error_message` is limited in bytes of UTF-8, which no type here can say; see `dataflows.decode`.
MAX_ERROR_MESSAGE_BYTES = 8192
MAX_MESSAGE_BYTES = 1 << 20


class RunEvent(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):  # nothing in it can refer back to it
    """One thing that happened to one execution; the object on topic `run_events`.

    After decoding `execution_id` is never None, and once identity has been checked `workflow_id` is not None
    either. `payload` and unknown fields are never read.
    """

    # The pattern of `event_id` is checked by `dataflows.decode`, in bulk: as part of the type it would cost a third
    # of the whole decoding.
    event_id: Identifier
    status: RunStatus
    occurred_at: AwareTime
    tenant_id: Identifier
    automation_version_id: Identifier
    execution_id: Identifier | None = None
    #: Alias of `execution_id`; read only where that is absent.
    run_id: Identifier | None = None
    workflow_id: Identifier | None = None
    system_key: SystemKey | None = None
    http_status: Annotated[int, Meta(ge=100, le=599)] | None = None
    error_code: Text128 | None = None
    error_message: str | None = None
    scenario_id: Text128 | None = None
    scenario_name: Text240 | None = None
    job_type: JobType | None = None
    credits_total: Credits | None = None
    credits_in: Credits | None = None
    credits_out: Credits | None = None
    model: Text120 | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    retry_count: Count | None = None
    has_idempotency_key: bool | None = None
    has_max_items_config: bool | None = None
    is_batch_job: bool | None = None
    is_backfill: bool | None = None
    prompt_version: Text120 | None = None
    deployment_timestamp: AwareTime | None = None
    input_item_count: Count | None = None
    risk_flags: list[str] | None = None
    artifacts_link: Annotated[str, Meta(max_length=2048)] | None = None
    #: Present on control events only; a run event with an unknown `kind` is judged as if it had none.
    kind: Any = None


class AutomationStatus(StrEnum):
    """The lifecycle's statuses, as control events carry them (spec 30.1)."""

    INTAKE_IN_PROGRESS = "Intake in Progress"
    NEEDS_PRICING = "Needs Pricing"
    AWAITING_CLIENT_APPROVAL = "Awaiting Client Approval"
    READY_FOR_BUILD = "Ready for Build"
    BUILD_IN_PROGRESS = "Build in Progress"
    QA_AND_TESTING = "QA & Testing"
    READY_TO_LAUNCH = "Ready to Launch"
    LIVE = "Live"
    PAUSED = "Paused"
    BLOCKED = "Blocked"
    ARCHIVED = "Archived"


#: What a credential event says of a credential that is of no use; other words (`active`, `unknown`, …) say nothing.
FAILED_CREDENTIAL = frozenset({"invalid", "expired", "revoked"})


class ControlEvent(msgspec.Struct, kw_only=True, frozen=True, tag_field="kind"):
    """Something other than a run that changes what a detector does, with its event time (spec 10)."""

    tenant_id: Identifier
    workflow_id: Identifier
    occurred_at: AwareTime
    #: Names the event where its sender may send it twice; the second one changes nothing.
    event_id: EventId | None = None


class AutomationStatusChanged(ControlEvent, frozen=True, tag="automation_status_changed"):
    """The lifecycle moved a version to another status."""

    from_status: AutomationStatus
    to_status: AutomationStatus
    automation_version_id: Identifier | None = None


class CredentialEvent(ControlEvent, frozen=True, tag="credential_event"):
    """An integration monitor learned something about a credential."""

    event_id: EventId
    system_key: Annotated[str, Meta(min_length=1, max_length=64)]
    status: Annotated[str, Meta(min_length=1, max_length=64)]


class HoldEnded(ControlEvent, frozen=True, tag="hold_ended"):
    """A provider incident is over; failures of its system between `from` and `to` count for nothing."""

    system_key: Annotated[str, Meta(min_length=1, max_length=64)]
    from_time: AwareTime = msgspec.field(name="from")
    to_time: AwareTime = msgspec.field(name="to")


class WorkflowReleased(ControlEvent, frozen=True, tag="workflow_released"):
    """A workflow was taken off the blacklist."""


class BaselineChange(msgspec.Struct, kw_only=True, frozen=True):
    """What a scenario's runs are compared with from now on."""

    #: As runs name it: their `scenario_id`, else `scenario_name`, else `workflow_id`.
    scenario_id: Annotated[str, Meta(min_length=1, max_length=240)]
    #: None: nothing is approved any more.
    median_credits: Credits | None = None
    #: Absent: the one that its runs say.
    job_type: JobType | None = None


class BaselinesUpdated(ControlEvent, kw_only=True, frozen=True, tag="baselines_updated"):
    """Baselines of a tenant were approved, changed or withdrawn. It is about no workflow, so all partitions have it."""

    workflow_id: str = ""
    baselines: Annotated[list[BaselineChange], Meta(min_length=1, max_length=1000)]


class SystemConfigChanged(ControlEvent, kw_only=True, frozen=True, tag="system_config_changed"):
    """The default layer's thresholds of the circuit breaker are these from its event time on (40.2).

    It is about all tenants, so all partitions have it; a repeat of a version changes nothing.
    """

    tenant_id: str = ""
    workflow_id: str = ""
    version: Annotated[int, Meta(ge=1)]
    #: Absent: what the policies say.
    stuck_threshold: Annotated[int, Meta(ge=1)] | None = None
    stuck_window_minutes: Annotated[int, Meta(ge=1, le=10_080)] | None = None


CONTROL_EVENTS: dict[str, type[ControlEvent]] = {
    "automation_status_changed": AutomationStatusChanged,
    "credential_event": CredentialEvent,
    "hold_ended": HoldEnded,
    "workflow_released": WorkflowReleased,
    "system_config_changed": SystemConfigChanged,
    "baselines_updated": BaselinesUpdated,
}

Event = RunEvent | ControlEvent
