"""Decisions: what the monitor concluded, and what became of it."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.v1.context import ContextOfRequest
from api.v1.forms import Decision, DecisionPage
from lifecycle.cursors import Order, read_cursor
from lifecycle.decisions import list_decisions

router = APIRouter(prefix="/decisions", tags=["decisions"])


@router.get("")
def list_all_decisions(
    context: ContextOfRequest,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DecisionPage:
    """Decisions of all tenants that the one who asks may see, newest first."""
    after = None if cursor is None else read_cursor(cursor, Order.NEWEST_FIRST)
    with context.access.read() as connection:
        page = list_decisions(connection, after=after, limit=limit)
    return DecisionPage(
        items=[Decision.model_validate(one) for one in page.decisions],
        next=None if page.next is None else str(page.next),
    )
