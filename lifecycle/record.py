"""Claim decisions by their ids, and say on their rows what became of them (60.1)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from lifecycle import tables
from lifecycle.kinds import DecisionOutcome
from lifecycle.tables.columns import Uuid


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


def claim_decisions(connection: sa.Connection, records: Sequence[DecisionRecord]) -> set[str]:
    """Write decisions and their evidence; the ids of those that were not there yet, the only ones to be acted on.

    While another transaction is writing one of them this waits for it: whoever commits has done it, and if it rolls
    back the claim is ours. Of records with the same id the first counts.
    """
    first = {record.decision_id: record for record in reversed(records)}
    claimed = set(
        connection.execute(
            _CLAIM,
            # One order for everybody: two transactions can't wait for each other.
            [_row(first[decision_id]) for decision_id in sorted(first)],
        ).scalars()
    )
    evidence = [
        {"decision_id": record.decision_id, "ordinal": ordinal, "tenant_id": record.tenant_id, "event_id": event_id}
        for record in first.values()
        if record.decision_id in claimed
        for ordinal, event_id in enumerate(record.evidence)
    ]
    if evidence:
        connection.execute(_EVIDENCE, evidence)
    return claimed


def set_outcomes(connection: sa.Connection, outcomes: Iterable[tuple[str, DecisionOutcome, str]]) -> None:
    """Say what became of claimed decisions: by id, the outcome and one word of ours.

    What was said already stands: a later decision of the same transaction may have taken an earlier one back.
    """
    alike: dict[tuple[DecisionOutcome, str], list[str]] = {}
    for decision_id, outcome, reason in outcomes:
        alike.setdefault((outcome, reason), []).append(decision_id)
    for (outcome, reason), decision_ids in alike.items():
        connection.execute(_OUTCOME, {"ids": decision_ids, "became": outcome, "because": reason})


def _row(record: DecisionRecord) -> dict[str, Any]:
    return {
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
    }


_CLAIM = (
    insert(tables.decisions)
    .on_conflict_do_nothing(index_elements=["decision_id"])
    .returning(tables.decisions.c.decision_id)
)
_EVIDENCE = sa.insert(tables.decision_evidence)
_OUTCOME = (
    sa.update(tables.decisions)
    .where(
        tables.decisions.c.decision_id == sa.any_(sa.bindparam("ids", type_=ARRAY(Uuid))),
        tables.decisions.c.outcome_reason.is_(None),
    )
    .values(outcome=sa.bindparam("became"), outcome_reason=sa.bindparam("because"))
)
