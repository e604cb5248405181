"""CloudEvents in both modes as run events; the SDK of the CNCF makes them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.core.bindings import http, kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import MAX_MESSAGE_BYTES
from dataflows.interop.cloudevents import from_http, from_structured, unwrap
from dataflows.interop.event_ids import event_id_of
from tests.given import started, time

RUN = started(0)
#: What a producer may leave to the envelope.
SHORT = {name: value for name, value in RUN.items() if name not in ("event_id", "occurred_at")}
ATTRIBUTES = {
    "id": "42",
    "source": "/jobs/ä b",
    "type": "example.run",
    "specversion": "1.0",
    "time": time(7),
    "datacontenttype": "application/json",
    "partitionkey": "wf1",
}
CE_HEADERS = {"ce_id": b"42", "ce_source": b"/jobs", "ce_type": b"t", "ce_specversion": b"1.0"}


def over_kafka(mode: str, data: Any, **attributes: Any) -> dict[str, Any]:
    """The run event of the SDK's Kafka message."""
    event = CloudEvent({**ATTRIBUTES, **attributes}, data)
    write = kafka.to_structured_event if mode == "structured" else kafka.to_binary_event
    message = write(event)
    return json.loads(unwrap(message.value, list(message.headers.items())))


def over_http(mode: str, data: Any, **attributes: Any) -> dict[str, Any]:
    """The run event of the SDK's HTTP request."""
    event = CloudEvent({**ATTRIBUTES, **attributes}, data)
    write = http.to_structured_event if mode == "structured" else http.to_binary_event
    message = write(event)
    return json.loads(from_http({name.lower(): value for name, value in message.headers.items()}, message.body))


each_way = pytest.mark.parametrize("way", [over_kafka, over_http], ids=["kafka", "http"])
each_mode = pytest.mark.parametrize("mode", ["structured", "binary"])


@each_way
@each_mode
def test_data_is_the_run_event(way: Any, mode: str) -> None:
    assert way(mode, RUN) == RUN


@each_way
@each_mode
def test_the_envelope_gives_what_the_data_lacks(way: Any, mode: str) -> None:
    expected = {"event_id": event_id_of("/jobs/ä b", "42"), "occurred_at": time(7).isoformat()}
    assert way(mode, SHORT) == {**SHORT, **expected}


@each_way
@each_mode
def test_the_time_of_another_zone_stays_the_same_time(way: Any, mode: str) -> None:
    there = datetime.fromisoformat("2026-03-02T10:07:00+02:00")
    assert datetime.fromisoformat(way(mode, SHORT, time=there)["occurred_at"]) == time(7)


@each_way
@each_mode
def test_null_is_the_same_as_absent(way: Any, mode: str) -> None:
    assert way(mode, {**RUN, "event_id": None})["event_id"] == event_id_of("/jobs/ä b", "42")


def test_structured_data_may_be_in_base64() -> None:
    event = CloudEvent(dict(ATTRIBUTES), json.dumps(RUN).encode())
    assert b"data_base64" in JSONFormat().write(event)
    assert json.loads(from_structured(JSONFormat().write(event))) == RUN


def test_numbers_stay_as_they_were_written() -> None:
    raw = b'{"id":"1","source":"s","type":"t","specversion":"1.0","data":{"credits_total":1e400,"x":1.10}}'
    assert b'"credits_total":1e400,"x":1.10' in from_structured(raw)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(None, id="no headers"),
        pytest.param([("content-type", b"application/json")], id="plain JSON"),
        pytest.param([("trace", b"x"), ("empty", None)], id="headers of others"),
    ],
)
def test_what_is_no_cloudevent_stays_as_it_is(headers: Any) -> None:
    value = b'{"specversion":"1.0","data":{}}'
    assert unwrap(value, headers) is value


def test_an_envelope_without_time_gives_none() -> None:
    made = json.loads(unwrap(json.dumps(SHORT).encode(), list(CE_HEADERS.items())))
    assert "occurred_at" not in made


def structured(**changes: Any) -> bytes:
    event = {"id": "1", "source": "s", "type": "t", "specversion": "1.0", "data": RUN, **changes}
    return json.dumps({name: value for name, value in event.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("raw", "code", "explanation"),
    [
        pytest.param(b"{", "not_json", "no JSON text", id="no JSON"),
        pytest.param(b'{"id":"\xff"}', "not_json", "not UTF-8", id="no UTF-8"),
        pytest.param(b"[]", "not_an_object", "JSON, but no object", id="an array"),
        pytest.param(b"[" * 100_000, "not_json", "nested too deeply", id="deep"),
        pytest.param(b"{}", "missing_field", "missing: id, source, type, specversion", id="nothing"),
        pytest.param(structured(id=...), "missing_field", "missing: id", id="no id, and no random one"),
        pytest.param(structured(id=None), "missing_field", "missing: id", id="a null id"),
        pytest.param(structured(id=7), "invalid_field", "invalid: id", id="a number as id"),
        pytest.param(structured(specversion="2.0"), "invalid_field", "invalid: specversion", id="another version"),
        pytest.param(structured(specversion="0.3"), "invalid_field", "invalid: specversion", id="an old version"),
        pytest.param(structured(subject=""), "invalid_field", "invalid: subject", id="an empty subject"),
        pytest.param(
            structured(**{"sk-live-1": 1}), "invalid_field", "invalid: an extension attribute", id="a name of theirs"
        ),
        pytest.param(
            structured(time="yesterday"), "invalid_field", "invalid: an attribute of the CloudEvent", id="no time"
        ),
        pytest.param(
            structured(time="2026-03-02T08:00:00"), "naive_timestamp", "without an offset: time", id="a naive time"
        ),
        pytest.param(
            structured(data=..., data_base64="abc"),
            "invalid_field",
            "invalid: an attribute of the CloudEvent",
            id="no Base64",
        ),
        pytest.param(structured(data=...), "missing_field", "missing: data", id="no data"),
        pytest.param(structured(data=[RUN]), "not_an_object", "JSON, but no object", id="data in an array"),
        pytest.param(structured(data="{}"), "not_an_object", "JSON, but no object", id="data as text"),
    ],
)
def test_what_can_not_be_used_says_why_and_tells_no_value(raw: bytes, code: str, explanation: str) -> None:
    with pytest.raises(Unusable) as refused:
        unwrap(raw, [("Content-Type", b"application/cloudevents+json; charset=UTF-8")])
    assert (refused.value.code.value, refused.value.explanation) == (code, explanation)


@pytest.mark.parametrize(
    ("headers", "value", "code"),
    [
        pytest.param({"ce_id": b"1"}, b"{}", "missing_field", id="attributes are missing"),
        pytest.param({**CE_HEADERS, "ce_id": b"\xff"}, b"{}", "invalid_field", id="an attribute is not UTF-8"),
        pytest.param({**CE_HEADERS, "ce_time": b"noon"}, b"{}", "invalid_field", id="a time that is none"),
        pytest.param({**CE_HEADERS, "ce_": b"x"}, b"{}", "invalid_field", id="an attribute without a name"),
        pytest.param(CE_HEADERS, b"", "missing_field", id="no data"),
        pytest.param(CE_HEADERS, b"x", "not_json", id="data that is no JSON"),
        pytest.param(
            {"content-type": b"application/cloudevents+avro"}, b"Obj", "invalid_field", id="another format of events"
        ),
        pytest.param(
            {"content-type": b"application/cloudevents-batch+json"}, b"[]", "invalid_field", id="a batch in a message"
        ),
    ],
)
def test_binary_messages_that_can_not_be_used(headers: dict[str, bytes], value: bytes, code: str) -> None:
    with pytest.raises(Unusable) as refused:
        unwrap(value, list(headers.items()))
    assert refused.value.code == DeadLetterCode(code)


def test_an_event_that_is_too_large_is_not_even_read() -> None:
    with pytest.raises(Unusable) as refused:
        from_structured(structured(filler="x" * MAX_MESSAGE_BYTES))
    assert refused.value.code is DeadLetterCode.TOO_LARGE


@each_mode
def test_a_replay_of_the_envelope_has_the_same_id(mode: str) -> None:
    now = datetime.now(UTC)
    ids = {over_kafka(mode, SHORT, time=now + timedelta(seconds=delay))["event_id"] for delay in (0, 1)}
    assert len(ids) == 1
