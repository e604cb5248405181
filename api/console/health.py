"""What does not work now: channels of notices, Notion, and questions to the platform that are not settled."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.console.pages import page
from api.console.visitor import VisitorOfRequest
from lifecycle.intents import list_open_intents
from lifecycle.notion.outages import list_notion_outages
from lifecycle.outages import list_outages

router = APIRouter()

MOST = 100


@router.get("/console/health")
def show_health(request: Request, visitor: VisitorOfRequest) -> Response:
    """Both lists, oldest trouble first."""
    with visitor.access.read() as connection:
        outages = sorted(
            [*list_outages(connection), *list_notion_outages(connection)], key=lambda outage: outage.failing_since
        )
        intents = list_open_intents(connection)[:MOST]
    return page(request, "health.html", {"outages": outages, "intents": intents})
