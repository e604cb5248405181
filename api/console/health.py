"""What does not work now: channels of notices, Notion, questions to the platform that are not settled; jobs."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.console.pages import page
from api.console.visitor import VisitorOfRequest
from lifecycle.credits.job_records import list_job_records
from lifecycle.intents import list_open_intents
from lifecycle.notion.outages import list_notion_outages
from lifecycle.outages import list_outages

router = APIRouter()

MOST = 100


@router.get("/console/health")
def show_health(request: Request, visitor: VisitorOfRequest) -> Response:
    """Trouble, the oldest first; then what became of credit monitoring's jobs, the newest first."""
    with visitor.access.read() as connection:
        outages = sorted(
            [*list_outages(connection), *list_notion_outages(connection)], key=lambda outage: outage.failing_since
        )
        intents = list_open_intents(connection)[:MOST]
        jobs = list_job_records(connection)
    return page(request, "health.html", {"outages": outages, "intents": intents, "jobs": jobs})
