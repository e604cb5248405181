"""The blast-radius guard: provider incidents, and decisions that wait for a person or for the end of one (30.6)."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from api.console import notices
from api.console.notices import Notice
from api.console.pages import page
from api.console.visitor import Visitor, VisitorOfRequest, parts_of
from api.console.ways import who_may
from api.csrf import require_token
from api.v1.errors import STATUSES
from lifecycle.capabilities import Capability
from lifecycle.errors import LifecycleError
from lifecycle.guard.holds import reject_hold
from lifecycle.guard.incidents import end_incident
from lifecycle.guard.reads import list_holds, list_incidents
from lifecycle.guard.release import release_hold
from lifecycle.kinds import HoldStatus
from lifecycle.systems import find_systems

router = APIRouter()

#: Of each list.
MOST = 100
MOST_RECENT = 20

Text = Annotated[str, Form(max_length=4000)]


class Answer(StrEnum):
    """What a person says to a decision that waits."""

    RELEASE = "release"
    REJECT = "reject"


@router.get("/console/guard")
def show_guard(request: Request, visitor: VisitorOfRequest) -> Response:
    """What waits, what is open, and what was before."""
    return _show(request, visitor)


@router.post("/console/guard/holds/{hold_id}/{answer}", dependencies=[Depends(require_token)])
def answer_hold(
    request: Request, hold_id: UUID, answer: Answer, visitor: VisitorOfRequest, reason: Text = ""
) -> Response:
    """Let a decision go on, or say no to it with a reason."""
    if visitor.name is None:
        return notices.ask_for_a_name()
    tenant_id = visitor.access.owner("hold", str(hold_id))
    try:
        with visitor.access.write(tenant_id) as connection:
            if answer is Answer.REJECT:
                done = reject_hold(connection, hold_id=str(hold_id), actor_context=visitor.access.actor, reason=reason)
            else:
                done = release_hold(
                    connection,
                    hold_id=str(hold_id),
                    actor_context=visitor.access.actor,
                    reason=reason or None,
                    options=parts_of(request).options,
                )
    except LifecycleError as refusal:
        return _show(request, visitor, refusal)
    return _back(_ANSWERED[answer] if done else Notice.ALREADY_DONE)


@router.post("/console/guard/incidents/{incident_id}/end", dependencies=[Depends(require_token)])
def end_one_incident(request: Request, incident_id: UUID, visitor: VisitorOfRequest) -> Response:
    """End a provider incident by hand."""
    if visitor.name is None:
        return notices.ask_for_a_name()
    try:
        visitor.access.needs(Capability.HOLDS)
        with visitor.access.write_platform() as connection:
            done = end_incident(connection, incident_id=str(incident_id), actor_context=visitor.access.actor)
    except LifecycleError as refusal:
        return _show(request, visitor, refusal)
    return _back(Notice.INCIDENT_ENDED if done else Notice.ALREADY_DONE)


_ANSWERED = {Answer.RELEASE: Notice.RELEASED, Answer.REJECT: Notice.REJECTED}


def _show(request: Request, visitor: Visitor, refusal: LifecycleError | None = None) -> Response:
    with visitor.access.read() as connection:
        incidents = list_incidents(connection, limit=MOST)
        waiting = list_holds(connection, status=HoldStatus.HELD, limit=MOST)
        ended = [hold for hold in list_holds(connection, limit=MOST) if hold.status != HoldStatus.HELD]
        keys = {key for hold in (*waiting, *ended) for key in hold.system_keys}
        keys |= {incident.system_key for incident in incidents}
        systems = {system.key: system.display_name for system in find_systems(connection, keys)}
    return page(
        request,
        "guard.html",
        {
            "open_incidents": [one for one in incidents if one.closed_at is None],
            "past_incidents": [one for one in incidents if one.closed_at is not None][:MOST_RECENT],
            "waiting": waiting,
            "most": MOST,
            "ended": ended[:MOST_RECENT],
            "systems": systems,
            "may_decide": visitor.may(Capability.HOLDS),
            "who_may": who_may(Capability.HOLDS),
            "refusal": refusal,
        },
        HTTPStatus.OK if refusal is None else STATUSES[refusal.code],
    )


def _back(notice: Notice) -> Response:
    response = RedirectResponse("/console/guard", HTTPStatus.SEE_OTHER)
    notices.leave(response, notice)
    return response
