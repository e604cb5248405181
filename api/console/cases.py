"""Credit cases: the list, one of them with its timeline and what was done about it, and working on it (50.4)."""

from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import BeforeValidator
from starlette.responses import RedirectResponse, Response

from api.console import notices
from api.console.notices import Notice
from api.console.pages import page
from api.console.queries import CaseQuery, CaseView
from api.console.visitor import Visitor, VisitorOfRequest, parts_of
from api.console.ways import who_may
from api.csrf import require_token
from api.v1.context import RowId
from api.v1.errors import STATUSES
from api.v1.forms import Link
from lifecycle.capabilities import Capability
from lifecycle.credits.case_changes import (
    CaseChange,
    acknowledge_case,
    change_case,
    release_holds_of_case,
    reopen_case,
)
from lifecycle.credits.case_reads import list_cases, read_case
from lifecycle.credits.case_statuses import GRAVE, TRANSITIONS
from lifecycle.credits.evidence_hygiene import ALLOWED, WAVE_1_SENT
from lifecycle.cursors import Order, read_cursor
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import CaseSeverity, CaseStatus, RootCause

router = APIRouter()

PAGE = 50

#: An empty field is one that was left out.
Text = Annotated[str | None, Form(max_length=4000)]
Stage = Annotated[str | None, Form(max_length=120)]
Thread = Annotated[Link | None, Form(), BeforeValidator(lambda typed: typed or None)]
Version = Annotated[int, Form(ge=1, le=2**31 - 1)]


class CaseWay(StrEnum):
    """What may be done with a case besides saying what was found."""

    ACKNOWLEDGE = "acknowledge"
    RELEASE = "release-holds"
    REOPEN = "reopen"


@router.get("/console/cases")
def show_cases(request: Request, query: Annotated[CaseQuery, Query()], visitor: VisitorOfRequest) -> Response:
    """List cases, newest first."""
    after = None if query.cursor is None else read_cursor(query.cursor, Order.NEWEST_FIRST)
    with visitor.access.read() as connection:
        cases, following = list_cases(connection, query.filter, after=after, limit=PAGE)
    return page(
        request,
        "cases.html",
        {
            "query": query,
            "cases": cases,
            "next": None if following is None else query.link(cursor=str(following)),
            "views": list(CaseView),
            "severities": list(CaseSeverity),
        },
    )


@router.get("/console/cases/{case_id}")
def show_case(request: Request, case_id: RowId, visitor: VisitorOfRequest) -> Response:
    """One case."""
    return _show(request, visitor, case_id)


@router.post("/console/cases/{case_id}/change", dependencies=[Depends(require_token)])
def change_one_case(
    request: Request,
    case_id: RowId,
    visitor: VisitorOfRequest,
    version: Version,
    status: Annotated[CaseStatus | None, Form()] = None,
    root_cause: Annotated[RootCause | None, Form()] = None,
    fix: Text = None,
    recurrence_notes: Text = None,
    stage: Stage = None,
    wt_gate_for_automation: Stage = None,
    wt_gate_verdict: Annotated[str | None, Form(max_length=500)] = None,
    slack_thread_url: Thread = None,
) -> Response:
    """Move it on, resolve it, say what was found; if it still is as the page showed it."""
    change = CaseChange(
        status=status,
        root_cause=root_cause,
        fix=fix,
        recurrence_notes=recurrence_notes,
        stage=stage,
        wt_gate_for_automation=wt_gate_for_automation,
        wt_gate_verdict=wt_gate_verdict,
        slack_thread_url=slack_thread_url,
    )

    def act(connection: sa.Connection) -> bool:
        return change_case(
            connection, case_id=case_id, change=change, version=version, actor_context=visitor.access.actor
        )

    return _act(request, visitor, case_id, act, typed=change)


@router.post("/console/cases/{case_id}/{way}", dependencies=[Depends(require_token)])
def act_on_case(request: Request, case_id: RowId, way: CaseWay, visitor: VisitorOfRequest) -> Response:
    """Acknowledge it, let go what it holds back, or open another case that goes on from it."""
    actor, leads_to = visitor.access.actor, [case_id]

    def act(connection: sa.Connection) -> bool:
        match way:
            case CaseWay.ACKNOWLEDGE:
                return acknowledge_case(connection, case_id=case_id, actor_context=actor)
            case CaseWay.RELEASE:
                return release_holds_of_case(connection, case_id=case_id, actor_context=actor) > 0
            case CaseWay.REOPEN:
                options = parts_of(request).options
                leads_to[0] = reopen_case(connection, case_id=case_id, actor_context=actor, options=options)
                return True

    return _act(request, visitor, case_id, act, leads_to=leads_to)


def _act(
    request: Request,
    visitor: Visitor,
    case_id: str,
    act: Callable[[sa.Connection], bool],
    *,
    leads_to: list[str] | None = None,
    typed: CaseChange | None = None,
) -> Response:
    if visitor.name is None:
        return notices.ask_for_a_name()
    tenant_id = visitor.access.owner("credit_case", case_id)
    try:
        with visitor.access.write(tenant_id) as connection:
            done = act(connection)
    except LifecycleError as refusal:
        if refusal.code is ErrorCode.NOT_FOUND:
            raise
        return _show(request, visitor, case_id, refusal=refusal, typed=typed)
    response = RedirectResponse(f"/console/cases/{(leads_to or [case_id])[0]}", HTTPStatus.SEE_OTHER)
    notices.leave(response, Notice.MOVED if done else Notice.ALREADY_DONE)
    return response


def _show(
    request: Request,
    visitor: Visitor,
    case_id: str,
    *,
    refusal: LifecycleError | None = None,
    typed: CaseChange | None = None,
) -> Response:
    with visitor.access.read_of("credit_case", case_id) as (connection, _):
        found = read_case(connection, case_id)
    to_resolve = Capability.CASES if found.case.severity in GRAVE else Capability.TASKS
    return page(
        request,
        "case.html",
        {
            "case": found.case,
            "file": found,
            "following": [
                status
                for status in CaseStatus
                if status in TRANSITIONS[CaseStatus(found.case.status)] and status is not CaseStatus.RESOLVED
            ],
            "is_grave": found.case.severity in GRAVE,
            "root_causes": list(RootCause),
            "stage": WAVE_1_SENT,
            "gate": ALLOWED,
            "typed": typed,
            "may_work": visitor.may(Capability.TASKS),
            "may_resolve": visitor.may(to_resolve),
            "may_release": visitor.may(Capability.CASES),
            "who_works": who_may(Capability.TASKS),
            "who_resolves": who_may(to_resolve),
            "who_releases": who_may(Capability.CASES),
            "refusal": refusal,
        },
        HTTPStatus.OK if refusal is None else STATUSES[refusal.code],
    )
