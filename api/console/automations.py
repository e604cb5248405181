"""Automation versions: the list, one of them with what can be done with it, and doing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import AwareDatetime
from starlette.responses import RedirectResponse, Response

from api.console import notices
from api.console.notices import Notice
from api.console.pages import page
from api.console.queries import AutomationQuery
from api.console.visitor import Visitor, VisitorOfRequest, parts_of
from api.console.ways import UnblockWay, ways_of
from api.csrf import require_token
from api.status_requests import request_status
from api.v1.context import RowId
from api.v1.errors import STATUSES
from lifecycle.automations import list_versions, read_block_reasons, read_history, read_version
from lifecycle.checklists import credentials_checklist, possible_moves
from lifecycle.credential_unblocking import UnblockMode, request_unblock_for_credentials
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.results import Hints, StatusResult
from lifecycle.statuses import Status
from lifecycle.tasks import TaskFilter, list_tasks
from lifecycle.unblocking import unblock

router = APIRouter()

PAGE = 50
#: Steps of the history and open tasks that a version's page shows.
MAX_STEPS = 100
MAX_TASKS = 20

Text = Annotated[str, Form(max_length=4000)]
UpdatedAt = Annotated[AwareDatetime, Form()]


@router.get("/console/automations")
def show_automations(
    request: Request, query: Annotated[AutomationQuery, Query()], visitor: VisitorOfRequest
) -> Response:
    """List versions, by id."""
    with visitor.access.read() as connection:
        versions, following = list_versions(
            connection, status=query.status, tenant_id=query.tenant_id, after=query.cursor, limit=PAGE
        )
    return page(
        request,
        "automations.html",
        {
            "query": query,
            "versions": versions,
            "next": None if following is None else query.link(cursor=following),
            "statuses": list(Status),
        },
    )


@router.get("/console/automations/{version_id}")
def show_automation(request: Request, version_id: RowId, visitor: VisitorOfRequest) -> Response:
    """One version."""
    return _show(request, visitor, version_id)


@router.post("/console/automations/{version_id}/move", dependencies=[Depends(require_token)])
def move_automation(
    request: Request,
    version_id: RowId,
    visitor: VisitorOfRequest,
    status: Annotated[Status, Form()],
    updated_at: UpdatedAt,
    reason: Text = "",
) -> Response:
    """Make it another status, if it still is as the page showed it."""
    if visitor.name is None:
        return notices.ask_for_a_name()
    parts = parts_of(request)
    tenant_id = visitor.access.owner("automation_version", version_id)
    try:
        result = request_status(
            visitor.access,
            visitor.transact(tenant_id),
            parts.platform,
            tenant_id=tenant_id,
            automation_version_id=version_id,
            requested=status,
            hints=Hints(last_known_updated_at=updated_at),
            reason=reason or None,
            options=parts.options,
        )
    except LifecycleError as refusal:
        return _refuse(request, visitor, version_id, _Refused(refusal, {"status": status.value}, reason))
    return _done(version_id, result)


@router.post("/console/automations/{version_id}/unblock", dependencies=[Depends(require_token)])
def unblock_automation(
    request: Request,
    version_id: RowId,
    visitor: VisitorOfRequest,
    mode: Annotated[UnblockWay, Form()],
    updated_at: UpdatedAt,
    reason: Text = "",
) -> Response:
    """End its block, if it still is the one that the page showed."""
    if visitor.name is None:
        return notices.ask_for_a_name()
    tenant_id = visitor.access.owner("automation_version", version_id)
    try:
        result = _unblock(request, visitor, tenant_id, version_id, mode, updated_at, reason or None)
    except LifecycleError as refusal:
        return _refuse(request, visitor, version_id, _Refused(refusal, {"mode": mode.value}, reason))
    return _done(version_id, result)


def _unblock(
    request: Request,
    visitor: Visitor,
    tenant_id: str,
    version_id: str,
    mode: UnblockWay,
    updated_at: datetime,
    reason: str | None,
) -> StatusResult:
    options = parts_of(request).options
    with visitor.access.write(tenant_id) as connection:
        if mode is UnblockWay.CREDENTIALS:
            return request_unblock_for_credentials(
                connection,
                tenant_id=tenant_id,
                automation_version_id=version_id,
                actor_context=visitor.access.actor,
                mode=UnblockMode.VERIFIED,
                reason=reason,
                options=options,
            )
        return unblock(
            connection,
            tenant_id=tenant_id,
            automation_version_id=version_id,
            actor_context=visitor.access.actor,
            hints=Hints(last_known_updated_at=updated_at),
            reason=reason,
            override=mode is UnblockWay.OVERRIDE,
            options=options,
        )


@dataclass(frozen=True, slots=True)
class _Refused:
    """A form that was refused: why, which one of the page's it was, and what was typed into it."""

    why: LifecycleError
    fields: Mapping[str, str]
    reason: str


def _show(request: Request, visitor: Visitor, version_id: str, refused: _Refused | None = None) -> Response:
    options, actor = parts_of(request).options, visitor.access.actor
    with visitor.access.read_of("automation_version", version_id) as (connection, tenant_id):
        version = read_version(connection, tenant_id, version_id)
        moves = possible_moves(connection, tenant_id, version_id, actor_context=actor, options=options)
        credentials = credentials_checklist(connection, tenant_id, version_id, options=options)
        context = {
            "version": version,
            "reasons": read_block_reasons(connection, tenant_id, version_id),
            "steps": read_history(connection, tenant_id, version_id, limit=MAX_STEPS),
            "tasks": list_tasks(connection, TaskFilter(automation_version_id=version_id), limit=MAX_TASKS).tasks,
        }
    ways = ways_of(
        moves,
        status=version.status,
        capabilities=actor.capabilities_over(version.owner_user_id),
        credentials=credentials,
    )
    return page(
        request,
        "automation.html",
        {
            **context,
            "ways": ways,
            "max_steps": MAX_STEPS,
            "refused": refused,
        },
        HTTPStatus.OK if refused is None else STATUSES[refused.why.code],
    )


def _refuse(request: Request, visitor: Visitor, version_id: str, refused: _Refused) -> Response:
    """The version as it is now, under the words of the refusal; what was typed is kept."""
    if refused.why.code is ErrorCode.AUTOMATION_VERSION_NOT_FOUND:
        raise refused.why
    return _show(request, visitor, version_id, refused)


def _done(version_id: str, result: StatusResult) -> Response:
    response = RedirectResponse(f"/console/automations/{quote(version_id, safe='')}", HTTPStatus.SEE_OTHER)
    notices.leave(response, Notice.ALREADY_DONE if result.already_applied else Notice.MOVED)
    return response
