"""The inbox: open tasks; claim, complete, approve, reject."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from starlette.responses import RedirectResponse, Response

from api.console import notices, operator
from api.console.notices import Notice
from api.console.pages import page
from api.console.queries import TaskQuery, TaskView
from api.console.visitor import Visitor, VisitorOfRequest, open_visitor
from api.console.ways import who_may
from api.csrf import require_token
from lifecycle.capabilities import Capability
from lifecycle.credits.baseline_tasks import proposals_of_tasks
from lifecycle.credits.joined_spend import read_joined
from lifecycle.cursors import read_cursor
from lifecycle.kinds import SpendRise, TaskKind
from lifecycle.overview import read_overview
from lifecycle.task_changes import TaskChange, TaskOperation, TaskOutcome, change_task, unblock_offered
from lifecycle.tasks import list_tasks

router = APIRouter()

PAGE = 50
#: Of the spend anomalies of one task, so many are listed with it.
JOINED = 10

_NOTICES = {
    TaskOutcome.ALREADY_DONE: Notice.ALREADY_DONE,
    TaskOutcome.STALE: Notice.STALE,
    TaskOutcome.CLOSED: Notice.CLOSED,
}
_DONE = {
    TaskOperation.CLAIM: Notice.CLAIMED,
    TaskOperation.COMPLETE: Notice.COMPLETED,
    TaskOperation.APPROVE: Notice.BASELINE_APPROVED,
    TaskOperation.REJECT: Notice.BASELINE_REJECTED,
}

Version = Annotated[int, Form(ge=1, le=2**31 - 1)]
Back = Annotated[str, Form(max_length=2000)]
#: The name, when the form asked for it; wide enough to be cut and not refused.
Name = Annotated[str, Form(max_length=2000)]


@router.get("/console/tasks")
def show_tasks(request: Request, query: Annotated[TaskQuery, Query()], visitor: VisitorOfRequest) -> Response:
    """List tasks."""
    after = None if query.cursor is None else read_cursor(query.cursor, query.filter.order)
    with visitor.access.read() as connection:
        tasks = list_tasks(connection, query.filter, after=after, limit=PAGE)
        overview = read_overview(connection)
        proposals = proposals_of_tasks(connection, [task.idempotency_key for task in tasks.tasks])
        joined = read_joined(connection, [task.id for task in tasks.tasks], limit=JOINED)
    return page(
        request,
        "tasks.html",
        {
            "query": query,
            "tasks": tasks.tasks,
            "proposals": proposals,
            "joined": joined,
            "burst": SpendRise.BURST,
            "tenant_names": {task.tenant_id: task.tenant_name for task in tasks.tasks},
            "next": None if tasks.next is None else query.link(cursor=str(tasks.next)),
            "overview": overview,
            "views": list(TaskView),
            "kinds": list(TaskKind),
            "may_change_any": visitor.may(Capability.TASKS),
            "may_approve": visitor.may(Capability.POLICIES),
            "who_approves": who_may(Capability.POLICIES),
        },
    )


@router.post("/console/tasks/{task_id}/{operation}", dependencies=[Depends(require_token)])
def change_one_task(
    request: Request,
    task_id: UUID,
    operation: TaskOperation,
    visitor: VisitorOfRequest,
    version: Version,
    back: Back = "",
    name: Name = "",
) -> Response:
    """Claim or complete a task, decide what waits for it; ask for a name where nobody signs in and none is kept."""
    if operation not in _DONE:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    known = visitor.name
    if not visitor.signed_in and (given := operator.clean_name(name)):
        visitor = open_visitor(visitor.access.database, given)
    if visitor.name is None:
        context = {"action": request.url.path, "fields": {"version": version, "back": back}, "operation": operation}
        return page(request, "operator.html", context)
    outcome, offered = _change(visitor, str(task_id), operation, version)
    if outcome is TaskOutcome.NOT_FOUND:
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such task.")
    link = TaskQuery.read(back).link()
    address = f"/console/tasks?{link}" if link else "/console/tasks"
    notice = _NOTICES.get(outcome) or _DONE[operation]
    if offered is not None and notice is Notice.COMPLETED:
        address, notice = f"/console/automations/{quote(offered, safe='')}", Notice.COMPLETED_LAST
    response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
    notices.leave(response, notice)
    if visitor.name != known:
        operator.remember_name(response, visitor.name)
    return response


def _change(visitor: Visitor, task_id: str, operation: TaskOperation, version: int) -> tuple[TaskOutcome, str | None]:
    """What became of it, and the version that can be unblocked now."""
    tenant_id = visitor.access.owner("task", task_id)
    # A task of no tenant is the platform's; whoever may not see those finds nothing under this id.
    of_platform = not tenant_id and visitor.sees_every_tenant
    with visitor.access.write_platform() if of_platform else visitor.access.write(tenant_id) as connection:
        outcome = change_task(
            connection,
            tenant_id=tenant_id or None,
            task_id=task_id,
            version=version,
            change=TaskChange(operation=operation),
            actor_context=visitor.access.actor,
        )
        return outcome, None if outcome is TaskOutcome.NOT_FOUND else unblock_offered(connection, task_id)


@router.get("/console/operator")
def show_operator(request: Request, visitor: VisitorOfRequest) -> Response:
    """Ask for a name, or for another one."""
    _needs_no_sign_in(visitor)
    return page(request, "operator.html", {"action": "/console/operator", "fields": {}, "operation": None})


@router.post("/console/operator", dependencies=[Depends(require_token)])
def change_operator(request: Request, visitor: VisitorOfRequest, name: Name = "") -> Response:
    """Keep a name in the browser."""
    _needs_no_sign_in(visitor)
    chosen = operator.clean_name(name)
    if not chosen:
        return show_operator(request, visitor)
    response = RedirectResponse("/console/tasks", HTTPStatus.SEE_OTHER)
    operator.remember_name(response, chosen)
    notices.leave(response, Notice.NAMED)
    return response


def _needs_no_sign_in(visitor: Visitor) -> None:
    if visitor.signed_in:
        raise HTTPException(HTTPStatus.NOT_FOUND, "Whoever signs in has a name already.")
