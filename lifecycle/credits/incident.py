"""One run that is an incident, as a case takes it in (50.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lifecycle.kinds import CaseAction, CaseSeverity


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A run that cost too much, or that told of data at risk."""

    tenant_id: str
    workflow_id: str
    execution_id: str
    #: None where its version is not known.
    automation_version_id: str | None
    decision_id: str
    #: Event time of the run.
    occurred_at: datetime
    severity: CaseSeverity
    #: Its cases are of this; a name that the sender chose.
    scenario: str
    job_type: str
    credits_total: float
    #: None where there is nothing to compare with.
    baseline_credits: float | None
    variance_multiplier: float | None
    misconfig_likelihood: str
    risk_flags: Sequence[str]
    risk_summary: str
    #: What its severity asks for, by the profile that it was judged by.
    actions: Sequence[CaseAction]
