"""Workflows that are not started any more, and why."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.console.pages import page
from api.console.queries import ListQuery
from api.console.visitor import VisitorOfRequest
from lifecycle.blacklisted import list_blacklisted
from lifecycle.cursors import Order, read_cursor

router = APIRouter()

PAGE = 50


@router.get("/console/blacklist")
def show_blacklist(request: Request, query: Annotated[ListQuery, Query()], visitor: VisitorOfRequest) -> Response:
    """List what is on the blacklist now, newest first."""
    after = None if query.cursor is None else read_cursor(query.cursor, Order.NEWEST_FIRST)
    with visitor.access.read() as connection:
        workflows = list_blacklisted(connection, after=after, limit=PAGE)
    following = None if workflows.next is None else query.link(cursor=str(workflows.next))
    return page(request, "blacklist.html", {"query": query, "workflows": workflows.workflows, "next": following})
