"""`breakwater init-topics`. Making topics needs a real broker: the embedded one knows no such request."""

import socket

import pytest
from typer.testing import CliRunner

from cli.embedded.kafka import MockKafka
from cli.init_topics import EVENT_TOPIC_LIMIT, topics_of
from cli.main import app
from config.settings import Kafka
from dataflows.events import MAX_MESSAGE_BYTES as MAX_EVENT_BYTES
from sinks.kafka import MAX_MESSAGE_BYTES

NAMES = [
    "run_events",
    "monitor_control",
    "automation_status_changed",
    "credential_events",
    "execution_requests",
    "execution_jobs",
    "run_events.dead_letter",
    "decisions.dead_letter",
    "execution_requests.dead_letter",
]


def test_topics_that_are_there_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockKafka() as mock:
        for partitions, name in enumerate(NAMES, 1):
            mock.create_topic(name, partitions)
        monkeypatch.setenv("BREAKWATER_KAFKA__BOOTSTRAP_SERVERS", mock.bootstrap_servers)
        result = CliRunner().invoke(app, ["init-topics", "--partitions", "7"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"{name}: is there, {partitions} partition{'s' if partitions > 1 else ''}"
        for partitions, name in enumerate(NAMES, 1)
    ]
    assert result.stderr.splitlines() == [
        f"breakwater: {name} has {partitions} partitions, not 7: how to grow it is told in docs/kafka.md"
        for partitions, name in enumerate(NAMES[:3], 1)
    ]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        pytest.param(9, "run_events has 6 partitions: 9 is no multiple of it, workflows would change their lanes; 12"),
        pytest.param(5, "run_events has 6 partitions: Kafka can't take any away"),
    ],
    ids=["no multiple", "fewer"],
)
def test_growth_that_would_tear_workflows_apart_is_refused(
    monkeypatch: pytest.MonkeyPatch, wish: int, said: str
) -> None:
    with MockKafka() as mock:
        mock.create_topic("run_events", 6)
        monkeypatch.setenv("BREAKWATER_KAFKA__BOOTSTRAP_SERVERS", mock.bootstrap_servers)
        result = CliRunner().invoke(app, ["init-topics", "--grow", "--partitions", str(wish)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"breakwater: {said}")
    assert result.stdout == "", "nothing was made"


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
        ("credential_events", 24, 3),
        ("execution_requests", 24, 3),
        ("execution_jobs", 24, 3),
        ("run_events.dead_letter", 1, 3),
        ("decisions.dead_letter", 1, 3),
        ("execution_requests.dead_letter", 1, 3),
    ]
    limits = [int(topic.config["max.message.bytes"]) for topic in topics]
    assert limits == [EVENT_TOPIC_LIMIT] * 6 + [MAX_MESSAGE_BYTES] * 3
    assert MAX_EVENT_BYTES < EVENT_TOPIC_LIMIT < MAX_MESSAGE_BYTES


def test_every_topic_of_the_settings_is_made() -> None:
    changed = {name: f"a_{name}" for name in Kafka.model_fields if name.endswith("_topic")}
    assert {topic.topic for topic in topics_of(Kafka().model_copy(update=changed), 1, 1)} == set(changed.values())
