"""What was decided, on what evidence, and what was done about it."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from api.console.comparison import compare
from api.console.pages import page
from api.console.queries import DecisionQuery
from api.console.visitor import VisitorOfRequest
from lifecycle.cursors import Order, read_cursor
from lifecycle.decisions import get_decision, list_decisions
from lifecycle.kinds import DecisionKind
from lifecycle.overview import read_overview
from lifecycle.tasks import find_task

router = APIRouter()

PAGE = 50


@router.get("/console/decisions")
def show_decisions(request: Request, query: Annotated[DecisionQuery, Query()], visitor: VisitorOfRequest) -> Response:
    """List decisions, newest first."""
    after = None if query.cursor is None else read_cursor(query.cursor, Order.NEWEST_FIRST)
    task_id = None if query.task_id is None else str(query.task_id)
    with visitor.access.read() as connection:
        decisions = list_decisions(connection, kind=query.kind, task_id=task_id, after=after, limit=PAGE)
        task = None if task_id is None else find_task(connection, task_id)
        overview = read_overview(connection)
    return page(
        request,
        "decisions.html",
        {
            "query": query,
            "task": task,
            "decisions": decisions.decisions,
            "next": None if decisions.next is None else query.link(cursor=str(decisions.next)),
            "overview": overview,
            "kinds": list(DecisionKind),
        },
    )


@router.get("/console/decisions/{decision_id}")
def show_decision(request: Request, decision_id: UUID, visitor: VisitorOfRequest) -> Response:
    """One decision."""
    with visitor.access.read_of("decision", str(decision_id)) as (connection, _tenant_id):
        decision = get_decision(connection, str(decision_id))
    if decision is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such decision.")
    rows = compare(
        decision.observed,
        decision.threshold,
        reason_code=decision.summary.reason_code,
        occurred_at=decision.summary.occurred_at,
    )
    return page(request, "decision.html", {"decision": decision, "summary": decision.summary, "rows": rows})
