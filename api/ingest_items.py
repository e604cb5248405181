"""From the body of a request to run events, item by item: what each becomes, and why it becomes nothing.

An item that is refused is told to its sender, who has it still, and is no dead letter: nobody has taken it over.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from api.database import Database
from api.ingest_auth import Identity, RefusedError
from api.ingest_registry import NamesInRegistry
from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import MAX_MESSAGE_BYTES
from dataflows.interop import cloudevents, credit_webhook, openlineage
from dataflows.interop.acceptance import Accepted, accept, within_claim

MAX_ITEMS = 1_000
JSON = "application/json"

_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_SPACE = b" \t\r\n"


class Input(StrEnum):
    """The forms in which run events come."""

    RUN_EVENTS = "run_events"  #: run events themselves, or CloudEvents around them
    RUNS = "runs"  #: records of the credit webhook
    LINEAGE = "lineage"  #: OpenLineage


class Ignored(NamedTuple):
    """An item that says nothing of the course of a run."""


class Refused(NamedTuple):
    """An item that can't be used."""

    code: DeadLetterCode
    explanation: str


Item = Accepted | Ignored | Refused


class Request(NamedTuple):
    """What was sent, by whom, and when it came."""

    form: Input
    #: By names in lower case.
    headers: Mapping[str, str]
    body: bytes
    identity: Identity
    received_at: datetime


def read_items(request: Request, database: Database, max_future_skew: timedelta) -> list[Item]:
    """What each item becomes, in their order.

    `RefusedError` when the body as a whole can't be used; SQLAlchemy's errors when the database is needed and away.
    """
    with NamesInRegistry(database.read, request.identity.tenants) as registry:
        to_run_event = _mapping(request, registry)
        latest = request.received_at + max_future_skew
        return [_item(raw, to_run_event, latest, registry) for raw in _split(request)]


def _item(
    raw: bytes, to_run_event: Callable[[bytes], bytes | None], latest: datetime, registry: NamesInRegistry
) -> Item:
    if len(raw) > MAX_MESSAGE_BYTES:
        return Refused(DeadLetterCode.TOO_LARGE, f"more than {MAX_MESSAGE_BYTES} bytes")
    try:
        event = to_run_event(raw)
        return Ignored() if event is None else accept(event, latest=latest, workflow_of=registry.workflow_of)
    except Unusable as fault:
        return Refused(fault.code, fault.explanation)


def _mapping(request: Request, registry: NamesInRegistry) -> Callable[[bytes], bytes | None]:
    tenants = request.identity.tenants
    match request.form:
        case Input.LINEAGE:
            return lambda raw: openlineage.to_run_event(raw, registry.look_up)
        case Input.RUNS:
            if len(tenants) != 1:
                message = "A record of a run names no tenant: send it with a credential of one tenant."
                raise RefusedError(HTTPStatus.FORBIDDEN, "several_tenants", message)
            (tenant,) = tenants
            return lambda raw: credit_webhook.to_run_event(raw, tenant, request.received_at, registry.look_up)
        case Input.RUN_EVENTS:
            if _media(request) == cloudevents.BATCH:
                return lambda raw: within_claim(cloudevents.from_structured(raw), tenants)
            return lambda raw: within_claim(cloudevents.from_http(request.headers, raw), tenants)


def _split(request: Request) -> Sequence[bytes]:
    """The items of a body: those of an array, else the body itself. Checks its content type."""
    media = _media(request)
    is_run_events = request.form is Input.RUN_EVENTS
    if media not in ((JSON, cloudevents.STRUCTURED, cloudevents.BATCH) if is_run_events else (JSON,)):
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_type", "Send JSON, and say so in Content-Type.")
    is_array = request.body.lstrip(_SPACE).startswith(b"[")
    if media == cloudevents.BATCH and not is_array:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "no_batch", "A batch of CloudEvents is an array.")
    is_envelope = media == cloudevents.STRUCTURED or (is_run_events and cloudevents.is_binary(request.headers))
    if not is_array or is_envelope:
        return [request.body]
    try:
        items = _decode_array(request.body)
    except (msgspec.DecodeError, RecursionError):
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "not_json", "The body is no JSON.") from None
    if len(items) > MAX_ITEMS:
        message = f"More than {MAX_ITEMS} items: send them in several requests."
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_items", message)
    return [bytes(item) for item in items]


def _media(request: Request) -> str:
    return cloudevents.media_type(request.headers.get("content-type", ""))
