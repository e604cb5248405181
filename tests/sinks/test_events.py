"""Lifecycle events reach their topics: CloudEvents for everybody, control events that the monitor can read."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
import sqlalchemy as sa
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from dataflows.events import (
    AutomationStatus,
    AutomationStatusChanged,
    ControlEvent,
    CredentialEvent,
    HoldEnded,
    SystemConfigChanged,
    WorkflowReleased,
)
from lifecycle import tables
from lifecycle.actors import WORKER
from lifecycle.control_events import ControlKind, put_control_event
from lifecycle.outbox import OutboxEvent
from lifecycle.system_config import ConfigKey, change_system_config
from sinks.events import EventPublisher, to_control_event
from tests.given import decide
from tests.lifecycle.given import given_world, row

EVENT = OutboxEvent(
    event_id="00000000-0000-5000-8000-00000000000e",
    type="automation_status_changed",
    tenant_id="t1",
    subject="v1",
    message_key="wf1",
    occurred_at=datetime(2026, 3, 2, 8, 0, 0, 250_000, tzinfo=UTC),
    payload={"event_id": "00000000-0000-5000-8000-00000000000e", "from": "Blocked", "to": "Live", "tenant_id": "t1"},
)


def read_one(bootstrap_servers: str, topic: str, partition: int = 0) -> Message:
    """The only message of a partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
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


CONTROL_FIELDS: dict[ControlKind, tuple[dict[str, str], type[ControlEvent]]] = {
    ControlKind.CREDENTIAL_EVENT: ({"system_key": "crm", "status": "revoked"}, CredentialEvent),
    ControlKind.HOLD_ENDED: (
        {"system_key": "crm", "from": "2026-03-02T08:00:00+00:00", "to": "2026-03-02T09:00:00+00:00"},
        HoldEnded,
    ),
    ControlKind.WORKFLOW_RELEASED: ({}, WorkflowReleased),
}


@pytest.mark.parametrize("kind", ControlKind)
def test_a_control_event_goes_to_the_monitor_alone_and_is_understood(
    engine: sa.Engine, mock_kafka: MockKafka, kind: ControlKind
) -> None:
    given_world(engine)
    fields, form = CONTROL_FIELDS[kind]
    for _ in range(2):
        with engine.begin() as connection:
            put_control_event(
                connection,
                kind=kind,
                cause="because",
                tenant_id="t1",
                workflow_id="wf1",
                occurred_at=EVENT.occurred_at,
                fields=fields,
            )
    stored = row(engine, tables.outbox_events)
    kafka = Kafka(bootstrap_servers=mock_kafka.bootstrap_servers)
    mock_kafka.create_topic(kafka.control_topic, 1)
    EventPublisher(kafka)(replace(EVENT, event_id=stored["event_id"], type=stored["type"], payload=stored["payload"]))
    message = read_one(kafka.bootstrap_servers, kafka.control_topic)
    line = json.loads(message.value() or b"")
    read = msgspec.convert(line, form)
    assert message.key() == b"wf1"
    assert (read.tenant_id, read.workflow_id, read.occurred_at) == ("t1", "wf1", EVENT.occurred_at)


def test_what_is_about_no_workflow_goes_to_all_partitions(engine: sa.Engine, mock_kafka: MockKafka) -> None:
    given_world(engine)
    with engine.begin() as connection:
        made = change_system_config(connection, {ConfigKey.STUCK_THRESHOLD: 3}, actor_context=WORKER)
    assert made is not None
    stored = row(engine, tables.outbox_events)
    kafka = Kafka(bootstrap_servers=mock_kafka.bootstrap_servers)
    mock_kafka.create_topic(kafka.control_topic, 3)
    EventPublisher(kafka)(OutboxEvent(**{name: stored[name] for name in OutboxEvent.__dataclass_fields__}))
    for partition in range(3):
        message = read_one(kafka.bootstrap_servers, kafka.control_topic, partition)
        line = json.loads(message.value() or b"")
        read = msgspec.convert(line, SystemConfigChanged)
        assert (read.version, read.stuck_threshold, read.stuck_window_minutes) == (made.version, 3, None)
        assert read.occurred_at == made.effective_at
        assert decide(line) == []
