"""What goes over the wire at `/v1/cases`."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from api.v1.forms import Form, Label, Line, Link, Text
from lifecycle.kinds import (
    ActionResult,
    CaseAction,
    CaseCategory,
    CaseSeverity,
    CaseStatus,
    ExposureBand,
    GateHoldKind,
    ReceiptOutcome,
    RootCause,
)


class Case(Form):
    """A credit case."""

    case_id: str = Field(examples=["CASE-20260302-A1B2C3"])
    tenant_id: str
    scenario: str
    job_type: str
    workflow_id: str
    primary_execution_id: str
    title: str
    category: CaseCategory
    severity: CaseSeverity
    exposure_band: ExposureBand
    status: CaseStatus
    stage: str | None
    wt_gate_for_automation: str | None
    wt_gate_verdict: str | None
    root_cause: RootCause | None
    fix: str | None
    recurrence_notes: str | None
    slack_thread_url: str | None
    run_count: int
    opened_at: datetime
    acknowledge_by: datetime | None = Field(description="null: it may wait")
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    escalated_at: datetime | None = Field(description="when on-call was told that nobody had acknowledged it")
    resolved_at: datetime | None
    resolved_by: str | None
    version: int


class CasePage(Form):
    """One page; `next` goes into `cursor`."""

    items: list[Case]
    next: str | None


class CaseRun(Form):
    """A run in the timeline of a case."""

    workflow_id: str
    execution_id: str
    decision_id: str
    occurred_at: datetime
    severity: CaseSeverity
    credits_total: float
    baseline_credits: float | None
    variance_multiplier: float | None
    misconfig_likelihood: str
    risk_flags: list[str]
    risk_summary: str
    artifacts_quarantined: bool


class CaseActionTaken(Form):
    """Something that a severity asked for, and what became of it."""

    action: CaseAction
    severity: CaseSeverity
    workflow_id: str | None
    execution_id: str | None
    result: ActionResult
    asked_at: datetime
    finished_at: datetime | None


class RunReceipt(Form):
    """An attempt to create the evidence hygiene task of a case, and what came of it."""

    outcome: ReceiptOutcome
    reason: str | None = Field(description="why it was blocked, or the class of the error")
    gate: str | None = Field(description="`wt_gate_for_automation` as it was then")
    task_id: str | None
    created_at: datetime


class CaseHold(Form):
    """Something that the gate holds back because of a case."""

    workflow_id: str
    kind: GateHoldKind
    execution_id: str | None
    created_at: datetime


class CaseFile(Form):
    """A case with all that belongs to it."""

    case: Case
    reopened_from: str | None = Field(description="the case that this one goes on from")
    reopened_as: str | None
    runs: list[CaseRun] = Field(description="newest first, the newest 200 at most; `run_count` says how many there are")
    actions: list[CaseActionTaken]
    receipts: list[RunReceipt] = Field(description="newest first")
    holds: list[CaseHold] = Field(description="those in force")


class CaseRequest(BaseModel):
    """A change of a case; what is absent stays as it is. To resolve one is to make it `Resolved`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"status": "Investigating"},
                {"status": "Resolved", "root_cause": "Misconfig", "recurrence_notes": "The iterator has a limit now."},
            ]
        },
    )

    status: CaseStatus | None = None
    root_cause: RootCause | None = None
    fix: Text | None = None
    recurrence_notes: Text | None = None
    stage: Label | None = None
    wt_gate_for_automation: Label | None = None
    wt_gate_verdict: Line | None = None
    slack_thread_url: Link | None = Field(default=None, description="where it is talked about")
    version: int | None = Field(default=None, ge=1, le=2**31 - 1, description="the one that the change was made on")


class CaseResponse(Form):
    """The case after a request; `already_applied` when it was so before, and nothing was written."""

    case: Case
    already_applied: bool


class Released(Form):
    """What was let go."""

    holds: int
