"""What goes over the wire at `/v1/executions`."""

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, Field

from api.v1.forms import Form, Id
from lifecycle.kinds import AdmissionVerdict, RefusalCode, Trigger


class AdmissionRequest(BaseModel):
    """A run that somebody wants to start."""

    workflow_id: Id
    trigger: Trigger
    idempotency_key: Id = Field(description="one for each run that is wanted; the same again gets the same answer")
    parent_execution_id: Id | None = Field(default=None, description="the execution that asks for it, where one does")


class Admission(Form):
    """What was answered to a request."""

    execution_id: str = Field(description="to be the run's, in all that is told of it")
    tenant_id: str
    workflow_id: str
    automation_version_id: str | None
    trigger: Trigger
    verdict: AdmissionVerdict
    code: RefusalCode | None
    probe: bool = Field(description="whether it is to show that a blacklisted workflow works again")
    decided_at: datetime


class Check(Form):
    """Whether a run would be admitted now. It is no admission."""

    workflow_id: str
    may_start: bool
    code: RefusalCode | None
    message: str | None


class StuckRequest(BaseModel):
    """An execution that hangs, as its engine sees it."""

    workflow_id: Id
    occurred_at: AwareDatetime | None = Field(default=None, description="when it was found out; now by default")


class StuckReport(Form):
    """The event that tells of it is in the log; reported again, it is the same event."""

    event_id: str
