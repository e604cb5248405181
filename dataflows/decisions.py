"""What a detector may say: the closed list of decisions (spec 20.1)."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

#: RFC 4122's URL namespace; spec 20.1 fixes it, so that ids made here and elsewhere agree.
NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")

#: Evidence lists the newest events at most; the counters in `observed` say how many there were.
MAX_EVIDENCE = 50


class DecisionKind(StrEnum):
    """What was concluded."""

    BLOCK_FOR_CREDENTIALS = "block_for_credentials"  #: a system's credentials have failed (20.2)
    EXECUTION_STUCK = "execution_stuck"  #: an execution is open without activity (20.3)
    EXECUTION_RECOVERED = "execution_recovered"  #: an execution called stuck has moved again (20.3)
    BLACKLIST_WORKFLOW = "blacklist_workflow"  #: a workflow keeps getting stuck (20.4)
    CREDIT_INCIDENT = "credit_incident"  #: a run cost far more than its scenario usually does (20.5)
    SPEND_ANOMALY = "spend_anomaly"  #: more is spent in an hour, or from week to week, than usually (50.9)
    SILENCE = "silence"  #: nothing comes any more (20.6)


class ReasonCode(StrEnum):
    """The rule that decided."""

    CONSECUTIVE_FAILURES = "consecutive_failures"  #: the streak of auth failures reached its threshold
    FAILURE_RATIO = "failure_ratio"  #: the share of auth failures in the window went over its threshold
    INTEGRATION_MONITOR = "integration_monitor"  #: a credential event said so
    NO_ACTIVITY = "no_activity"  #: the watermark reached the execution's deadline
    PLATFORM_TIMEOUT = "platform_timeout"  #: the platform itself reported `timed_out`
    ACTIVITY = "activity"  #: a stuck execution reported `started` or `running` again
    TERMINAL = "terminal"  #: a stuck execution ended after all
    STUCK_THRESHOLD = "stuck_threshold"  #: enough stuck executions in the window
    CREDIT_SPIKE = "credit_spike"  #: the run's multiplier
    ABSOLUTE_CAP = "absolute_cap"  #: its credits alone, whatever they are compared with
    PII_EXPOSURE = "pii_exposure"  #: the sender's flag
    REGULATORY_DATA = "regulatory_data"  #: the sender's flag
    SPEND_BURST = "spend_burst"  #: an hour spent more than such an hour ever did
    SPEND_DRIFT = "spend_drift"  #: the last week spent more a day than the weeks before
    NO_RUNS = "no_runs"  #: no run in the whole stream for too long
    WORKFLOW_QUIET = "workflow_quiet"  #: no run of a workflow for several of its periods


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One conclusion, complete enough to act on and to be explained.

    `decision_id` is a function of the cause alone, so a replay, a restart or another worker says the
    same thing under the same id and every sink can drop repeats.
    """

    decision_id: str
    kind: DecisionKind
    #: Both None where the whole stream is meant.
    tenant_id: str | None
    workflow_id: str | None
    #: None there, and where a control event decided before any run of the workflow was seen.
    automation_version_id: str | None
    #: Event time of the cause, aware UTC.
    occurred_at: datetime
    policy_id: str
    policy_version: int
    reason_code: ReasonCode
    #: What was counted, and what it was compared with, key by key.
    observed: dict[str, Any]
    threshold: dict[str, Any]
    #: Event ids, oldest first, the newest `MAX_EVIDENCE` at most.
    evidence: list[str]
    detail: dict[str, Any]


def decision_id(kind: DecisionKind, tenant_id: str, workflow_id: str, policy_id: str, cause: str) -> str:
    """The id of the decision that `cause` led to: UUIDv5, the same wherever it is computed."""
    return str(uuid.uuid5(NAMESPACE, f"breakwater:{kind.value}|{tenant_id}|{workflow_id}|{policy_id}|{cause}"))


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Decision)


def encode_decision(decision: Decision) -> bytes:
    """One JSON object, UTF-8, without a line end."""
    return _encoder.encode(decision)


def decode_decision(raw: bytes | str) -> Decision:
    """The inverse of `encode_decision`; `msgspec.ValidationError` names what is wrong."""
    return _decoder.decode(raw)
