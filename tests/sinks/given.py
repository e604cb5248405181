"""Decisions for the sinks' tests: of the world in `tests.lifecycle.given`, at minutes after `T0`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dataflows.decisions import Decision, DecisionKind, ReasonCode, decision_id

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)


def decision(kind: DecisionKind, at: float, cause: str, **changes: Any) -> Decision:
    """One decision; its id is that of its cause."""
    facts: dict[str, Any] = {
        "kind": kind,
        "tenant_id": "t1",
        "workflow_id": "wf1",
        "automation_version_id": "v1",
        "occurred_at": T0 + timedelta(minutes=at),
        "policy_id": "auth_failures",
        "policy_version": 1,
        "observed": {},
        "threshold": {},
        "evidence": [],
        "detail": {},
        **changes,
    }
    facts["decision_id"] = changes.get("decision_id") or decision_id(
        kind, facts["tenant_id"], facts["workflow_id"], facts["policy_id"], cause
    )
    return Decision(**facts)


def blocks(*systems: str, at: float = 0, cause: str = "e3", **changes: Any) -> Decision:
    """A `block_for_credentials`."""
    return decision(
        DecisionKind.BLOCK_FOR_CREDENTIALS,
        at,
        cause,
        **{
            "reason_code": ReasonCode.CONSECUTIVE_FAILURES,
            "observed": {"system_key": (systems or ("crm",))[0], "consecutive_failures": 3},
            "threshold": {"consecutive_failures": 3},
            "evidence": ["e1", "e2", cause],
            "detail": {"failed_systems": list(systems) or ["crm"]},
            **changes,
        },
    )


def stuck(execution_id: str, at: float = 30, **changes: Any) -> Decision:
    """An `execution_stuck`."""
    return decision(
        DecisionKind.EXECUTION_STUCK,
        at,
        execution_id,
        **{
            "reason_code": ReasonCode.NO_ACTIVITY,
            "policy_id": "stuck_executions",
            "evidence": [f"{execution_id}:started"],
            "detail": {"execution_id": execution_id},
            **changes,
        },
    )


def recovered(execution_id: str, at: float = 40, **changes: Any) -> Decision:
    """An `execution_recovered`."""
    return decision(
        DecisionKind.EXECUTION_RECOVERED,
        at,
        execution_id,
        **{
            "reason_code": ReasonCode.ACTIVITY,
            "policy_id": "stuck_executions",
            "evidence": [f"{execution_id}:running"],
            "detail": {"execution_id": execution_id},
            **changes,
        },
    )


def blacklists(*execution_ids: str, at: float = 60, **changes: Any) -> Decision:
    """A `blacklist_workflow`."""
    return decision(
        DecisionKind.BLACKLIST_WORKFLOW,
        at,
        execution_ids[-1],
        **{
            "reason_code": ReasonCode.STUCK_THRESHOLD,
            "policy_id": "circuit_breaker",
            "observed": {"stuck_count": len(execution_ids), "newest_stuck_at": T0 + timedelta(minutes=at)},
            "threshold": {"threshold": 5, "window_seconds": 3600.0},
            "evidence": [f"{one}:started" for one in execution_ids],
            "detail": {
                "stuck_count": len(execution_ids),
                "execution_ids": sorted(execution_ids),
                "reason": f"auto:stuck:{len(execution_ids)}",
            },
            **changes,
        },
    )


def history() -> list[Decision]:
    """A day of two tenants: all kinds, merged blocks, refusals."""
    runs = [f"x{n}" for n in range(5)]
    return [
        blocks("crm"),
        *(stuck(run, at=30 + n) for n, run in enumerate(runs)),
        recovered("x0"),
        blocks("mail", "crm", at=45, cause="e9"),
        blacklists(*runs),
        blocks("crm", tenant_id="t2", workflow_id="wf2", automation_version_id="v2"),
        stuck("x0", tenant_id="t2", workflow_id="wf2", automation_version_id="v2"),
        blocks("crm", tenant_id="t2", cause="forged"),
        stuck("x9", workflow_id="nobody", automation_version_id=None),
        blacklists("y1", "y2", at=90),
    ]
