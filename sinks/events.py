"""Lifecycle events to Kafka: for other systems as CloudEvents, and back to the monitor as control events."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from config.settings import Kafka
from lifecycle.control_events import BROADCAST_TYPES, CONTROL_TYPES
from lifecycle.outbox import OutboxEvent
from lifecycle.transitions import STATUS_CHANGED
from sinks.kafka import Record, TopicWriter

#: `source` of all events, a relative URI as CloudEvents wants it.
SOURCE = "/breakwater/lifecycle"

#: An event that no broker took waits in the outbox, not in here: a try holds a row and keeps a worker from ending.
DELIVERY_TIMEOUT = timedelta(seconds=10)


class EventPublisher:
    """Publishes an event; durable at the broker when the call returns.

    At least once: a repeat has the same event id. `KafkaException` when the broker did not take it, and then the
    job tries again; of two topics the first may have it by then.
    """

    def __init__(self, kafka: Kafka) -> None:
        """Contacts nothing yet."""
        self._events = TopicWriter(kafka, kafka.status_topic, DELIVERY_TIMEOUT)
        self._control = TopicWriter(kafka, kafka.control_topic, DELIVERY_TIMEOUT)

    def __call__(self, event: OutboxEvent) -> None:
        """Publish to the topic for everybody, and what the monitor must know to its own."""
        if event.type in BROADCAST_TYPES:
            # No key decides where it goes. A partition that the topic has yet to grow is told when the monitor starts.
            record = _control_record(event.message_key, event.payload)
            self._control.write([record._replace(partition=number) for number in self._control.partitions()])
            return
        if event.type in CONTROL_TYPES:
            self._control.write([_control_record(event.message_key, event.payload)])
            return
        self._events.write([to_cloud_event(event)])
        if event.type == STATUS_CHANGED:
            self._control.write([to_control_event(event)])


def to_cloud_event(event: OutboxEvent) -> Record:
    """CloudEvents 1.0, Kafka binding, binary mode: attributes in headers, the data as the value."""
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_specversion", "1.0"),
        ("ce_id", event.event_id),
        ("ce_type", event.type),
        ("ce_source", SOURCE),
        ("ce_subject", event.subject),
        ("ce_time", event.occurred_at.isoformat()),
        ("ce_partitionkey", event.message_key),
        ("content-type", "application/json"),
    ]
    return Record(event.message_key.encode(), json.dumps(dict(event.payload)).encode(), headers)


def to_control_event(event: OutboxEvent) -> Record:
    """A status change as the detectors read it (spec 20.2), keyed as run events are, by workflow."""
    value = {
        "kind": STATUS_CHANGED,
        "event_id": event.event_id,
        "tenant_id": event.tenant_id,
        "workflow_id": event.message_key,
        "automation_version_id": event.subject,
        "from_status": event.payload["from"],
        "to_status": event.payload["to"],
        "occurred_at": event.occurred_at.isoformat(),
    }
    return _control_record(event.message_key, value)


def _control_record(workflow_id: str, value: Mapping[str, Any]) -> Record:
    return Record(workflow_id.encode(), json.dumps(dict(value)).encode(), [("content-type", "application/json")])
