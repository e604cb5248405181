"""Every refusal of the API in one form: code, message, details, request id (30.7)."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.auth.entrance import NotLetInError, TooManyRequestsError
from api.refusals import RETRY_AFTER, refusal
from api.v1.forms import Error
from lifecycle.cursors import BadCursorError
from lifecycle.errors import Detail, ErrorCode, LifecycleError

_log = structlog.get_logger(__name__)

#: What each code of the lifecycle is to HTTP.
STATUSES: Mapping[ErrorCode, HTTPStatus] = {
    ErrorCode.AUTOMATION_VERSION_NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.UNKNOWN_STATUS: HTTPStatus.BAD_REQUEST,
    ErrorCode.INVALID_STATUS_TRANSITION: HTTPStatus.CONFLICT,
    ErrorCode.STATUS_PREREQUISITE_MISSING: HTTPStatus.BAD_REQUEST,
    ErrorCode.BLOCKED_REASON_REQUIRED: HTTPStatus.BAD_REQUEST,
    ErrorCode.REASON_REQUIRED: HTTPStatus.BAD_REQUEST,
    ErrorCode.PROJECT_MISSING_FOR_TRANSITION: HTTPStatus.BAD_REQUEST,
    ErrorCode.QUOTE_MISSING_FOR_TRANSITION: HTTPStatus.BAD_REQUEST,
    ErrorCode.CONCURRENCY_CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.PRECONDITION_FAILED: HTTPStatus.CONFLICT,
    ErrorCode.APPROVAL_REQUIRED: HTTPStatus.CONFLICT,
    ErrorCode.DEPLOYMENT_FAILED: HTTPStatus.BAD_GATEWAY,
    ErrorCode.ARCHIVE_REMOTE_DEACTIVATION_FAILED: HTTPStatus.BAD_GATEWAY,
    ErrorCode.ASSIGNEE_NOT_A_MEMBER: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
}

#: What every operation may answer, for the OpenAPI document.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": description}
    for status, description in (
        (400, "What was asked for is not possible yet, or makes no sense; `details` name everything."),
        (401, "No token, a bad one, or an API key."),
        (403, "A capability is missing, or the membership has ended."),
        (404, "There is no such thing in this tenant."),
        (409, "The state does not allow it, or has changed meanwhile."),
        (413, "The body is too large."),
        (422, "The request is malformed."),
        (429, "Too many requests; see `Retry-After`."),
        (502, "The platform did not do it; nothing has changed."),
        (503, "The database is away; see `Retry-After`."),
    )
}


def add_error_handlers(app: FastAPI, let_in_first: Callable[[Request], Awaitable[None]]) -> None:
    """Answer for everything that routes raise.

    A body is read before a route's dependencies are asked, so whoever sends one that is none has yet to be let in:
    `let_in_first` raises `NotLetInError`, `TooManyRequestsError` or `LifecycleError` for those who are not.
    """

    async def on_unusable_body(request: Request, error: Exception) -> Response:
        try:
            await let_in_first(request)
        except NotLetInError as refused:
            return _on_not_let_in(request, refused)
        except TooManyRequestsError as refused:
            return _on_too_many(request, refused)
        except LifecycleError as refused:
            return _on_refusal(request, refused)
        return (_on_malformed if isinstance(error, RequestValidationError) else _on_http_exception)(request, error)

    for error, handler in (
        (LifecycleError, _on_refusal),
        (NotLetInError, _on_not_let_in),
        (TooManyRequestsError, _on_too_many),
        (RequestValidationError, on_unusable_body),
        (HTTPStatus.BAD_REQUEST, on_unusable_body),
        (HTTPException, _on_http_exception),
        (BadCursorError, _on_bad_cursor),
        (sa.exc.DataError, _on_unusable_value),
        (sa.exc.IntegrityError, _on_race),
        (sa.exc.OperationalError, _on_database_away),
        (sa.exc.InterfaceError, _on_database_away),
        (sa.exc.TimeoutError, _on_database_away),
    ):
        app.add_exception_handler(error, handler)


def _on_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, LifecycleError)
    return refusal(STATUSES[error.code], error.code, error.message, error.details)


def _on_not_let_in(_request: Request, error: Exception) -> Response:
    assert isinstance(error, NotLetInError)
    _log.info("not_let_in", reason=error.reason)
    return refusal(
        HTTPStatus.UNAUTHORIZED,
        "unauthenticated",
        "A valid token is needed: Authorization: Bearer …",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _on_too_many(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyRequestsError)
    return refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        "rate_limited",
        "Too many requests; wait, then go on.",
        headers={"Retry-After": str(error.wait)},
    )


def _on_malformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    details = [
        # The place is made of our own names, and the message of pydantic's: neither repeats what was sent.
        Detail("malformed", ".".join(str(part) for part in fault["loc"])[:200], str(fault["type"]))
        for fault in error.errors()[:20]
    ]
    return refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "malformed", "The request is malformed; see the details.", details)


def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return refusal(
        status,
        status.phrase.lower().replace(" ", "_"),
        f"{status.description or status.phrase}.",
        headers=error.headers,
    )


def _on_bad_cursor(_request: Request, _error: Exception) -> Response:
    return refusal(HTTPStatus.BAD_REQUEST, "bad_cursor", "This cursor belongs to no list of this kind.")


def _on_unusable_value(_request: Request, _error: Exception) -> Response:
    return refusal(HTTPStatus.BAD_REQUEST, "unusable_value", "A value can't be stored or looked for.")


def _on_race(_request: Request, error: Exception) -> Response:
    """What the database refuses although it was checked, another transaction has made impossible meanwhile."""
    _log.warning("constraint_refused", error=type(error).__qualname__)
    return refusal(
        HTTPStatus.CONFLICT, ErrorCode.CONCURRENCY_CONFLICT, "Somebody was quicker; load it again, then decide."
    )


def _on_database_away(_request: Request, error: Exception) -> Response:
    _log.warning("database_away", error=type(error).__qualname__)
    return refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database_away",
        "The database does not answer. Nothing has changed.",
        headers={"Retry-After": str(RETRY_AFTER)},
    )
