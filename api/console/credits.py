"""What was spent, baselines that wait for approval, and weekly reviews (50.3, 50.6)."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from api.console import notices
from api.console.charts import columns
from api.console.notices import Notice
from api.console.pages import page
from api.console.queries import TenantQuery
from api.console.visitor import Visitor, VisitorOfRequest
from api.console.ways import who_may
from api.csrf import require_token
from api.v1.errors import STATUSES
from lifecycle.capabilities import Capability
from lifecycle.credits.approved_baselines import list_baselines
from lifecycle.credits.baselines import approve_baseline, reject_baseline
from lifecycle.credits.reviews import list_reviews, read_review
from lifecycle.credits.spend_history import read_episodes, read_workflows
from lifecycle.credits.spending import PERIOD, read_spending
from lifecycle.credits.weekly_report import DayTotal
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import BaselineStatus, SpendRise
from lifecycle.names import list_tenant_names, read_tenant_names

router = APIRouter()

REVIEWS = 26
PROPOSALS = 50
WORKFLOWS = 20
SCENARIOS = 50
EPISODES = 20
#: So many are offered to choose from; the id of any other can be typed.
TENANTS = 500
_SHORT = 12


class Word(StrEnum):
    """What somebody says to a proposed baseline."""

    APPROVE = "approve"
    REJECT = "reject"


@router.get("/console/credits")
def show_credits(request: Request, query: Annotated[TenantQuery, Query()], visitor: VisitorOfRequest) -> Response:
    """Spending, proposals and reviews."""
    return _show(request, visitor, query.tenant_id)


@router.get("/console/credits/reviews/{week}")
def show_review(
    request: Request,
    week: Annotated[str, Path(pattern=r"^\d{4}-W\d\d$")],
    query: Annotated[TenantQuery, Query()],
    visitor: VisitorOfRequest,
) -> Response:
    """The newest revision of a week's review: of one tenant, or of all together for those who see all."""
    with visitor.access.read() as connection:
        found = read_review(connection, iso_week=week, tenant_id=query.tenant_id)
    if found is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such review, or not for you.")
    review, report, _ = found
    of = {one.tenant_id for one in (*report.top_scenarios_by_total, *report.baseline_candidates)}
    of |= {one.tenant_id for one in (*report.top_spike_runs, *report.policy_violations)}
    with visitor.access.read() as connection:
        tenant_names = read_tenant_names(connection, of if report.tenant_id is None else {report.tenant_id})
    return page(
        request,
        "credit_review.html",
        {
            "review": review,
            "report": report,
            "tenant_names": tenant_names,
            "by_day": columns(
                "Credits by day",
                by_day(
                    report.days,
                    report.period_start.date(),
                    (report.period_end - timedelta(microseconds=1)).date(),
                    "%a %d",
                ),
            ),
            "by_week": columns(
                "Credits by week",
                [(one.iso_week, one.credits) for one in report.trend.weeks],
                marked=report.iso_week,
            ),
            "by_scenario": columns(
                "Credits by scenario",
                [(_short(one.scenario_id), one.total_credits) for one in report.top_scenarios_by_total],
            ),
        },
    )


@router.post("/console/credits/baselines/{baseline_id}/{word}", dependencies=[Depends(require_token)])
def decide_baseline(
    request: Request,
    baseline_id: UUID,
    word: Word,
    visitor: VisitorOfRequest,
    tenant_id: Annotated[str, Form(max_length=128)],
    only: Annotated[str, Form(max_length=128)] = "",
) -> Response:
    """Approve or reject a proposed baseline; `only` is the tenant that the page was filtered by."""
    if visitor.name is None:
        return notices.ask_for_a_name()
    decide = approve_baseline if word is Word.APPROVE else reject_baseline
    try:
        with visitor.access.write(tenant_id) as connection:
            decide(connection, tenant_id=tenant_id, baseline_id=str(baseline_id), actor_context=visitor.access.actor)
    except LifecycleError as refusal:
        return _show(request, visitor, only or None, refusal)
    back = f"?tenant_id={quote(only, safe='')}" if only else ""
    response = RedirectResponse(f"/console/credits{back}", HTTPStatus.SEE_OTHER)
    notices.leave(response, Notice.MOVED)
    return response


def _show(request: Request, visitor: Visitor, tenant_id: str | None, refusal: LifecycleError | None = None) -> Response:
    with visitor.access.read() as connection:
        spending = read_spending(connection, tenant_id=tenant_id, limit=SCENARIOS)
        proposals = list_baselines(
            connection, tenant_id=tenant_id, statuses=(BaselineStatus.PROPOSED,), limit=PROPOSALS
        )
        reviews = list_reviews(connection, tenant_id=tenant_id, limit=REVIEWS)
        workflows = (
            []
            if spending.until is None
            else read_workflows(connection, spending.until, tenant_id=tenant_id, limit=WORKFLOWS)
        )
        episodes = read_episodes(connection, tenant_id=tenant_id, limit=EPISODES)
        tenants = list_tenant_names(connection, limit=TENANTS) if visitor.sees_several_tenants else {}
        tenant_names = read_tenant_names(
            connection,
            {
                *(one.tenant_id for one in spending.scenarios),
                *(one.tenant_id for one in proposals),
                *(one.tenant_id for one in reviews if one.tenant_id is not None),
                *(one.tenant_id for one in workflows),
                *(one.tenant_id for one in episodes),
                *([] if tenant_id is None else [tenant_id]),
            },
        )
    return page(
        request,
        "credits.html",
        {
            "tenant_id": tenant_id,
            "spending": spending,
            "tenant_names": tenant_names,
            "tenants": tenants,
            "most": {"scenarios": SCENARIOS, "workflows": WORKFLOWS, "episodes": EPISODES},
            "workflows": workflows,
            "episodes": episodes,
            "burst": SpendRise.BURST,
            "by_day": None
            if spending.until is None
            else columns(
                "Credits by day",
                by_day(spending.days, (spending.until - PERIOD).date(), spending.until.date(), "%d %b"),
            ),
            "proposals": proposals,
            "reviews": reviews,
            "may_approve": visitor.may(Capability.POLICIES),
            "who_approves": who_may(Capability.POLICIES),
            "refusal": refusal,
        },
        HTTPStatus.OK if refusal is None else STATUSES[refusal.code],
    )


def _short(scenario: str) -> str:
    """As much of it as fits below a fifth of a chart; the table has all."""
    return scenario if len(scenario) <= _SHORT else f"{scenario[: _SHORT - 1]}…"


def by_day(days: Sequence[DayTotal], first: date, last: date, form: str) -> list[tuple[str, Decimal]]:
    """What to draw of each day from the first to the last, also of those on which nothing was spent."""
    spent = {one.day: one.credits for one in days}
    length = (last - first).days + 1
    every = [first + timedelta(days=number) for number in range(length)]
    return [(f"{day:{form}}", spent.get(day, Decimal(0))) for day in every]
