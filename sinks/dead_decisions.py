"""Where decisions, and records of runs, go that can never be applied: a file, or the topic `decisions.dead_letter`."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from config.settings import Kafka
from dataflows.credit_runs import CreditRun
from dataflows.decisions import Decision
from sinks.kafka import Record, TopicWriter

DeadWriter = Callable[[Decision | CreditRun, str], None]
"""Takes what can't be applied and one word on why; what it took is durable when it returns."""


def encode_dead(said: Decision | CreditRun, code: str) -> bytes:
    """One JSON object in ASCII, since what made it unusable may be a character that nothing else takes."""
    name = "decision" if isinstance(said, Decision) else "credit_run"
    return json.dumps({"code": code, name: msgspec.to_builtins(said)}).encode("ascii")


def to_file(path: Path) -> DeadWriter:
    """Append to a file, a line each."""

    def write(said: Decision | CreditRun, code: str) -> None:
        with path.open("ab") as file:
            file.write(encode_dead(said, code) + b"\n")

    return write


def to_topic(kafka: Kafka) -> DeadWriter:
    """Write to the topic, by decision or execution; while the broker is away the stream is held back."""
    writer = TopicWriter(kafka, kafka.decisions_dead_letter_topic)

    def write(said: Decision | CreditRun, code: str) -> None:
        name = said.decision_id if isinstance(said, Decision) else said.execution_id
        key = name.encode("ascii", "backslashreplace")
        writer.write([Record(key, encode_dead(said, code), [("code", code)])])

    return write
