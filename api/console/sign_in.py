"""Sign in with a token, sign out."""

from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from starlette.responses import RedirectResponse, Response

from api import csrf
from api.auth.entrance import TooManyRequestsError
from api.auth.tokens import RefusedTokenError
from api.console import session
from api.console.pages import page
from api.console.parts import ConsoleParts, SignIn
from api.console.visitor import Visitor, let_in, parts_of
from api.csrf import require_token
from api.database import DatabaseOfApp
from lifecycle.capabilities import Capability
from lifecycle.errors import LifecycleError

router = APIRouter()

_REFUSED = "This token lets nobody in: it has expired, or was not made for this console. Get another one."
_NOT_A_MEMBER = "This token is good, but who holds it may see nothing here: no role, or no membership of the tenant."

_log = structlog.get_logger(__name__)

Next = Annotated[str, Form(max_length=2000)]


@router.get("/console/sign-in")
def show_sign_in(request: Request, following: Annotated[str, Query(alias="next", max_length=2000)] = "") -> Response:
    """Ask for a token."""
    _needs_sign_in(parts_of(request))
    return page(request, "sign_in.html", {"next": session.return_address(following), "fault": None})


@router.post("/console/sign-in", dependencies=[Depends(require_token)])
def sign_in(
    request: Request,
    database: DatabaseOfApp,
    token: Annotated[str, Form(max_length=20_000)] = "",
    following: Annotated[Next, Form(alias="next")] = "",
) -> Response:
    """Begin a session with a token."""
    parts = parts_of(request)
    entrance = _needs_sign_in(parts)
    wait = entrance.limits.wait_of_address(request.client.host if request.client is not None else "")
    if wait is not None:
        raise TooManyRequestsError(wait)
    following = session.return_address(following)
    token = token.strip().removeprefix("Bearer ").strip()
    fault = None
    try:
        if not _sees_anything(let_in(entrance, database, token)):
            fault = _NOT_A_MEMBER
    except RefusedTokenError as refused:
        _log.info("not_let_in", reason=refused.reason)
        fault = _REFUSED
    if fault is not None:
        return page(request, "sign_in.html", {"next": following, "fault": fault}, HTTPStatus.FORBIDDEN)
    response = RedirectResponse(following, HTTPStatus.SEE_OTHER)
    session.begin(response, token, secure=parts.secure)
    csrf.remember_token(response, csrf.new_token(), secure=parts.secure)
    return response


@router.post("/console/sign-out", dependencies=[Depends(require_token)])
def sign_out(request: Request) -> Response:
    """End the session of this browser."""
    parts = parts_of(request)
    _needs_sign_in(parts)
    response = RedirectResponse("/console/sign-in", HTTPStatus.SEE_OTHER)
    session.end(response, secure=parts.secure)
    csrf.remember_token(response, csrf.new_token(), secure=parts.secure)
    return response


def _needs_sign_in(parts: ConsoleParts) -> SignIn:
    if parts.sign_in is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "This console has no sign-in. Start from the list of tasks.")
    return parts.sign_in


def _sees_anything(visitor: Visitor) -> bool:
    """Whether the roles and the membership, as they are now, show anything at all."""
    try:
        with visitor.access.read():
            return visitor.may(Capability.READ)
    except LifecycleError:
        return False
