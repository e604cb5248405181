"""Decisions that can never be applied, and runs that the ledger refuses, are kept, whatever is in them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from dataflows.credit_runs import CreditRun
from dataflows.decisions import Decision
from sinks.dead_decisions import to_file, to_topic
from tests.sinks.given import blocks, stuck
from tests.sinks.test_ledger import run

UNUSABLE = [
    pytest.param(stuck("x\x00"), id="NUL"),
    pytest.param(blocks("\ud800"), id="half a character"),
    pytest.param(blocks("naïve\n"), id="a line end"),
    pytest.param(run(execution_id="ü\n", model="\x00"), id="a run"),
]


def as_json(said: Decision | CreditRun) -> dict[str, Any]:
    """What is kept of it, under its name."""
    return {"decision" if isinstance(said, Decision) else "credit_run": msgspec.to_builtins(said)}


@pytest.mark.parametrize("said", UNUSABLE)
def test_a_file_takes_one_line_each(tmp_path: Path, said: Decision | CreditRun) -> None:
    path = tmp_path / "dead.jsonl"
    write = to_file(path)
    write(said, "unstorable")
    write(said, "unstorable")
    first, second = path.read_bytes().splitlines()
    assert first == second
    kept = json.loads(first)
    assert kept == {"code": "unstorable", **as_json(said)}


@pytest.mark.parametrize("said", UNUSABLE)
def test_a_topic_has_it_when_the_writer_returns(mock_kafka: MockKafka, said: Decision | CreditRun) -> None:
    mock_kafka.create_topic("decisions.dead_letter", 1)
    to_topic(Kafka(bootstrap_servers=mock_kafka.bootstrap_servers))(said, "unstorable")
    consumer = Consumer({"bootstrap.servers": mock_kafka.bootstrap_servers, "group.id": "reader"})
    consumer.assign([TopicPartition("decisions.dead_letter", 0, OFFSET_BEGINNING)])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    assert json.loads(message.value() or b"") == {"code": "unstorable", **as_json(said)}
    name = said.decision_id if isinstance(said, Decision) else said.execution_id
    assert message.key() == name.encode("ascii", "backslashreplace")
