"""Claim a decision by its id, and say on its row what became of it (60.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.kinds import DecisionOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """A decision as the lifecycle keeps it: who said what, by which rule, on what evidence."""

    decision_id: str
    kind: str
    tenant_id: str | None
    workflow_id: str | None
    automation_version_id: str | None
    occurred_at: datetime
    policy_id: str
    policy_version: int
    reason_code: str
    observed: Mapping[str, Any]
    threshold: Mapping[str, Any]
    detail: Mapping[str, Any]
    #: Event ids, oldest first.
    evidence: Sequence[str]


def claim_decision(connection: sa.Connection, record: DecisionRecord) -> bool:
    """Write a decision and its evidence; False when it is there already, and then nothing further is to be done.

    While another transaction is writing the same one this waits for it: whoever commits has done it, and if it
    rolls back the claim is ours.
    """
    claimed = connection.execute(
        insert(tables.decisions)
        .on_conflict_do_nothing(index_elements=["decision_id"])
        .returning(tables.decisions.c.decision_id),
        {
            "decision_id": record.decision_id,
            "kind": record.kind,
            "tenant_id": record.tenant_id,
            "workflow_id": record.workflow_id,
            "automation_version_id": record.automation_version_id,
            "occurred_at": record.occurred_at,
            "policy_id": record.policy_id,
            "policy_version": record.policy_version,
            "reason_code": record.reason_code,
            "observed": dict(record.observed),
            "threshold": dict(record.threshold),
            "detail": dict(record.detail),
        },
    ).first()
    if claimed is None:
        return False
    if record.evidence:
        connection.execute(
            insert(tables.decision_evidence),
            [
                {
                    "decision_id": record.decision_id,
                    "ordinal": ordinal,
                    "tenant_id": record.tenant_id,
                    "event_id": event_id,
                }
                for ordinal, event_id in enumerate(record.evidence)
            ],
        )
    return True


def set_outcome(connection: sa.Connection, decision_id: str, outcome: DecisionOutcome, reason: str) -> None:
    """Say what became of a claimed decision: one word of ours."""
    connection.execute(
        sa.update(tables.decisions)
        .where(tables.decisions.c.decision_id == decision_id)
        .values(outcome=outcome, outcome_reason=reason)
    )
