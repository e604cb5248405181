"""Turn what a route raises into an answer: a page for people under `/console`, JSON elsewhere.

Answers say what to do, and nothing of what the error itself said.
"""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlencode

import psycopg.errors
import sqlalchemy as sa
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from api.auth.entrance import TooManyRequestsError
from api.console import session
from api.console.pages import fault_page
from api.console.visitor import NotSignedInError
from api.refusals import RETRY_AFTER, refusal
from api.v1.errors import STATUSES
from lifecycle.cursors import BadCursorError
from lifecycle.errors import LifecycleError

_log = structlog.get_logger(__name__)


def refuse(request: Request, status: HTTPStatus, message: str) -> Response:
    """Say no, in the form that the asked part of the API speaks."""
    if request.url.path == "/" or request.url.path.startswith("/console"):
        return fault_page(request, status, message)
    if request.url.path.startswith(("/v1/", "/api/platform/")):
        return refusal(status, status.phrase.lower().replace(" ", "_"), message)
    return JSONResponse({"error": status.phrase.lower().replace(" ", "_"), "message": message}, status)


def add_error_handlers(app: FastAPI) -> None:
    """Answer for everything that routes are expected to raise."""
    handlers: dict[type[Exception], Callable[[Request, Exception], Response]] = {
        HTTPException: _on_http_exception,
        RequestValidationError: _on_invalid_request,
        BadCursorError: _on_bad_cursor,
        NotSignedInError: _on_not_signed_in,
        TooManyRequestsError: _on_too_many,
        LifecycleError: _on_refusal,
        sa.exc.IntegrityError: _on_race,
        sa.exc.OperationalError: _on_database_away,
        sa.exc.InterfaceError: _on_database_away,
        sa.exc.TimeoutError: _on_database_away,
        sa.exc.ProgrammingError: _on_wrong_schema,
    }
    for error, handler in handlers.items():
        app.add_exception_handler(error, handler)


_MESSAGES = {
    HTTPStatus.NOT_FOUND: "There is no such page. Check the address, or start from the list of tasks.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address can't be used that way. Start from the list of tasks.",
}


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    own_words = error.detail if error.detail != status.phrase else None
    response = refuse(request, status, own_words or _MESSAGES.get(status, status.description))
    response.headers.update(error.headers or {})
    return response


def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if any(fault["loc"][0] == "path" for fault in error.errors()):
        return refuse(request, HTTPStatus.NOT_FOUND, _MESSAGES[HTTPStatus.NOT_FOUND])
    # The names are our own, the values are not repeated.
    names = sorted({str(fault["loc"][-1]) for fault in error.errors()})
    message = f"These parts can't be used: {', '.join(names)[:200]}. Correct them, or start from the plain list."
    return refuse(request, HTTPStatus.BAD_REQUEST, message)


def _on_bad_cursor(request: Request, _error: Exception) -> Response:
    message = (
        "The list can't go on from there: the link is damaged or belongs to another list. Start at its first page."
    )
    return refuse(request, HTTPStatus.BAD_REQUEST, message)


def _on_not_signed_in(request: Request, _error: Exception) -> Response:
    query = urlencode({"next": session.address_of(request)})
    return RedirectResponse(f"/console/sign-in?{query}", HTTPStatus.SEE_OTHER)


def _on_too_many(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyRequestsError)
    response = refuse(request, HTTPStatus.TOO_MANY_REQUESTS, "Too many requests. Wait a moment, then go on.")
    response.headers["Retry-After"] = str(error.wait)
    return response


def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, LifecycleError)
    return refuse(request, STATUSES[error.code], error.message)


def _on_race(request: Request, error: Exception) -> Response:
    """What the database refuses although it was checked, another transaction has made impossible meanwhile."""
    _log.warning("constraint_refused", error=type(error).__qualname__)
    return refuse(request, HTTPStatus.CONFLICT, "Somebody was quicker. Open the page again, then decide.")


def _on_database_away(request: Request, error: Exception) -> Response:
    _log.warning("database_away", error=type(error).__qualname__)
    response = refuse(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database does not answer. Nothing is lost: wait a moment, then load this page again.",
    )
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def _on_wrong_schema(request: Request, error: Exception) -> Response:
    assert isinstance(error, sa.exc.ProgrammingError)
    if not isinstance(error.orig, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        raise error
    _log.error("database_not_migrated")
    response = refuse(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database is not prepared for this version. Run “breakwater migrate”, then load this page again.",
    )
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response
