"""Run events over HTTP: a real server, a real database, the Kafka protocol."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
import pytest
import sqlalchemy as sa
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from cli.embedded.kafka import MockKafka
from dataflows.interop.event_ids import event_id_of
from tests.given import changed, started, time
from tests.interop.interop_given import PATIENCE, Server, a_server, encoded, read_topic, signature, token

RUN = started(0)
ANONYMOUS = {name: value for name, value in RUN.items() if name not in ("tenant_id", "workflow_id")}
RECORD = {"run_id": "RUN-1", "scenario_id": "BINDER_EXPORT_v2", "status": "Success", "credits_total": 2480}
LINEAGE = {
    "eventType": "FAIL",
    "eventTime": "2026-03-02T08:00:00.5Z",
    "run": {"runId": "r1", "facets": {"errorMessage": {"message": "401 Unauthorized"}}},
    "job": {"namespace": "airflow", "name": "invoices.load"},
}


@pytest.fixture
def server(database_url: str, mock_kafka: MockKafka) -> Iterator[Server]:
    with a_server(database_url, mock_kafka) as made:
        yield made


def answer(response: httpx.Response) -> tuple[int, Any]:
    """The status, and how each item fared or what is wrong."""
    said = response.json()
    assert said["request_id"]
    if response.status_code == 202:
        return 202, [item.get("code", item["outcome"]) for item in said["results"]]
    assert set(said) == {"error_code", "message", "details", "request_id"}
    return response.status_code, said["error_code"]


def test_a_run_event_is_in_the_log_when_it_is_acknowledged(server: Server) -> None:
    response = server.post("/v1/run-events", encoded(RUN))
    assert answer(response) == (202, ["accepted"])
    assert response.json()["results"][0]["event_id"] == RUN["event_id"]
    (message,) = read_topic(server.settings.kafka, "run_events", 1)
    assert (message.key(), json.loads(message.value() or b"")) == (b"wf1", RUN)


def test_what_the_registry_and_the_sender_say_is_filled_in(server: Server) -> None:
    server.post("/v1/run-events", encoded(ANONYMOUS))
    assert server.events(1) == [{**ANONYMOUS, "tenant_id": "t1", "workflow_id": "wf1"}]


def test_each_item_of_an_array_has_its_own_result_and_they_keep_their_order(server: Server) -> None:
    lines = [
        started(0),
        {**started(1), "tenant_id": "t2"},
        {**started(2), "status": "unheard of"},
        {**ANONYMOUS, "automation_version_id": "v2"},
        changed(3, "Blocked", "Live"),
        {**started(4), "occurred_at": (datetime.now(UTC) + timedelta(minutes=6)).isoformat()},
        7,
        {**started(5), "payload": "x" * (1 << 20)},
        started(6),
    ]
    response = server.post("/v1/run-events", encoded(lines))
    assert answer(response) == (
        202,
        [
            "accepted",
            "tenant_mismatch",
            "invalid_field",
            "unknown_automation_version",
            "invalid_field",
            "future_timestamp",
            "not_an_object",
            "too_large",
            "accepted",
        ],
    )
    assert {name: response.json()[name] for name in ("accepted", "ignored", "refused")} == {
        "accepted": 2,
        "ignored": 0,
        "refused": 7,
    }
    assert server.events(2) == [lines[0], lines[8]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"[]", (202, []), id="an empty array"),
        pytest.param(b"", (422, "not_json"), id="nothing"),
        pytest.param(b"[", (422, "not_json"), id="half an array"),
        pytest.param(b"\xff", (422, "not_json"), id="no UTF-8"),
        pytest.param(b"7", (422, "not_an_object"), id="no object"),
        pytest.param(b"[" * 100_000, (422, "not_json"), id="deep"),
        pytest.param(encoded([RUN] * 1001), (413, "too_many_items"), id="too many"),
        pytest.param(encoded({**RUN, "x": "y" * (1 << 20)}), (413, "too_large"), id="one that is too large"),
        pytest.param(encoded({**RUN, "tenant_id": "t2"}), (403, "tenant_mismatch"), id="one of another tenant"),
        pytest.param(encoded([{}, {**RUN, "tenant_id": "t2"}]), (422, "items_refused"), id="all bad in their own way"),
        pytest.param(encoded({**RUN, "tenant_id": "t1\u0000"}), (403, "tenant_mismatch"), id="a zero byte"),
        pytest.param(
            encoded({**ANONYMOUS, "automation_version_id": "v\u0000"}),
            (422, "unknown_automation_version"),
            id="a zero byte in what is looked up",
        ),
    ],
)
def test_bodies_that_can_not_be_used(server: Server, body: bytes, expected: tuple[int, Any]) -> None:
    assert answer(server.post("/v1/run-events", body)) == expected


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        pytest.param("/v1/run-events", {"Content-Type": "text/plain"}, (415, "content_type"), id="no JSON"),
        pytest.param("/v1/run-events", {"Content-Encoding": "gzip"}, (415, "content_encoding"), id="compressed"),
        pytest.param(
            "/v1/runs", {"Content-Type": "application/cloudevents+json"}, (415, "content_type"), id="no such runs"
        ),
        pytest.param(
            "/v1/run-events",
            {"Content-Type": "application/cloudevents-batch+json"},
            (422, "no_batch"),
            id="a batch that is no array",
        ),
        pytest.param(
            "/v1/run-events", {"Content-Type": "application/json; charset=utf-8"}, (202, ["accepted"]), id="JSON"
        ),
    ],
)
def test_content_types(server: Server, path: str, headers: dict[str, str], expected: tuple[int, Any]) -> None:
    assert answer(server.post(path, encoded(RUN), **headers)) == expected


def test_only_posts_are_taken(server: Server) -> None:
    response = httpx.get(server.url + "/v1/run-events")
    assert (answer(response), response.headers["Allow"]) == ((405, "method_not_allowed"), "POST")


def test_the_console_is_where_it_was(server: Server) -> None:
    assert httpx.get(server.url + "/console/tasks").status_code == 200
    assert httpx.post(server.url + "/console/tasks").status_code == 403
    assert httpx.post(server.url + "/v1/run-events/other").status_code == 404


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, (401, "no_credentials"), id="nobody"),
        pytest.param(signature(encoded(RUN), secret="wrong", at=0), (401, "stale_signature"), id="stale"),
        pytest.param({"Authorization": "Bearer wrk_api_live_x"}, (401, "no_token"), id="an API key"),
    ],
)
def test_who_is_not_let_in_writes_nothing(server: Server, headers: dict[str, str], expected: tuple[int, str]) -> None:
    response = server.post("/v1/run-events", encoded(RUN), headers)
    assert answer(response) == expected
    assert response.headers["WWW-Authenticate"] == "Bearer"
    server.post("/v1/run-events", encoded(started(9)))
    assert server.events(1) == [started(9)]


def test_a_token_writes_for_the_tenants_in_its_claim(server: Server) -> None:
    headers = {"Authorization": f"Bearer {token(tenants=['t1', 't2'])}"}
    theirs = {**started(1), "tenant_id": "t2", "automation_version_id": "v2", "workflow_id": "wf2"}
    nobodys = {**started(2), "tenant_id": "t3"}
    response = server.post("/v1/run-events", encoded([RUN, theirs, nobodys, ANONYMOUS]), headers)
    assert answer(response) == (202, ["accepted", "accepted", "tenant_mismatch", "missing_field"])
    assert answer(server.post("/v1/runs", encoded(RECORD), headers)) == (403, "several_tenants")


def test_a_request_that_is_sent_again_has_the_same_ids(server: Server) -> None:
    for path, item in (("/v1/runs", RECORD), ("/api/v1/lineage", LINEAGE)):
        first, second = (server.post(path, encoded(item)).json()["results"][0]["event_id"] for _ in range(2))
        assert first == second


# ---- other forms


@pytest.mark.parametrize("write", [http.to_structured_event, http.to_binary_event], ids=["structured", "binary"])
def test_cloudevents_in_both_modes(server: Server, write: Any) -> None:
    attributes = {"id": "42", "source": "/jobs", "type": "run", "time": time(7), "datacontenttype": "application/json"}
    data = {name: value for name, value in RUN.items() if name not in ("event_id", "occurred_at")}
    message = write(CloudEvent(attributes, data))
    assert answer(server.post("/v1/run-events", message.body, **message.headers)) == (202, ["accepted"])
    assert server.events(1) == [{**data, "event_id": event_id_of("/jobs", "42"), "occurred_at": time(7).isoformat()}]


def test_a_batch_of_cloudevents(server: Server) -> None:
    events = [
        json.loads(JSONFormat().write(CloudEvent({"id": str(number), "source": "/jobs", "type": "run"}, line)))
        for number, line in enumerate((started(0), started(1)))
    ]
    events.insert(1, {"id": "7"})
    response = server.post("/v1/run-events", encoded(events), **{"Content-Type": "application/cloudevents-batch+json"})
    assert answer(response) == (202, ["accepted", "missing_field", "accepted"])
    assert server.events(2) == [started(0), started(1)]


def test_records_of_the_credit_webhook(server: Server) -> None:
    pascal = {"Run_Id": "RUN-2", "Scenario_Id": "NEW", "Status": "Success", "Credits_Total": 7}
    before = datetime.now(UTC)
    assert answer(server.post("/v1/runs", encoded([RECORD, pascal]))) == (202, ["accepted", "accepted"])
    messages = read_topic(server.settings.kafka, "run_events", 2)
    known, new = sorted(
        (json.loads(message.value() or b"") for message in messages), key=lambda one: one["execution_id"]
    )
    assert (known["automation_version_id"], known["workflow_id"]) == ("v3", "v3")
    assert (new["automation_version_id"], new["workflow_id"]) == ("scenario:NEW", "scenario:NEW")
    assert before <= datetime.fromisoformat(new["occurred_at"]) <= datetime.now(UTC)


def test_lineage_events(server: Server) -> None:
    theirs = {**LINEAGE, "job": {"namespace": "airflow", "name": "theirs"}}
    response = server.post("/api/v1/lineage", encoded([LINEAGE, theirs, {**LINEAGE, "eventType": "OTHER"}]))
    assert answer(response) == (202, ["accepted", "unknown_automation_version", "ignored"])
    (event,) = server.events(1)
    assert event == {
        "event_id": event_id_of("r1", "FAIL", "2026-03-02T08:00:00.5Z"),
        "status": "failure",
        "occurred_at": "2026-03-02T08:00:00.5Z",
        "tenant_id": "t1",
        "automation_version_id": "v1",
        "workflow_id": "wf1",
        "execution_id": "r1",
        "error_message": "401 Unauthorized",
    }


# ---- limits and outages


def test_a_body_has_a_limit_with_and_without_a_length(database_url: str, mock_kafka: MockKafka) -> None:
    with a_server(database_url, mock_kafka, max_body_bytes=2000) as server:
        body = encoded({**RUN, "payload": "x" * 2000})
        assert answer(server.post("/v1/run-events", body)) == (413, "body_too_large")
        headers = {**signature(body), "Content-Type": "application/json"}
        chunked = httpx.post(server.url + "/v1/run-events", content=iter([body[:999], body[999:]]), headers=headers)
        assert answer(chunked) == (413, "body_too_large")
        assert answer(server.post("/v1/run-events", encoded(RUN))) == (202, ["accepted"])


def test_when_too_much_is_under_way_others_are_told_to_come_later(database_url: str, mock_kafka: MockKafka) -> None:
    with a_server(database_url, mock_kafka, max_body_bytes=1 << 20, max_in_flight_bytes=1 << 20) as server:
        address = server.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1]))) as slow:
            head = "".join(f"{name}: {value}\r\n" for name, value in signature(b"").items())
            slow.sendall(f"POST /v1/run-events HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n{head}\r\n[".encode())
            response = server.post("/v1/run-events", encoded(RUN))
            end = datetime.now(UTC) + timedelta(seconds=PATIENCE)
            while response.status_code == 202 and datetime.now(UTC) < end:
                response = server.post("/v1/run-events", encoded(RUN))
            assert answer(response) == (429, "busy")
            assert int(response.headers["Retry-After"]) > 0
        while response.status_code == 429 and datetime.now(UTC) < end:
            response = server.post("/v1/run-events", encoded(RUN))
        assert answer(response) == (202, ["accepted"])


def test_while_kafka_is_away_nothing_is_acknowledged(database_url: str, mock_kafka: MockKafka) -> None:
    with a_server(database_url, mock_kafka, delivery_timeout="3s") as server:
        assert answer(server.post("/v1/run-events", encoded(started(0)))) == (202, ["accepted"])
        mock_kafka.take_down()
        response = server.post("/v1/run-events", encoded(started(1)))
        assert answer(response) == (503, "kafka_away")
        assert int(response.headers["Retry-After"]) > 0
        mock_kafka.bring_up()
        assert answer(server.post("/v1/run-events", encoded(started(2)))) == (202, ["accepted"])


def test_without_a_database_only_what_needs_none_is_taken(server: Server, database_url: str) -> None:
    admin = sa.create_engine(database_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text("ALTER TABLE workflow_bindings RENAME TO elsewhere"))
        response = server.post("/v1/run-events", encoded(ANONYMOUS))
        assert answer(response) == (503, "database_away")
        assert int(response.headers["Retry-After"]) > 0
        assert answer(server.post("/v1/run-events", encoded(RUN))) == (202, ["accepted"])
    admin.dispose()
