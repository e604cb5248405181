"""CloudEvents among run events on the same topic: the source reads them in place."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer

from cli.embedded.apache_kafka import ApacheKafka
from dataflows.interop.event_ids import event_id_of
from tests.dataflows.apache_given import Topics
from tests.dataflows.kafka_given import PATIENCE, Broker, Clock, Monitor, a_broker
from tests.given import denied, time

Write = Callable[[bytes, dict[str, bytes]], None]


def run_without(number: int, *names: str) -> dict[str, Any]:
    return {name: value for name, value in denied(number, f"x{number}").items() if name not in names}


def write_all(write: Write) -> None:
    """A plain run event, one in each mode that relies on its envelope, one that can't be used, a plain one."""
    write(json.dumps(denied(0, "x0")).encode(), {})
    for number, to_message in ((1, kafka.to_structured_event), (2, kafka.to_binary_event)):
        attributes = {"id": str(number), "source": "/jobs", "type": "run", "time": time(number)}
        message = to_message(CloudEvent(attributes, run_without(number, "event_id", "occurred_at")))
        write(message.value, message.headers)
    write(b"{}", {"content-type": b"application/cloudevents+json"})
    write(json.dumps(denied(3, "x3")).encode(), {"content-type": b"application/json"})


def check(monitor: Monitor) -> None:
    """All but the bad one are events, and what they say is judged."""
    monitor.wait_for_events(4)
    assert [event.execution_id for _, event in monitor.events] == ["x0", "x1", "x2", "x3"]
    assert [event.event_id for _, event in monitor.events][1:3] == [
        event_id_of("/jobs", "1"),
        event_id_of("/jobs", "2"),
    ]
    assert [event.occurred_at for _, event in monitor.events] == [time(number) for number in range(4)]
    (dead_letter,) = monitor.dead_letters
    assert (dead_letter.code.value, dead_letter.raw, dead_letter.position.offset) == ("missing_field", b"{}", 3)
    assert [decision.kind.value for decision in monitor.decisions] == ["block_for_credentials"]


def writer(broker: Broker | Topics, client: Producer) -> Write:
    def write(value: bytes, headers: dict[str, bytes]) -> None:
        client.produce(broker.settings.events_topic, value, b"wf1", partition=0, headers=list(headers.items()))
        assert client.flush(PATIENCE) == 0

    return write


def test_both_modes_are_read_over_the_protocol() -> None:
    with a_broker(1) as broker:
        write_all(writer(broker, Producer({"bootstrap.servers": broker.mock.bootstrap_servers, "log_level": 2})))
        with Monitor(broker, Clock(time(5))) as monitor:
            check(monitor)


def test_of_one_that_can_not_be_used_the_run_event_is_kept_so_that_it_can_be_fed_in_again() -> None:
    refused = {**run_without(1, "event_id", "occurred_at"), "http_status": 7}
    message = kafka.to_binary_event(CloudEvent({"id": "1", "source": "/jobs", "type": "run", "time": time(1)}, refused))
    with a_broker(1) as broker:
        write = writer(broker, Producer({"bootstrap.servers": broker.mock.bootstrap_servers, "log_level": 2}))
        write(message.value, message.headers)
        with Monitor(broker, Clock(time(5))) as monitor:
            monitor.wait_for("a dead letter", lambda: monitor.dead_letters)
            (dead_letter,) = monitor.dead_letters
    expected = {**refused, "event_id": event_id_of("/jobs", "1"), "occurred_at": time(1).isoformat()}
    assert (dead_letter.code.value, json.loads(dead_letter.raw)) == ("invalid_field", expected)
    assert dead_letter.size == len(dead_letter.raw)


@pytest.mark.timeout(180)
def test_both_modes_are_read_from_apache_kafka(apache_kafka: ApacheKafka) -> None:
    topics = Topics(apache_kafka, 1)
    write_all(writer(topics, topics.producer()))
    with Monitor(topics, Clock(time(5))) as monitor:  # type: ignore[arg-type]  # its settings are all that is read
        check(monitor)
