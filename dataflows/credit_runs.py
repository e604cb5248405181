"""What a run cost and how that was judged: the credit detector's record of one run, for the ledger (spec 50.1)."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from dataflows.events import JobType, RunStatus


class Severity(StrEnum):
    """How bad a run is; the first is the worst."""

    SEV0 = "SEV0"
    SEV1 = "SEV1"
    SEV2 = "SEV2"
    SEV3 = "SEV3"
    SEV4 = "SEV4"


#: Those that are an incident, and give a decision.
INCIDENTS = frozenset({Severity.SEV0, Severity.SEV1, Severity.SEV2})


class Likelihood(StrEnum):
    """How much speaks for a misconfiguration."""

    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"


class RiskFlag(StrEnum):
    """What is remarkable about a run, in the order in which flags are listed."""

    RETRY_LOOP = "retry_loop"  #: it was tried again too often
    UNBOUNDED_ITERATOR = "unbounded_iterator"  #: it says that it has no limit on items
    MISSING_IDEMPOTENCY = "missing_idempotency"  #: it says that it has no idempotency key
    SUDDEN_PROMPT_GROWTH = "sudden_prompt_growth"  #: it costs more, and has a prompt version
    DEPLOYMENT_CORRELATION = "deployment_correlation"  #: a deployment came before it
    BATCH_JOB = "batch_job"  #: it is a batch
    BACKFILL_MODE = "backfill_mode"  #: it makes good what was missed
    LINEAR_SCALING = "linear_scaling"  #: its cost is in proportion to its items
    PII_EXPOSURE = "pii_exposure"  #: the sender says so
    REGULATORY_DATA = "regulatory_data"  #: the sender says so
    NO_BASELINE = "no_baseline"  #: there is nothing to compare it with


class CreditAction(StrEnum):
    """What a severity asks for."""

    QUARANTINE = "quarantine"
    BLOCK_DISPATCH = "block_dispatch"
    CREATE_CASE = "create_case"
    PAGE_LOCK = "page_lock"
    SLACK_ESCALATE = "slack_escalate"
    SLACK_ALERT = "slack_alert"
    REQUIRE_ACK_BEFORE_RERUN = "require_ack_before_rerun"
    LOG_CASE_OPTIONAL = "log_case_optional"
    WEEKLY_REVIEW = "weekly_review"
    WEEKLY_REVIEW_OPTIONAL = "weekly_review_optional"
    LEDGER_ONLY = "ledger_only"


class BaselineSource(StrEnum):
    """Where a baseline is from (spec 50.3)."""

    APPROVED = "approved"  #: somebody approved it, or the weekly job set it
    LEARNED = "learned"  #: the median of the scenario's own healthy runs
    PEER = "peer"  #: the median of the approved ones of its tenant's like scenarios
    GIVEN = "given"  #: the record or the command line says it; never in the stream
    NONE = "none"  #: there is none


class CreditRun(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal run with its cost, and its classification. One for each (tenant, workflow, execution).

    The stream may say it again after a restart, with the same values. Credits are exact decimals.
    """

    tenant_id: str
    workflow_id: str
    execution_id: str
    event_id: str
    automation_version_id: str
    occurred_at: datetime
    status: RunStatus
    #: What it is compared with: `scenario_id`, else `scenario_name`, else `workflow_id`.
    scenario: str
    scenario_id: str | None
    scenario_name: str | None
    job_type: JobType
    credits_total: Decimal
    credits_in: Decimal | None
    credits_out: Decimal | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    retry_count: int | None
    has_idempotency_key: bool | None
    has_max_items_config: bool | None
    is_batch_job: bool | None
    is_backfill: bool | None
    prompt_version: str | None
    deployment_timestamp: datetime | None
    input_item_count: int | None
    artifacts_link: str | None

    #: The profile and the version of the policies that it was judged by.
    profile: str
    policy_version: int
    #: None where there is no baseline.
    baseline_credits: Decimal | None
    baseline_source: BaselineSource
    #: `credits_total / baseline_credits`, not rounded; the profile `sintraprime` counts it as 0 without a baseline.
    variance_multiplier: float | None
    severity: Severity
    misconfig_likelihood: Likelihood
    #: What speaks for a misconfiguration less what speaks for legitimate load; may be negative.
    misconfig_score: int
    legit_score: int
    risk_flags: list[RiskFlag]
    risk_summary: str
    actions: list[CreditAction]


#: Below it every whole number is a float of its own.
_WHOLE = 2**53

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(CreditRun)


def encode_credit_run(run: CreditRun) -> bytes:
    """One JSON object, UTF-8, without a line end; credits are numbers with all their digits."""
    return _encoder.encode(run)


def encode_credit_runs(runs: list[CreditRun]) -> bytes:
    """A line for each, without the last one's end."""
    return _encoder.encode_lines(runs)[:-1]


def decode_credit_run(raw: bytes | str) -> CreditRun:
    """The inverse of `encode_credit_run`; `msgspec.ValidationError` names what is wrong."""
    return _decoder.decode(raw)


def exact(value: float) -> Decimal:
    """The decimal number that was written where `value`, not negative, was read: exact up to 15 digits."""
    if value < _WHOLE and value == (whole := int(value)):
        return Decimal(whole)
    return Decimal(repr(value))
