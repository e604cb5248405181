"""Bytes to events, or the reason why not (spec 10).

Two roads to the same answer. The fast one lets msgspec check types and limits in C and is taken by every good
message. Whatever it refuses goes down the slow one, which looks at one field after the other, knows aliases
and control events, and names the first fault in the spec's order. The fast road never accepts what the slow
one refuses; a property test holds the two together.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import (
    CONTROL_EVENTS,
    MAX_ERROR_MESSAGE_BYTES,
    MAX_MESSAGE_BYTES,
    ControlEvent,
    Event,
    RunEvent,
)
from dataflows.times import EARLIEST, EPOCH, LATEST, MICROSECOND

#: How deep arrays and objects may be nested, unread ones included.
MAX_DEPTH = 512

_decode_run = msgspec.json.Decoder(RunEvent).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_skim = msgspec.json.Decoder(msgspec.Raw).decode
_run_fields = {field.encode_name: msgspec.json.Decoder(field.type).decode for field in msgspec.structs.fields(RunEvent)}
_control_fields = {
    kind: {field.encode_name: msgspec.json.Decoder(field.type).decode for field in msgspec.structs.fields(model)}
    for kind, model in CONTROL_EVENTS.items()
}
_required_run = ("event_id", "status", "occurred_at", "tenant_id", "automation_version_id", "execution_id")
_required_control = {
    kind: tuple(field.encode_name for field in msgspec.structs.fields(model) if field.required)
    for kind, model in CONTROL_EVENTS.items()
}
_ids = re.compile(r"[A-Za-z0-9._:\-\n]*")
_http_uri = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)
_COMPACT_UTC = b'+0000"'
#: Escapes of what an offset and the seconds before it are made of, which nobody needs: signs, point, digits, colon.
_ESCAPED_TIME = re.compile(rb"\\u00(?:2[bBdDeE]|3[0-9aA])")
#: A message no longer than this has not room for that depth.
_SHALLOW = 2 * MAX_DEPTH
_strings = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_brackets = re.compile(rb"[\[\]{}]")
_compact_offset = re.compile(rb':\d\d(?:\.\d+)?[+-]\d{4}"')
#: `-0000` is not in RFC 3339 but harmless, and telling it from `Z` would cost every message a search.
_rfc3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d|-0000)?", re.ASCII)


def decode(raw: bytes) -> Event:
    """The event that a message holds; `Unusable` says why there is none. About 1 µs for a good run event."""
    if len(raw) > MAX_MESSAGE_BYTES and len(raw.removesuffix(b"\r")) > MAX_MESSAGE_BYTES:
        raise Unusable(DeadLetterCode.TOO_LARGE, f"more than {MAX_MESSAGE_BYTES} bytes")
    if not raw.isascii():
        # msgspec skips the strings that it isn't asked for without looking whether they are UTF-8.
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise Unusable(DeadLetterCode.NOT_JSON, "not UTF-8") from None
    if _is_deep(raw):
        raise Unusable(DeadLetterCode.NOT_JSON, "nested too deeply")
    try:
        event = _decode_run(raw)
    except (msgspec.DecodeError, RecursionError):
        return _decode_slowly(raw)
    if not (
        _is_plain(event, raw)
        and _is_event_id(event.event_id)
        and _in_range(event.occurred_at)
        and not _has_compact_utc(raw)
    ):
        return _decode_slowly(raw)
    return event


def decode_all(raws: Sequence[bytes], together: bytes) -> tuple[list[RunEvent], list[int]] | None:
    """All messages as run events with their event times, or None when at least one needs `decode`.

    `together` is bytes in which all messages stand; what can be checked on it at once is not checked one by one. The
    caller makes sure that no message is too large and that all are UTF-8.
    """
    if max(map(len, raws), default=0) > _SHALLOW and any(map(_is_deep, raws)):
        return None
    try:
        events = list(map(_decode_run, raws))
    except (msgspec.DecodeError, RecursionError):
        return None
    joined = "\n".join([event.event_id for event in events])
    if _ids.fullmatch(joined) is None or joined.count("\n") != len(events) - 1:
        return None
    if _has_compact_utc(together):
        return None
    for event, raw in zip(events, raws, strict=True):
        if (
            event.kind is not None
            or event.execution_id is None
            or event.occurred_at.tzinfo is not UTC
            or event.error_message is not None
            or event.artifacts_link is not None
            or event.deployment_timestamp is not None
        ) and not _is_plain(event, raw):
            return None
    times = [(event.occurred_at - EPOCH) // MICROSECOND for event in events]
    if times and not (min(times) >= EARLIEST and max(times) <= LATEST):
        return None
    return events, times


def _is_deep(raw: bytes) -> bool:
    """Whether arrays and objects are nested too deeply. What the decoder's own limit is depends on its caller."""
    if len(raw) <= _SHALLOW or raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _brackets.findall(_strings.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _has_compact_utc(text: bytes) -> bool:
    """Whether a time ends in `+0000`, or may do so. One character is searched for first, ten times as fast as five."""
    if b"\\" in text and _ESCAPED_TIME.search(text) is not None:
        return True
    at = text.find(_COMPACT_UTC) if b"+" in text else -1
    while at >= 0:
        if text[at - 2 : at].isdigit():
            return True
        at = text.find(_COMPACT_UTC, at + 1)
    return False


def _is_plain(event: RunEvent, raw: bytes) -> bool:
    """Whether the limits hold that the types can't express and that are seldom in doubt."""
    if event.kind is not None or event.execution_id is None:
        return False
    if event.occurred_at.tzinfo is not UTC or event.deployment_timestamp is not None:
        # msgspec takes an offset without a colon; RFC 3339 does not.
        if _compact_offset.search(raw) is not None:
            return False
        if event.deployment_timestamp is not None and not _in_range(event.deployment_timestamp):
            return False
    return (event.error_message is None or _message_fits(event.error_message)) and (
        event.artifacts_link is None or _http_uri.fullmatch(event.artifacts_link) is not None
    )


def _is_event_id(text: str) -> bool:
    return _ids.fullmatch(text) is not None and "\n" not in text


def _message_fits(text: str) -> bool:
    return len(text) * 4 <= MAX_ERROR_MESSAGE_BYTES or len(text.encode()) <= MAX_ERROR_MESSAGE_BYTES


def _in_range(time: datetime) -> bool:
    """Whether the time can be written in UTC; only an offset at the ends of the calendar can't."""
    return 1 < time.year < 9999 or EARLIEST <= (time - EPOCH) // MICROSECOND <= LATEST


def _decode_slowly(raw: bytes) -> Event:
    fields = _object(raw)
    kind = _text_or_none(fields.get("kind"))
    if kind in CONTROL_EVENTS:
        return _control_event(kind, fields)
    return _run_event(fields)


def _object(raw: bytes) -> dict[str, msgspec.Raw]:
    """The object's fields, undecoded; a null field is left out, since null is the same as absent."""
    try:
        try:
            fields = _decode_object(raw)
        except msgspec.ValidationError:
            # What is no object is refused at its first character; the rest may still be no JSON.
            _skim(raw)
            raise Unusable(DeadLetterCode.NOT_AN_OBJECT, "JSON, but no object") from None
    except msgspec.DecodeError:
        raise Unusable(DeadLetterCode.NOT_JSON, "no JSON text") from None
    except RecursionError:
        raise Unusable(DeadLetterCode.NOT_JSON, "nested too deeply") from None
    return {name: value for name, value in fields.items() if bytes(value) != b"null"}


def _text_or_none(value: msgspec.Raw | None) -> str | None:
    try:
        return None if value is None else _decode_text(value)
    except msgspec.DecodeError:
        return None


def _run_event(fields: dict[str, msgspec.Raw]) -> RunEvent:
    if "execution_id" not in fields and "run_id" in fields:
        fields["execution_id"] = fields["run_id"]
    fields.pop("run_id", None)
    fields.pop("kind", None)
    _require(_required_run, fields)
    faults = _Faults()
    values = _decode_fields(fields, _run_fields, faults)
    _check_event_id(values, faults)
    if (message := values.get("error_message")) is not None and not _message_fits(message):
        faults.invalid("error_message")
    if (link := values.get("artifacts_link")) is not None and _http_uri.fullmatch(link) is None:
        faults.invalid("artifacts_link")
    faults.raise_first()
    return RunEvent(**values)


def _control_event(kind: str, fields: dict[str, msgspec.Raw]) -> ControlEvent:
    _require(_required_control[kind], fields)
    faults = _Faults()
    values = _decode_fields(fields, _control_fields[kind], faults)
    _check_event_id(values, faults)
    faults.raise_first()
    values["from_time"], values["to_time"] = values.pop("from", None), values.pop("to", None)
    return CONTROL_EVENTS[kind](**{name: value for name, value in values.items() if value is not None})


def _check_event_id(values: dict[str, Any], faults: "_Faults") -> None:
    if (event_id := values.get("event_id")) is not None and not _is_event_id(event_id):
        faults.invalid("event_id")


def _require(names: Sequence[str], fields: dict[str, msgspec.Raw]) -> None:
    missing = [name for name in names if name not in fields]
    if missing:
        raise Unusable(DeadLetterCode.MISSING_FIELD, "missing: " + ", ".join(missing))


class _Faults:
    """Faults of one message by kind, so that the first in the spec's order can be told whatever came first."""

    def __init__(self) -> None:
        self._invalid: list[str] = []
        self._naive: list[str] = []

    def invalid(self, name: str) -> None:
        self._invalid.append(name)

    def naive(self, name: str) -> None:
        self._naive.append(name)

    def raise_first(self) -> None:
        if self._invalid:
            raise Unusable(DeadLetterCode.INVALID_FIELD, "invalid: " + ", ".join(sorted(set(self._invalid))))
        if self._naive:
            raise Unusable(DeadLetterCode.NAIVE_TIMESTAMP, "without an offset: " + ", ".join(self._naive))


_decode_any_time = msgspec.json.Decoder(datetime).decode


def _decode_fields(
    fields: dict[str, msgspec.Raw], decoders: Mapping[str, Callable[[msgspec.Raw], Any]], faults: _Faults
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, decoder in decoders.items():
        if name not in fields:
            continue
        try:
            value = decoder(fields[name])
        except (msgspec.DecodeError, RecursionError):
            if _is_naive_time(fields[name], decoder):
                faults.naive(name)
            else:
                faults.invalid(name)
            continue
        if isinstance(value, datetime) and not (_in_range(value) and _rfc3339.fullmatch(_decode_text(fields[name]))):
            faults.invalid(name)
            continue
        values[name] = value
    return values


def _is_naive_time(raw: msgspec.Raw, decoder: Callable[[msgspec.Raw], Any]) -> bool:
    """Whether a field that must be an aware time is a good time but for its offset."""
    if decoder not in _time_decoders:
        return False
    try:
        return _decode_any_time(raw).tzinfo is None and _rfc3339.fullmatch(_decode_text(raw)) is not None
    except msgspec.DecodeError:
        return False


_time_decoders = {_run_fields["occurred_at"], _run_fields["deployment_timestamp"]} | {
    decoders[name]
    for decoders in _control_fields.values()
    for name in ("occurred_at", "from", "to")
    if name in decoders
}
