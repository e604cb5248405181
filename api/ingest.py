"""Run events over HTTP: `POST /v1/run-events`, `/v1/runs` and `/api/v1/lineage` (spec 10, Other inputs).

An answer of 202 means that Kafka has every accepted item. Whoever gets another one, or none, sends the same again:
the event ids are the same, so each counts once.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api import ingest_items as items
from api.database import Database
from api.ingest_auth import Gate, Identity, RefusedError, Signature
from api.ingest_bodies import BodyRoom
from api.ingest_items import Ignored, Input, Item, Refused
from api.ingest_records import record_failure, record_items
from config.metrics import INGEST_ITEMS, INGEST_REQUESTS
from config.settings import Ingest
from dataflows.dead_letters import DeadLetterCode
from dataflows.interop.acceptance import Accepted
from lifecycle.options import LifecycleOptions

PATHS = {
    "/v1/run-events": Input.RUN_EVENTS,
    "/v1/runs": Input.RUNS,
    "/api/v1/lineage": Input.LINEAGE,
}

#: Seconds after which a sender may come again.
RETRY_AFTER = 5

#: What a request is answered whose items are all refused for the same one of these; 422 otherwise.
_STATUS_OF_CODE = {
    DeadLetterCode.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    DeadLetterCode.TENANT_MISMATCH: HTTPStatus.FORBIDDEN,
}

_log = structlog.get_logger(__name__)


class NotAcknowledgedError(Exception):
    """Kafka has not acknowledged all of what was to be published, and some of it may be there."""


#: Writes (key, value) pairs in their order. Durable when it returns; `NotAcknowledgedError` otherwise.
Publish = Callable[[Sequence[tuple[bytes, bytes]]], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class IngestParts:
    """What the ingest needs."""

    settings: Ingest
    gate: Gate
    database: Database
    publish: Publish
    max_future_skew: timedelta
    options: LifecycleOptions = field(default_factory=LifecycleOptions)


def create_ingest_app(parts: IngestParts) -> Starlette:
    """The ingest as an application; contacts nothing."""
    room = BodyRoom(parts.settings.max_body_bytes, parts.settings.max_in_flight_bytes)
    routes = [Route(path, _endpoint(parts, room, form), methods=["POST"]) for path, form in PATHS.items()]
    return Starlette(routes=routes, exception_handlers={HTTPException: _on_http_exception})


class IngestFirst:
    """ASGI middleware: hands the ingest its paths before the console's guard asks for a browser's headers."""

    def __init__(self, app: ASGIApp, ingest: ASGIApp) -> None:
        self._app = app
        self._ingest = ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on to one of the two."""
        is_ours = scope["type"] == "http" and scope["path"] in PATHS
        await (self._ingest if is_ours else self._app)(scope, receive, send)


def _endpoint(parts: IngestParts, room: BodyRoom, form: Input) -> Callable[[Request], Awaitable[Response]]:
    async def take(request: Request) -> Response:
        request_id = uuid4().hex
        try:
            response = await _take(parts, room, form, request, request_id)
        except RefusedError as refused:
            _log.warning("ingest_refused", reason=refused.reason, input=form.value, request_id=request_id)
            response = _problem(refused.status, refused.reason, refused.message, request_id)
        except NotAcknowledgedError:
            _log.warning("ingest_not_acknowledged", input=form.value, request_id=request_id)
            message = "The log of events does not answer. Send the same again later: each event counts once."
            response = _problem(HTTPStatus.SERVICE_UNAVAILABLE, "kafka_away", message, request_id)
        except sa.exc.SQLAlchemyError as error:
            _log.warning("database_away", error=type(error).__qualname__, request_id=request_id)
            message = "The database does not answer. Send the same again later: each event counts once."
            response = _problem(HTTPStatus.SERVICE_UNAVAILABLE, "database_away", message, request_id)
        except ClientDisconnect:
            response = _problem(HTTPStatus.BAD_REQUEST, "disconnected", "The body ended early.", request_id)
        except Exception as error:  # noqa: BLE001  (the boundary of a request)
            _log.error("ingest_failed", error=type(error).__qualname__, input=form.value, request_id=request_id)
            message = "Something went wrong on our side. It is in the log; send the same again later."
            response = _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", message, request_id)
        INGEST_REQUESTS.labels(str(response.status_code)).inc()
        return response

    return take


async def _take(parts: IngestParts, room: BodyRoom, form: Input, request: Request, request_id: str) -> Response:
    received_at = datetime.now(UTC)
    headers = {name.lower(): value for name, value in request.headers.items()}
    credential = parts.gate.before_body(headers, received_at.timestamp())
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        message = "Send the body without compression."
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_encoding", message)
    async with room.body(request) as body:
        identity: Identity = (
            parts.gate.after_body(credential, body) if isinstance(credential, Signature) else credential
        )
        asked = items.Request(form, headers, body, identity, received_at)
        try:
            found = await run_in_threadpool(items.read_items, asked, parts.database, parts.max_future_skew)
            accepted = [(item.key, item.value) for item in found if isinstance(item, Accepted)]
            if accepted:
                # A sender that goes away does not undo what is under way.
                await asyncio.shield(parts.publish(accepted))
        except (RefusedError, NotAcknowledgedError, sa.exc.SQLAlchemyError) as error:
            if form is Input.RUNS:
                await run_in_threadpool(record_failure, parts.database, asked, error, parts.options)
            raise
        if form is Input.RUNS:
            await run_in_threadpool(record_items, parts.database, asked, found, parts.options)
    outcomes = Counter(_outcome(item) for item in found)
    for outcome, count in outcomes.items():
        INGEST_ITEMS.labels(form.value, outcome).inc(count)
    if outcomes["refused"]:
        codes = Counter(item.code.value for item in found if isinstance(item, Refused))
        _log.warning("ingest_items_refused", sender=identity.name, codes=dict(codes), request_id=request_id)
    if outcomes["refused"] == len(found) and found:
        return _all_refused([item for item in found if isinstance(item, Refused)], request_id)
    content = {
        **{outcome: outcomes[outcome] for outcome in ("accepted", "ignored", "refused")},
        "results": [_result(index, item) for index, item in enumerate(found)],
        "request_id": request_id,
    }
    return JSONResponse(content, HTTPStatus.ACCEPTED)


def _outcome(item: Item) -> str:
    match item:
        case Accepted():
            return "accepted"
        case Ignored():
            return "ignored"
        case Refused():
            return "refused"


def _result(index: int, item: Item) -> dict[str, Any]:
    result: dict[str, Any] = {"index": index, "outcome": _outcome(item)}
    if isinstance(item, Accepted):
        result["event_id"] = item.event_id
    elif isinstance(item, Refused):
        result |= {"code": item.code.value, "explanation": item.explanation}
    return result


def _all_refused(found: Sequence[Refused], request_id: str) -> Response:
    codes = {item.code for item in found}
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    if len(codes) == 1:
        status = _STATUS_OF_CODE.get(found[0].code, status)
    error_code = found[0].code.value if len(codes) == 1 else "items_refused"
    details = [
        {"code": item.code.value, "field": f"[{index}]", "message": item.explanation}
        for index, item in enumerate(found)
    ]
    return _problem(status, error_code, "Nothing of this could be used.", request_id, details)


def _problem(
    status: HTTPStatus, code: str, message: str, request_id: str, details: Sequence[dict[str, str]] = ()
) -> Response:
    """An error in the form that all of the API's have (spec 30.7)."""
    content = {"error_code": code, "message": message, "details": list(details), "request_id": request_id}
    headers = {}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = str(RETRY_AFTER)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(content, status, headers)


def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    response = _problem(status, status.phrase.lower().replace(" ", "_"), status.description, uuid4().hex)
    response.headers.update(error.headers or {})
    return response
