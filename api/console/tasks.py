"""The inbox: open tasks, claim, complete."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from starlette.responses import RedirectResponse, Response

from api.console import notices, operator
from api.console.notices import Notice
from api.console.pages import page
from api.console.queries import TaskQuery, TaskView
from api.csrf import require_token
from api.database import DatabaseOfApp
from lifecycle.cursors import read_cursor
from lifecycle.kinds import TaskKind
from lifecycle.overview import read_overview
from lifecycle.task_changes import TaskOperation, TaskOutcome, claim_task, complete_task
from lifecycle.tasks import list_tasks

router = APIRouter()

PAGE = 50

_NOTICES = {
    TaskOutcome.ALREADY_DONE: Notice.ALREADY_DONE,
    TaskOutcome.STALE: Notice.STALE,
    TaskOutcome.CLOSED: Notice.CLOSED,
}
_DONE = {TaskOperation.CLAIM: Notice.CLAIMED, TaskOperation.COMPLETE: Notice.COMPLETED}

Version = Annotated[int, Form(ge=1, le=2**31 - 1)]
Back = Annotated[str, Form(max_length=2000)]
#: The name, when the form asked for it; wide enough to be cut and not refused.
Name = Annotated[str, Form(max_length=2000)]


@router.get("/console/tasks")
def show_tasks(request: Request, query: Annotated[TaskQuery, Query()], database: DatabaseOfApp) -> Response:
    """List tasks."""
    after = None if query.cursor is None else read_cursor(query.cursor, query.filter.order)
    with database.read() as connection:
        tasks = list_tasks(connection, query.filter, after=after, limit=PAGE)
        overview = read_overview(connection)
    return page(
        request,
        "tasks.html",
        {
            "query": query,
            "tasks": tasks.tasks,
            "next": None if tasks.next is None else query.link(cursor=str(tasks.next)),
            "overview": overview,
            "views": list(TaskView),
            "kinds": list(TaskKind),
        },
    )


@router.post("/console/tasks/{task_id}/{operation}", dependencies=[Depends(require_token)])
def change_task(
    request: Request,
    task_id: UUID,
    operation: TaskOperation,
    database: DatabaseOfApp,
    version: Version,
    back: Back = "",
    name: Name = "",
) -> Response:
    """Claim or complete a task; ask for a name first where the browser keeps none."""
    known = operator.name_of(request)
    chosen = operator.clean_name(name) or known
    if chosen is None:
        context = {"action": request.url.path, "fields": {"version": version, "back": back}, "operation": operation}
        return page(request, "operator.html", context)
    with database.write() as connection:
        outcome = _change(connection, str(task_id), operation, version, chosen)
    if outcome is TaskOutcome.NOT_FOUND:
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such task.")
    link = TaskQuery.read(back).link()
    response = RedirectResponse(f"/console/tasks?{link}" if link else "/console/tasks", HTTPStatus.SEE_OTHER)
    notices.leave(response, _NOTICES.get(outcome) or _DONE[operation])
    if chosen != known:
        operator.remember_name(response, chosen)
    return response


def _change(connection: sa.Connection, task_id: str, operation: TaskOperation, version: int, name: str) -> TaskOutcome:
    actor = operator.actor(name)
    if operation is TaskOperation.COMPLETE:
        return complete_task(connection, task_id=task_id, version=version, actor_context=actor)
    return claim_task(
        connection, task_id=task_id, version=version, assignee_user_id=operator.user_id(name), actor_context=actor
    )


@router.get("/console/operator")
def show_operator(request: Request) -> Response:
    """Ask for a name, or for another one."""
    return page(request, "operator.html", {"action": "/console/operator", "fields": {}, "operation": None})


@router.post("/console/operator", dependencies=[Depends(require_token)])
def change_operator(request: Request, name: Name = "") -> Response:
    """Keep a name in the browser."""
    chosen = operator.clean_name(name)
    if not chosen:
        return show_operator(request)
    response = RedirectResponse("/console/tasks", HTTPStatus.SEE_OTHER)
    operator.remember_name(response, chosen)
    notices.leave(response, Notice.NAMED)
    return response
