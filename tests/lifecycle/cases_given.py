"""Credit incidents as the detector says them, and words to look at what became of them."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from dataflows.decisions import Decision, DecisionKind, ReasonCode
from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.capabilities import Role, capabilities_of
from lifecycle.kinds import Channel
from lifecycle.options import LifecycleOptions
from sinks.services import ServicesSink
from tests.lifecycle.given import row
from tests.lifecycle.guard_given import refuse_dead_letter
from tests.sinks.given import decision

#: What each severity asks for by the profile `default` (50.2).
ACTIONS = {
    "SEV0": ["quarantine", "block_dispatch", "create_case", "page_lock", "slack_escalate"],
    "SEV1": ["create_case", "slack_alert", "require_ack_before_rerun"],
    "SEV2": ["create_case", "slack_alert", "weekly_review"],
}

#: Somebody of operations, and one of their admins.
OPS = ActorContext.of_user("u9", "api", capabilities_of([Role.OPS_BUILD]))
OPS_ADMIN = ActorContext.of_user("u9", "api", capabilities_of([Role.OPS_ADMIN]))
MEMBER = ActorContext.of_user("u1", "api", capabilities_of([Role.MEMBER]))

WITH_SLACK = LifecycleOptions(channels=frozenset({Channel.SLACK, Channel.ON_CALL}))


def incident(
    severity: str = "SEV1",
    execution: str = "RUN-1",
    *,
    scenario: str = "BINDER_EXPORT",
    flags: tuple[str, ...] = ("retry_loop",),
    at: float = 0,
    **changes: Any,
) -> Decision:
    """A `credit_incident`."""
    return decision(
        DecisionKind.CREDIT_INCIDENT,
        at,
        execution,
        **{
            "policy_id": "credits",
            "reason_code": ReasonCode.CREDIT_SPIKE,
            "observed": {
                "credits_total": 2480.0,
                "variance_multiplier": 7.75,
                "misconfig_score": 7,
                "legit_score": 0,
            },
            "threshold": {
                "profile": "default",
                "baseline_credits": 320.0,
                "baseline_source": "learned",
                "multipliers": {"SEV0": 10.0, "SEV1": 5.0, "SEV2": 2.0, "SEV3": 1.5},
                "absolute_cap": None,
            },
            "evidence": [f"event of {execution}"],
            "detail": {
                "severity": severity,
                "execution_id": execution,
                "scenario": scenario,
                "job_type": "BINDER_EXPORT",
                "misconfig_likelihood": "High",
                "risk_flags": list(flags),
                "risk_summary": "Variance: 7.75× | Misconfig likelihood: High",
                "actions": ACTIONS[severity],
            },
            **changes,
        },
    )


def apply(engine: sa.Engine, *decisions: Decision, options: LifecycleOptions | None = None) -> list[str | None]:
    """Apply decisions as the monitor's sink does; what became of each."""
    sink = ServicesSink(engine, options or LifecycleOptions(), refuse_dead_letter)
    return [result.reason for result in sink.apply(decisions)]


def case(engine: sa.Engine, **where: Any) -> Mapping[str, Any]:
    """The only case."""
    return row(engine, tables.credit_cases, **where)


def results(engine: sa.Engine) -> dict[tuple[str, str, str | None], str]:
    """What became of actions, by action, severity and execution."""
    actions = tables.credit_case_actions.c
    with engine.connect() as connection:
        found = connection.execute(sa.select(actions.action, actions.severity, actions.execution_id, actions.result))
        return {(one.action, one.severity, one.execution_id): one.result for one in found}


def holds(engine: sa.Engine) -> list[tuple[str, str, str | None]]:
    """What the gate holds back now: workflow, kind, execution."""
    found = tables.gate_holds.c
    with engine.connect() as connection:
        return [
            (one.workflow_id, one.kind, one.execution_id)
            for one in connection.execute(
                sa.select(found.workflow_id, found.kind, found.execution_id)
                .where(found.released_at.is_(None))
                .order_by(found.workflow_id, found.kind, found.execution_id)
            )
        ]
