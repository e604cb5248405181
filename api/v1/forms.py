"""What goes over the wire: requests, responses, errors. Everything that a caller sends is bounded here."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from lifecycle.credentials import CredentialOutcome
from lifecycle.kinds import (
    BindingStatus,
    CredentialStatus,
    DecisionOutcome,
    HoldKind,
    HoldStatus,
    Priority,
    TaskKind,
    TaskStatus,
)
from lifecycle.statuses import Operation, Prerequisite, Status
from lifecycle.task_changes import TaskOperation


def _storable(value: str) -> str:
    """Text that Postgres takes."""
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("holds a character that can't be stored")
    return value


#: Free text that a person wrote.
Text = Annotated[str, Field(max_length=4000), AfterValidator(_storable)]
#: A word or two, and a sentence.
Label = Annotated[str, Field(max_length=120), AfterValidator(_storable)]
Line = Annotated[str, Field(max_length=500), AfterValidator(_storable)]
#: Where something else can be read; nothing but a page, since a browser follows it.
Link = Annotated[str, Field(max_length=2048, pattern=r"^https://[!-~]+$")]
Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_storable)]


class Form(BaseModel):
    """A response: exactly these fields."""

    model_config = ConfigDict(from_attributes=True)


class ErrorDetail(Form):
    """One of the things that are wrong."""

    code: str = Field(examples=["build_checklist_complete"])
    field: str | None = Field(examples=[None])
    message: str = Field(examples=["The build checklist is not complete: 3 of 5."])


class Error(Form):
    """Why a request was not done. Nothing has changed."""

    error_code: str = Field(examples=["status_prerequisite_missing"])
    message: str = Field(examples=["This can't be done yet; see what is missing."])
    details: list[ErrorDetail] = Field(default=[])
    request_id: str = Field(examples=["4f0c8a5e-3c7b-4a52-9d1e-6f2b8a6f1c2d"])


class StatusRequest(BaseModel):
    """A change of status. Fields that the server owns are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"status": "QA & Testing", "last_known_status": "Build in Progress"},
                {"status": "Blocked", "blocked_reason": "The client's ERP is being migrated."},
            ]
        }
    )

    status: str = Field(max_length=64, description="one of the statuses; an unknown one is 400 `unknown_status`")
    blocked_reason: Text | None = Field(default=None, description="with Blocked: why; cut at 500 characters")
    reason: Text | None = None
    deployment_reason: Text | None = None
    status_metadata: dict[str, Any] | None = Field(default=None, description="kept with the version; at most 16 KiB")
    override: bool = Field(default=False, description="unblock though tasks are open; needs the capability, a reason")
    last_known_status: Status | None = None
    last_known_updated_at: AwareDatetime | None = None


class UnblockRequest(BaseModel):
    """The end of a block."""

    mode: Literal["tasks_complete", "credentials_verified", "override"] = Field(
        default="tasks_complete", description="why it may end"
    )
    reason: Text | None = None
    last_known_status: Status | None = None
    last_known_updated_at: AwareDatetime | None = None


class VersionState(Form):
    """A version after a request."""

    id: str
    automation_id: str
    tenant_id: str
    status: Status
    blocked_reason: str | None
    blocked_at: datetime | None
    blocked_from_status: Status | None
    status_changed_at: datetime
    updated_at: datetime


class ProjectState(Form):
    """Its project."""

    id: str
    status: str


class StatusResponse(Form):
    """The state after a request; `already_applied` when it was so before, and nothing was written."""

    automation_version: VersionState
    project: ProjectState | None
    already_applied: bool


class Version(VersionState):
    """A version with what belongs to it."""

    automation_name: str
    version: int
    workflow_id: str | None
    binding_status: BindingStatus | None
    project_id: str | None
    project_status: str | None


class VersionPage(Form):
    """One page; `next` goes into `after`."""

    items: list[Version]
    next: str | None


class HistoryStep(Form):
    """One step of a version."""

    from_status: Status | None
    to_status: Status
    operation: str
    actor: str
    system_initiated: bool
    reason_code: str | None
    episode_id: str | None
    decision_id: str | None
    changed_at: datetime


class History(Form):
    """The steps of a version, newest first."""

    items: list[HistoryStep]


class MovePrerequisite(Form):
    """One prerequisite; `missing` says what, null when it is met."""

    code: Prerequisite
    missing: str | None


class Move(Form):
    """One move that leads on."""

    target: Status
    operation: Operation
    allowed: bool
    ready: bool
    prerequisites: list[MovePrerequisite]


class Moves(Form):
    """Where a version can go."""

    items: list[Move]


class Task(Form):
    """A task."""

    id: str
    tenant_id: str | None
    kind: TaskKind
    status: TaskStatus
    priority: Priority
    title: str
    description: str
    system_key: str | None
    automation_version_id: str | None
    assignee_user_id: str | None
    decision_id: str | None
    version: int
    created_at: datetime
    updated_at: datetime


class TaskPage(Form):
    """One page; `next` goes into `cursor`."""

    items: list[Task]
    next: str | None


class TaskRequest(BaseModel):
    """A change of a task, made on the version that was last seen."""

    operation: TaskOperation
    version: int = Field(ge=1, le=2**31 - 1)
    assignee_user_id: Id | None = Field(default=None, description="with `assign`")
    snoozed_until: AwareDatetime | None = Field(default=None, description="with `snooze`; null ends it")


class TaskResponse(Form):
    """The task after a change."""

    task: Task
    already_applied: bool
    #: The version that can be unblocked now, since this was its last task.
    unblock_offered: str | None


class CredentialRequest(BaseModel):
    """What was learned of a credential."""

    event_id: Id = Field(description="the same id again changes nothing")
    occurred_at: AwareDatetime | None = Field(default=None, description="when it was learned; now by default")


class InvalidCredentialRequest(CredentialRequest):
    """That a credential does not work."""

    status: Literal["invalid", "expired", "revoked"] = "invalid"


class CredentialResponse(Form):
    """What is known of a credential now."""

    id: str
    status: CredentialStatus
    outcome: CredentialOutcome
    #: Versions whose credentials reason was cleared.
    unblocked: list[str]
    #: Versions whose credentials all work again, and that a person has to decide about.
    awaiting_a_person: list[str]


class Hold(Form):
    """A decision that waits."""

    id: str
    kind: HoldKind
    status: HoldStatus
    tenant_id: str
    automation_version_id: str | None
    workflow_id: str | None
    system_keys: list[str]
    incident_id: str | None
    decision_id: str
    decision_kind: str
    undone: bool
    occurred_at: datetime
    held_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    reason: str | None


class Holds(Form):
    """Decisions that wait, newest first."""

    items: list[Hold]


class HoldRequest(BaseModel):
    """A word on a decision that waits."""

    reason: Text | None = None


class Incident(Form):
    """A provider incident."""

    id: str
    system_key: str
    began_at: datetime
    last_failure_at: datetime
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    tenant_count: int


class Incidents(Form):
    """Provider incidents, newest first."""

    items: list[Incident]


class Decision(Form):
    """A decision, and what became of it."""

    decision_id: str
    kind: str
    tenant_id: str | None
    workflow_id: str | None
    automation_version_id: str | None
    occurred_at: datetime
    policy_id: str
    reason_code: str
    outcome: DecisionOutcome
    outcome_reason: str | None


class DecisionPage(Form):
    """One page; `next` goes into `cursor`."""

    items: list[Decision]
    next: str | None


class Done(Form):
    """It is so; `already_applied` when it was before."""

    already_applied: bool


class Evidence(Form):
    """One event that a decision rests on."""

    ordinal: int
    event_id: str
    source: str | None
    partition: int | None
    offset: int | None
    sha256: str | None


class DecisionDetail(Form):
    """A decision with its numbers, its evidence and the tasks that came of it."""

    summary: Decision
    policy_version: int
    observed: dict[str, Any]
    threshold: dict[str, Any]
    detail: dict[str, Any]
    recorded_at: datetime
    evidence: list[Evidence]
    tasks: list[Task]


class Credential(Form):
    """A credential: its status, never its content."""

    id: str
    tenant_id: str
    system_key: str
    status: CredentialStatus
    last_validated_at: datetime | None
    updated_at: datetime


class CredentialPage(Form):
    """One page; `next` goes into `after`."""

    items: list[Credential]
    next: str | None


class AuditRow(Form):
    """One thing that was done."""

    id: int
    tenant_id: str | None
    actor: str
    invoked_via: str
    system_initiated: bool
    action_type: str
    resource_type: str
    resource_id: str
    episode_id: str | None
    decision_id: str | None
    metadata: dict[str, Any]
    created_at: datetime


class AuditPage(Form):
    """One page; `next` goes into `before`."""

    items: list[AuditRow]
    next: int | None
