"""Workflows that are not started any more, and why; putting them on the blacklist and taking them off it (40.4)."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from starlette.responses import RedirectResponse, Response

from api.console import notices
from api.console.notices import Notice
from api.console.pages import page
from api.console.queries import ListQuery
from api.console.visitor import Visitor, VisitorOfRequest, parts_of
from api.console.ways import who_may
from api.csrf import require_token
from api.v1.context import RowId, findable
from api.v1.errors import STATUSES
from lifecycle.blacklist_changes import MAX_NOTE, add_to_blacklist, remove_from_blacklist
from lifecycle.blacklisted import list_blacklisted
from lifecycle.capabilities import Capability
from lifecycle.cursors import Order, read_cursor
from lifecycle.errors import LifecycleError

router = APIRouter()

PAGE = 50
#: Rows of one workflow that are shown.
MAX_HISTORY = 100
#: Rows of workflows that were taken off the list.
FORMER = 10

#: Wide enough to be cut and not refused.
Text = Annotated[str, Form(max_length=4000)]
Id = Annotated[str, Form(min_length=1, max_length=128)]


@router.get("/console/blacklist")
def show_blacklist(request: Request, query: Annotated[ListQuery, Query()], visitor: VisitorOfRequest) -> Response:
    """List what is on the blacklist now, newest first."""
    return _show(request, visitor, query)


@router.get("/console/blacklist/{workflow_id}")
def show_history(request: Request, workflow_id: RowId, visitor: VisitorOfRequest) -> Response:
    """When and why one workflow was on the list."""
    with visitor.access.read() as connection:
        rows = list_blacklisted(connection, active=None, workflow_id=workflow_id, limit=MAX_HISTORY).workflows
    if not rows:
        raise HTTPException(HTTPStatus.NOT_FOUND, "This workflow was never on the blacklist.")
    return page(request, "blacklist_history.html", {"workflow_id": workflow_id, "rows": rows, "most": MAX_HISTORY})


@router.post("/console/blacklist", dependencies=[Depends(require_token)])
def add_workflow(request: Request, visitor: VisitorOfRequest, workflow_id: Id, reason: Text = "") -> Response:
    """Put a workflow on the list."""
    if visitor.name is None:
        return notices.ask_for_a_name()
    try:
        visitor.access.needs(Capability.PLATFORM)
        workflow_id = findable(workflow_id.strip())
        owner = visitor.access.owner("workflow", workflow_id) or visitor.access.owner("automation_version", workflow_id)
        with visitor.access.write(owner) as connection:
            added = add_to_blacklist(
                connection,
                tenant_id=owner,
                workflow_id=workflow_id,
                reason=reason,
                actor_context=visitor.access.actor,
            )
    except LifecycleError as refusal:
        return _show(request, visitor, ListQuery(), refusal)
    return _back(Notice.BLACKLISTED if added.is_new else Notice.ALREADY_DONE)


@router.post("/console/blacklist/remove", dependencies=[Depends(require_token)])
def remove_workflow(
    request: Request, visitor: VisitorOfRequest, tenant_id: Id, workflow_id: Id, note: Text = ""
) -> Response:
    """Take a workflow off the list."""
    if visitor.name is None:
        return notices.ask_for_a_name()
    try:
        visitor.access.needs(Capability.PLATFORM)
        owner = findable(tenant_id) if visitor.access.principal.may_act_in(tenant_id) else ""
        with visitor.access.write(owner) as connection:
            remove_from_blacklist(
                connection,
                tenant_id=owner,
                workflow_id=findable(workflow_id),
                note=note,
                actor_context=visitor.access.actor,
                options=parts_of(request).options,
            )
    except LifecycleError as refusal:
        return _show(request, visitor, ListQuery(), refusal)
    return _back(Notice.OFF_THE_BLACKLIST)


def _show(request: Request, visitor: Visitor, query: ListQuery, refusal: LifecycleError | None = None) -> Response:
    after = None if query.cursor is None else read_cursor(query.cursor, Order.NEWEST_FIRST)
    with visitor.access.read() as connection:
        workflows = list_blacklisted(connection, after=after, limit=PAGE)
        former = list_blacklisted(connection, active=False, limit=FORMER).workflows if after is None else ()
    following = None if workflows.next is None else query.link(cursor=str(workflows.next))
    return page(
        request,
        "blacklist.html",
        {
            "query": query,
            "workflows": workflows.workflows,
            "former": former,
            "next": following,
            "may_change": visitor.may(Capability.PLATFORM),
            "who_may": who_may(Capability.PLATFORM),
            "max_note": MAX_NOTE,
            "refusal": refusal,
        },
        HTTPStatus.OK if refusal is None else STATUSES[refusal.code],
    )


def _back(notice: Notice) -> Response:
    response = RedirectResponse("/console/blacklist", HTTPStatus.SEE_OTHER)
    notices.leave(response, notice)
    return response
