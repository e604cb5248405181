"""A decision as the lifecycle keeps it: the same facts, with system keys in the form that may be stored."""

import msgspec
import sqlalchemy as sa

from dataflows.decisions import Decision
from lifecycle.record import DecisionRecord
from lifecycle.systems import find_stored_keys


def to_record(connection: sa.Connection, decision: Decision) -> DecisionRecord:
    """Translate. A system key that is neither listed nor plainly a name is replaced by its digest."""
    # Times become the texts that the decision's JSON form has.
    observed, threshold, detail = (
        msgspec.to_builtins(facts) for facts in (decision.observed, decision.threshold, decision.detail)
    )
    key, keys = observed.get("system_key"), detail.get("failed_systems")
    failed = {one for one in keys if isinstance(one, str)} if isinstance(keys, list) else set()
    stored = find_stored_keys(connection, failed | ({key} if isinstance(key, str) else set()))
    if "system_key" in observed:
        observed["system_key"] = stored[key] if isinstance(key, str) else None
    if "failed_systems" in detail:
        detail["failed_systems"] = sorted({stored[one] for one in failed})
    return DecisionRecord(
        decision_id=decision.decision_id,
        kind=decision.kind,
        tenant_id=decision.tenant_id,
        workflow_id=decision.workflow_id,
        automation_version_id=decision.automation_version_id,
        occurred_at=decision.occurred_at,
        policy_id=decision.policy_id,
        policy_version=decision.policy_version,
        reason_code=decision.reason_code,
        observed=observed,
        threshold=threshold,
        detail=detail,
        evidence=decision.evidence,
    )
