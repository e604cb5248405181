"""Lifecycle events reach their topics: CloudEvents for everybody, control events that the monitor can read."""

import json
from datetime import UTC, datetime

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from dataflows.events import AutomationStatus, AutomationStatusChanged
from lifecycle.outbox import OutboxEvent
from sinks.events import EventPublisher, to_control_event
from tests.given import decide

EVENT = OutboxEvent(
    event_id="00000000-0000-5000-8000-00000000000e",
    type="automation_status_changed",
    tenant_id="t1",
    subject="v1",
    message_key="wf1",
    occurred_at=datetime(2026, 3, 2, 8, 0, 0, 250_000, tzinfo=UTC),
    payload={"event_id": "00000000-0000-5000-8000-00000000000e", "from": "Blocked", "to": "Live", "tenant_id": "t1"},
)


def read_one(bootstrap_servers: str, topic: str) -> Message:
    """The only message of a topic with one partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    assert message.error() is None
    return message


def test_an_event_goes_to_everybody_and_to_the_monitor(mock_kafka: MockKafka) -> None:
    kafka = Kafka(bootstrap_servers=mock_kafka.bootstrap_servers)
    for topic in (kafka.status_topic, kafka.control_topic):
        mock_kafka.create_topic(topic, 1)
    EventPublisher(kafka)(EVENT)

    message = read_one(kafka.bootstrap_servers, "automation_status_changed")
    headers = dict(message.headers() or [])
    assert message.key() == b"wf1"
    assert (headers["ce_specversion"], headers["ce_id"], headers["ce_type"]) == (
        b"1.0",
        EVENT.event_id.encode(),
        b"automation_status_changed",
    )
    assert datetime.fromisoformat(headers["ce_time"].decode()) == EVENT.occurred_at
    assert json.loads(message.value() or b"") == dict(EVENT.payload)

    control = read_one(kafka.bootstrap_servers, "monitor_control")
    assert control.key() == b"wf1"
    assert json.loads(control.value() or b"")["kind"] == "automation_status_changed"


def test_the_monitor_understands_a_control_event() -> None:
    line = json.loads(to_control_event(EVENT).value)
    read = msgspec.convert(line, AutomationStatusChanged)
    assert (read.from_status, read.to_status) == (AutomationStatus.BLOCKED, AutomationStatus.LIVE)
    assert (read.tenant_id, read.workflow_id, read.automation_version_id) == ("t1", "wf1", "v1")
    assert read.occurred_at == EVENT.occurred_at
    assert decide(line) == []
