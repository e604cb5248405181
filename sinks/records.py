"""A decision as the lifecycle keeps it: the same facts, with system keys in the form that may be stored."""

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from dataflows.decisions import Decision
from lifecycle.record import DecisionRecord
from lifecycle.systems import find_stored_keys


def to_records(connection: sa.Connection, decisions: Sequence[Decision]) -> list[DecisionRecord]:
    """Translate. A system key that is neither listed nor plainly a name is replaced by its digest."""
    stored = find_stored_keys(connection, {key for decision in decisions for key in _system_keys(decision)})
    return [_to_record(decision, stored) for decision in decisions]


def _system_keys(decision: Decision) -> set[str]:
    key, keys = decision.observed.get("system_key"), decision.detail.get("failed_systems")
    return {one for one in [key, *(keys if isinstance(keys, list) else [])] if isinstance(one, str)}


def _to_record(decision: Decision, stored: Mapping[str, str]) -> DecisionRecord:
    # Times become the texts that the decision's JSON form has.
    observed, threshold, detail = (
        msgspec.to_builtins(facts) for facts in (decision.observed, decision.threshold, decision.detail)
    )
    if "system_key" in observed:
        key = observed["system_key"]
        observed["system_key"] = stored[key] if isinstance(key, str) else None
    if "failed_systems" in detail:
        keys = detail["failed_systems"]
        failed = {one for one in keys if isinstance(one, str)} if isinstance(keys, list) else set()
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
