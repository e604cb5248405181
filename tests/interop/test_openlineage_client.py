"""The official OpenLineage client sends to us, over HTTP and over Kafka, with nothing but its own configuration."""

import json
from typing import Any

import sqlalchemy as sa
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import error_message_run
from openlineage.client.transport.http import HttpConfig, HttpTransport
from openlineage.client.transport.kafka import KafkaConfig, KafkaTransport
from openlineage.client.transport.transport import Transport
from openlineage.client.uuid import generate_new_uuid

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from lifecycle.seed import seed
from tests.interop.interop_given import WORLD, a_server, read_topic, token
from tests.interop.test_bridge import LINEAGE_TOPIC, a_bridge

STATES = [RunState.START, RunState.RUNNING, RunState.FAIL]


def events_of_a_run() -> list[RunEvent]:
    """What an integration sends for a run that fails."""
    run_id = str(generate_new_uuid())
    job = Job(namespace="airflow", name="invoices.load")
    facet = error_message_run.ErrorMessageRunFacet(message="401 Unauthorized", programmingLanguage="PYTHON")
    return [
        RunEvent(
            eventType=state,
            eventTime=f"2026-03-02T08:0{number}:00.123456Z",
            run=Run(runId=run_id, facets={"errorMessage": facet} if state is RunState.FAIL else {}),
            job=job,
            producer="https://example.org/integration",
        )
        for number, state in enumerate(STATES)
    ]


def send(transport: Transport, events: list[RunEvent]) -> None:
    client = OpenLineageClient(transport=transport)
    for event in events:
        client.emit(event)
    client.close()


def check(kafka: Kafka, sent: list[RunEvent]) -> None:
    messages = read_topic(kafka, "run_events", 3)
    assert {message.key() for message in messages} == {b"wf1"}
    found = [decoded(message.value()) for message in messages]
    assert [event["status"] for event in found] == ["started", "running", "failure"]
    assert {event["execution_id"] for event in found} == {sent[0].run.runId}
    assert [event.get("error_message") for event in found] == [None, None, "401 Unauthorized"]


def decoded(raw: bytes | None) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(raw or b"")
    return value


def test_over_http(database_url: str, mock_kafka: MockKafka) -> None:
    sent = events_of_a_run()
    with a_server(database_url, mock_kafka) as server:
        auth = {"type": "api_key", "apiKey": token()}
        send(HttpTransport(HttpConfig.from_dict({"url": server.url, "auth": auth})), sent)
        check(server.settings.kafka, sent)


def test_over_kafka(database_url: str, engine: sa.Engine, mock_kafka: MockKafka) -> None:
    with engine.begin() as connection:
        seed(connection, WORLD)
    for topic, partitions in (("run_events", 4), ("run_events.dead_letter", 1), (LINEAGE_TOPIC, 2)):
        mock_kafka.create_topic(topic, partitions)
    kafka = Kafka(bootstrap_servers=mock_kafka.bootstrap_servers)
    sent = events_of_a_run()
    config = KafkaConfig(config={"bootstrap.servers": kafka.bootstrap_servers, "log_level": "2"}, topic=LINEAGE_TOPIC)
    with a_bridge(kafka, database_url):
        send(KafkaTransport(config), sent)
        check(kafka, sent)
