"""Decisions: what the monitor concluded, and what became of it."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from api.v1.context import ContextOfRequest
from api.v1.entered import entered_router
from api.v1.forms import Decision, DecisionDetail, DecisionPage
from lifecycle.cursors import Order, read_cursor
from lifecycle.decisions import get_decision, list_decisions
from lifecycle.errors import ErrorCode, LifecycleError

router = entered_router(prefix="/decisions", tags=["decisions"])


@router.get("")
def list_all_decisions(
    context: ContextOfRequest,
    task_id: Annotated[UUID | None, Query(description="those that joined a task, as spend anomalies do")] = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DecisionPage:
    """Decisions of all tenants that the one who asks may see, newest first."""
    after = None if cursor is None else read_cursor(cursor, Order.NEWEST_FIRST)
    with context.access.read() as connection:
        page = list_decisions(connection, task_id=None if task_id is None else str(task_id), after=after, limit=limit)
    return DecisionPage(
        items=[Decision.model_validate(one) for one in page.decisions],
        next=None if page.next is None else str(page.next),
    )


@router.get("/{decision_id}")
def read_decision(context: ContextOfRequest, decision_id: UUID) -> DecisionDetail:
    """One decision: its numbers, its evidence, the tasks that came of it."""
    with context.access.read_of("decision", str(decision_id)) as (connection, _tenant_id):
        found = get_decision(connection, str(decision_id))
    if found is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such decision in this tenant.")
    return DecisionDetail.model_validate(found)
