"""CloudEvents 1.0 around run events: structured and binary mode, from Kafka and HTTP (spec 10, Other inputs).

The data is the run event. Where that has no `event_id` it gets the hash of (`source`, `id`), and without an
`occurred_at` the attribute `time`. The SDK of the CNCF reads the attributes; two of its habits are kept out: an event
without an `id` gets a random one there, and one without a `time` the current one.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from cloudevents.core.bindings import http, kafka
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import OPTIONAL_ATTRIBUTES, REQUIRED_ATTRIBUTES, CloudEvent

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import MAX_MESSAGE_BYTES
from dataflows.interop.event_ids import event_id_of
from dataflows.interop.objects import Faults, Fields, read_object, write_object

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_FAMILY = "application/cloudevents"

#: Headers of a Kafka message, as the client hands them out.
Headers = Sequence[tuple[str, bytes | None]]

_format = JSONFormat()
_ATTRIBUTES = frozenset((*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES))


def media_type(content_type: str) -> str:
    """A content type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def unwrap(value: bytes, headers: Headers | None) -> bytes:
    """The run event in a Kafka message, which is `value` itself when the headers don't speak of a CloudEvent.

    `Unusable` for a CloudEvent that can't be used. Without such headers it costs a look at each of them.
    """
    if not headers:
        return value
    named = {name.lower(): content for name, content in headers if content is not None}
    media = media_type(named.get("content-type", b"").decode("utf-8", "replace"))
    if media.startswith(_FAMILY):
        return from_structured(value, media)
    if not any(name.startswith(kafka.CE_PREFIX) for name in named):
        return value
    message = kafka.KafkaMessage(headers=named, key=None, value=b"")
    return _run_event(_read(lambda: kafka.from_binary(message, _format, _Given)), value)


def from_http(headers: Mapping[str, str], body: bytes) -> bytes:
    """The run event in an HTTP request, which is its body when the headers don't speak of a CloudEvent.

    `headers` by names in lower case. `Unusable` for a CloudEvent that can't be used.
    """
    media = media_type(headers.get("content-type", ""))
    if media.startswith(_FAMILY):
        return from_structured(body, media)
    if not is_binary(headers):
        return body
    message = http.HTTPMessage(headers=dict(headers), body=b"")
    return _run_event(_read(lambda: http.from_binary(message, _format, _Given)), body)


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether an HTTP request with these headers, by names in lower case, is a CloudEvent in binary mode."""
    return any(name.startswith(http.CE_PREFIX) for name in headers)


def from_structured(value: bytes, media: str = STRUCTURED) -> bytes:
    """The run event in a CloudEvent that is one JSON object, `data` among its fields."""
    if media != STRUCTURED:
        raise Unusable(DeadLetterCode.INVALID_FIELD, "of CloudEvents only the JSON format is read, one event a message")
    if len(value) > MAX_MESSAGE_BYTES:
        raise Unusable(DeadLetterCode.TOO_LARGE, f"more than {MAX_MESSAGE_BYTES} bytes")
    fields = read_object(value)
    faults = Faults()
    for name in REQUIRED_ATTRIBUTES:
        if name not in fields:
            faults.missing(name)
    faults.raise_first()
    event = _read(lambda: _format.read(_Given, _without_nulls(fields)))
    data = event.get_data() if "data" not in fields else bytes(fields["data"])
    return _run_event(event, data if isinstance(data, bytes) else b"")


class _Given(CloudEvent):
    """A CloudEvent with no other attributes than those that came."""

    def __init__(self, attributes: dict[str, Any], data: Any = None) -> None:
        faults = Faults()
        for name in REQUIRED_ATTRIBUTES:
            if name not in attributes:
                faults.missing(name)
        faults.raise_first()
        self.time_given: datetime | None = attributes.get("time")
        if isinstance(self.time_given, datetime) and self.time_given.tzinfo is None:
            raise Unusable(DeadLetterCode.NAIVE_TIMESTAMP, "without an offset: time")
        super().__init__(attributes, data)


def _without_nulls(fields: Fields) -> bytes:
    """The attributes alone; the SDK need not read the data, which it would read more leniently than we do."""
    return write_object({name: value for name, value in fields.items() if name != "data"})


def _read(read: Callable[[], Any]) -> _Given:
    """What the SDK makes of it; its words hold values, so none of them are passed on."""
    try:
        event = read()
    except CloudEventValidationError as error:
        known = sorted(name for name in error.errors if name in _ATTRIBUTES)
        names = [*known, "an extension attribute"] if len(known) < len(error.errors) else known
        raise Unusable(DeadLetterCode.INVALID_FIELD, "invalid: " + ", ".join(names)) from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise Unusable(DeadLetterCode.INVALID_FIELD, "invalid: an attribute of the CloudEvent") from None
    assert isinstance(event, _Given)
    return event


def _run_event(event: _Given, data: bytes) -> bytes:
    if not data:
        raise Unusable(DeadLetterCode.MISSING_FIELD, "missing: data")
    fields: dict[str, msgspec.Raw | str] = {**read_object(data)}
    if "event_id" in fields and "occurred_at" in fields:
        return data
    fields.setdefault("event_id", event_id_of(event.get_source(), event.get_id()))
    if event.time_given is not None:
        fields.setdefault("occurred_at", event.time_given.isoformat())
    return write_object(fields)
