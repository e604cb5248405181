"""Tell the circuit breaker's store what was committed (40.1)."""

from dataflows.decisions import Decision, DecisionKind
from lifecycle.breaker.circuit_breaker import CircuitBreaker


def tell_breaker(breaker: CircuitBreaker, decision: Decision) -> None:
    """Tell of a decision whose effects are committed, now or before: a repeat makes good what a crash left untold.

    Raises nothing: the store's truth is the table, which has it.
    """
    execution_id = decision.detail.get("execution_id")
    if decision.tenant_id is None or decision.workflow_id is None or not isinstance(execution_id, str):
        return
    if decision.kind is DecisionKind.EXECUTION_STUCK:
        breaker.note_stuck(decision.tenant_id, decision.workflow_id, execution_id, decision.occurred_at)
    elif decision.kind is DecisionKind.EXECUTION_RECOVERED:
        breaker.note_recovered(decision.tenant_id, decision.workflow_id, execution_id, decision.occurred_at)
