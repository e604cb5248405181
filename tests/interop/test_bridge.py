"""`breakwater bridge`: lineage events from their own topic, as a process over the Kafka protocol."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from cli.embedded.apache_kafka import ApacheKafka
from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from dataflows.interop.event_ids import event_id_of
from lifecycle import tables
from lifecycle.seed import seed
from tests.dataflows.apache_given import Topics, environment
from tests.interop.interop_given import PATIENCE, WORLD, encoded, read_topic, wait_for

LINEAGE_TOPIC = "openlineage.events"


def lineage(number: int, event_type: str = "START", name: str = "invoices.load") -> dict[str, Any]:
    return {
        "eventType": event_type,
        "eventTime": f"2026-03-02T08:{number:02}:00Z",
        "run": {"runId": f"r{number}"},
        "job": {"namespace": "airflow", "name": name},
    }


@pytest.fixture
def world(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        seed(connection, WORLD)


@pytest.fixture
def kafka(mock_kafka: MockKafka) -> Kafka:
    mock_kafka.create_topic("run_events", 4)
    mock_kafka.create_topic("run_events.dead_letter", 1)
    mock_kafka.create_topic(LINEAGE_TOPIC, 2)
    return Kafka(bootstrap_servers=mock_kafka.bootstrap_servers)


@contextmanager
def a_bridge(kafka: Kafka, database_url: str, topic: str = LINEAGE_TOPIC) -> Iterator["subprocess.Popen[bytes]"]:
    """The command, ended in good order when the block is."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "bridge"],
        env={
            **os.environ,
            **environment(kafka),
            "BREAKWATER_POSTGRES__URL": database_url,
            "BREAKWATER_BRIDGE__LINEAGE_TOPICS": topic,
            "BREAKWATER_BRIDGE__GROUP": f"bridge-{topic}",
        },
    )
    try:
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def write(kafka: Kafka, messages: Sequence[bytes], topic: str = LINEAGE_TOPIC) -> None:
    client = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 2})
    for message in messages:
        client.produce(topic, message, b"run:airflow/invoices.load")
    assert client.flush(PATIENCE) == 0


def event_ids(kafka: Kafka, count: int) -> list[str]:
    return [json.loads(message.value() or b"")["event_id"] for message in read_topic(kafka, kafka.events_topic, count)]


def id_of(event: dict[str, Any]) -> str:
    return event_id_of(event["run"]["runId"], event["eventType"], event["eventTime"])


@pytest.mark.usefixtures("world")
def test_lineage_events_become_run_events_keyed_by_workflow(kafka: Kafka, database_url: str) -> None:
    sent = [lineage(number) for number in range(20)]
    with a_bridge(kafka, database_url):
        write(kafka, [encoded(event) for event in sent])
        messages = read_topic(kafka, "run_events", 20)
    assert {message.key() for message in messages} == {b"wf1"}
    assert [json.loads(message.value() or b"")["event_id"] for message in messages] == [id_of(event) for event in sent]


@pytest.mark.usefixtures("world")
def test_what_can_not_be_used_is_a_dead_letter_in_topic_and_table(
    kafka: Kafka, database_url: str, engine: sa.Engine
) -> None:
    unknown = encoded(lineage(1, name="nobody's"))
    write(kafka, [b"x", b"", encoded(lineage(0, "OTHER")), unknown, encoded(lineage(2))])
    with a_bridge(kafka, database_url):
        assert event_ids(kafka, 1) == [id_of(lineage(2))]
        dead = read_topic(kafka, "run_events.dead_letter", 2)
        query = sa.select(tables.dead_letters.c.code, tables.dead_letters.c.source)
        with engine.connect() as connection:
            wait_for("the rows", lambda: len(connection.execute(query).all()) == 2)
            rows = sorted(map(tuple, connection.execute(query)))
    assert sorted(message.value() or b"" for message in dead) == sorted([b"x", unknown])
    assert rows == [("not_json", LINEAGE_TOPIC), ("unknown_automation_version", LINEAGE_TOPIC)]


# The double's consumer groups let nobody in again, so whoever comes back needs a real broker.


@pytest.fixture
def topics(apache_kafka: ApacheKafka) -> Topics:
    made = Topics(apache_kafka, 2)
    for future in made.admin.create_topics([NewTopic(lineage_topic(made), 2)]).values():
        future.result()
    return made


def lineage_topic(topics: Topics) -> str:
    return topics.settings.events_topic.replace("run_events", "openlineage")


@pytest.mark.usefixtures("world")
@pytest.mark.timeout(180)
def test_a_restart_goes_on_after_what_was_acknowledged(topics: Topics, database_url: str) -> None:
    kafka, topic = topics.settings, lineage_topic(topics)
    with a_bridge(kafka, database_url, topic):
        write(kafka, [encoded(lineage(1))], topic)
        event_ids(kafka, 1)
    write(kafka, [encoded(lineage(2))], topic)
    with a_bridge(kafka, database_url, topic):
        assert event_ids(kafka, 2) == [id_of(lineage(1)), id_of(lineage(2))]


@pytest.mark.usefixtures("world")
@pytest.mark.timeout(180)
def test_after_a_kill_nothing_is_missing(topics: Topics, database_url: str) -> None:
    kafka, topic = topics.settings, lineage_topic(topics)
    sent = [lineage(number) for number in range(40)]
    with a_bridge(kafka, database_url, topic) as process:
        write(kafka, [encoded(event) for event in sent[:20]], topic)
        event_ids(kafka, 1)
        process.kill()
        process.wait()
    write(kafka, [encoded(event) for event in sent[20:]], topic)
    with a_bridge(kafka, database_url, topic):
        found: list[str] = []
        while id_of(sent[-1]) not in found:
            # What was not committed when the process died comes a second time.
            found = event_ids(kafka, len(found) + 1)
    assert set(found) == {id_of(event) for event in sent}
