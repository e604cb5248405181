"""Decisions that can never be applied are kept, whatever is in them."""

import json
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from dataflows.decisions import Decision
from sinks.dead_decisions import to_file, to_topic
from tests.sinks.given import blocks, stuck

UNUSABLE = [
    pytest.param(stuck("x\x00"), id="NUL"),
    pytest.param(blocks("\ud800"), id="half a character"),
    pytest.param(blocks("naïve\n"), id="a line end"),
]


@pytest.mark.parametrize("said", UNUSABLE)
def test_a_file_takes_one_line_each(tmp_path: Path, said: Decision) -> None:
    path = tmp_path / "dead.jsonl"
    write = to_file(path)
    write(said, "unstorable")
    write(said, "unstorable")
    first, second = path.read_bytes().splitlines()
    assert first == second
    kept = json.loads(first)
    assert kept["code"] == "unstorable"
    assert kept["decision"]["decision_id"] == said.decision_id
    assert kept["decision"]["detail"] == said.detail


@pytest.mark.parametrize("said", UNUSABLE)
def test_a_topic_has_it_when_the_writer_returns(mock_kafka: MockKafka, said: Decision) -> None:
    mock_kafka.create_topic("decisions.dead_letter", 1)
    to_topic(Kafka(bootstrap_servers=mock_kafka.bootstrap_servers))(said, "unstorable")
    consumer = Consumer({"bootstrap.servers": mock_kafka.bootstrap_servers, "group.id": "reader"})
    consumer.assign([TopicPartition("decisions.dead_letter", 0, OFFSET_BEGINNING)])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    kept = json.loads(message.value() or b"")
    assert (kept["code"], kept["decision"]["detail"]) == ("unstorable", said.detail)
