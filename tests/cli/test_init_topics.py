"""`breakwater init-topics`. Making topics needs a real broker: the embedded one knows no such request."""

import socket

import pytest
from typer.testing import CliRunner

from cli.embedded.kafka import MockKafka
from cli.init_topics import topics_of
from cli.main import app
from config.settings import Kafka
from sinks.kafka import MAX_MESSAGE_BYTES

NAMES = [
    "run_events",
    "monitor_control",
    "automation_status_changed",
    "run_events.dead_letter",
    "decisions.dead_letter",
]


def test_topics_that_are_there_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockKafka() as mock:
        for partitions, name in enumerate(NAMES, 1):
            mock.create_topic(name, partitions)
        monkeypatch.setenv("BREAKWATER_KAFKA__BOOTSTRAP_SERVERS", mock.bootstrap_servers)
        result = CliRunner().invoke(app, ["init-topics", "--partitions", "7"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        f"{name}: is there, {partitions} partitions" for partitions, name in enumerate(NAMES, 1)
    ]


def test_nobody_there_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        where = f"127.0.0.1:{deaf.getsockname()[1]}"
        monkeypatch.setenv("BREAKWATER_KAFKA__BOOTSTRAP_SERVERS", where)
        result = CliRunner().invoke(app, ["init-topics"])
    assert result.exit_code == 2
    assert result.output == f"breakwater: no Kafka broker answers at {where} (_TRANSPORT)\n"


def test_control_events_are_cut_like_the_events_and_dead_letters_have_room() -> None:
    topics = topics_of(Kafka(), 24, 3)
    assert [(topic.topic, topic.num_partitions, topic.replication_factor) for topic in topics] == [
        ("run_events", 24, 3),
        ("monitor_control", 24, 3),
        ("automation_status_changed", 24, 3),
        ("run_events.dead_letter", 1, 3),
        ("decisions.dead_letter", 1, 3),
    ]
    assert [topic.config.get("max.message.bytes") for topic in topics[3:]] == [str(MAX_MESSAGE_BYTES)] * 2


def test_every_topic_of_the_settings_is_made() -> None:
    changed = {name: f"a_{name}" for name in Kafka.model_fields if name.endswith("_topic")}
    assert {topic.topic for topic in topics_of(Kafka().model_copy(update=changed), 1, 1)} == set(changed.values())
