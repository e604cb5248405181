"""Decisions as 20.1 writes them, and the part of them that two implementations must agree on."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

Decision = dict[str, Any]

_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
EVIDENCE_LIMIT = 50


def build(
    *,
    kind: str,
    tenant: str,
    workflow: str,
    policy_id: str,
    policy_version: Any,
    cause: str,
    occurred_at: datetime,
    version: str | None,
    reason_code: str | None,
    evidence: list[str] | None,
    detail: dict[str, Any],
) -> Decision:
    """A decision; None marks what 20 leaves open (always `observed` and `threshold`)."""
    name = "breakwater:" + "|".join((kind, tenant, workflow, policy_id, cause))
    return {
        "decision_id": str(uuid.uuid5(_NAMESPACE, name)),
        "kind": kind,
        "tenant_id": tenant,
        "workflow_id": workflow,
        "automation_version_id": version,
        "occurred_at": occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "policy_id": policy_id,
        "policy_version": policy_version,
        "reason_code": reason_code,
        "observed": None,
        "threshold": None,
        "evidence": evidence,
        "detail": detail,
    }


def newest_evidence(events: Iterable[tuple[datetime, int, str]]) -> list[str]:
    """Ids of (`occurred_at`, arrival, id), oldest first, each once, the newest 50."""
    return [event_id for _, _, event_id in sorted(set(events))][-EVIDENCE_LIMIT:]


#: What 20 fixes of each kind, besides id, kind, tenant, workflow, time and policy.
_DETAIL = {
    "block_for_credentials": ("failed_systems",),
    "execution_stuck": ("execution_id",),
    "execution_recovered": ("execution_id",),
    "blacklist_workflow": ("stuck_count", "execution_ids", "reason"),
    "silence": (),
}


def normalize(decision: Decision) -> Decision:
    """The comparable projection of a decision of either implementation; what 20 leaves open is None.

    Open are: evidence and reason code of `execution_recovered`, evidence and version of `blacklist_workflow`,
    the version of a block caused by a credential event (which names none), `observed`, `threshold`.
    """
    kind = decision["kind"]
    reason = decision["reason_code"]
    when = datetime.fromisoformat(decision["occurred_at"])
    if when.tzinfo is None:
        raise ValueError("a decision's occurred_at has an offset")
    versioned = kind != "blacklist_workflow" and reason != "integration_monitor"
    evident = kind in ("block_for_credentials", "execution_stuck")
    return {
        "decision_id": decision["decision_id"],
        "kind": kind,
        "tenant_id": decision["tenant_id"],
        "workflow_id": decision["workflow_id"],
        "automation_version_id": decision["automation_version_id"] if versioned else None,
        "occurred_at": when.astimezone(UTC),
        "policy_id": decision["policy_id"],
        "reason_code": None if kind == "execution_recovered" else reason,
        "evidence": list(decision["evidence"]) if evident else None,
        "detail": {name: decision["detail"].get(name) for name in _DETAIL[kind]},
    }


Subject = tuple[str, str, str]


def by_subject(decisions: Iterable[Decision]) -> dict[Subject, list[Decision]]:
    """Normalized decisions in their order, for each tenant, workflow and detector (`auth` or `stuck`).

    The order between two workflows, or between the two detectors of one, is not fixed by 20.
    """
    out: dict[Subject, list[Decision]] = {}
    for decision in decisions:
        if decision["kind"] not in _DETAIL:
            continue
        detector = "auth" if decision["kind"] == "block_for_credentials" else "stuck"
        subject = (decision["tenant_id"], decision["workflow_id"], detector)
        out.setdefault(subject, []).append(normalize(decision))
    return out
