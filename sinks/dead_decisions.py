"""Where decisions, and records of runs, go that can never be applied: a file, or the topic `decisions.dead_letter`."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from config.settings import Kafka
from dataflows.credit_runs import CreditRun
from dataflows.decisions import Decision
from sinks.kafka import Record, TopicWriter


def encode_dead_decision(decision: Decision, code: str) -> bytes:
    """One JSON object in ASCII, since what made a decision unusable may be a character that nothing else takes."""
    return json.dumps({"code": code, "decision": msgspec.to_builtins(decision)}).encode("ascii")


def encode_dead_run(run: CreditRun, code: str) -> bytes:
    """One JSON object in ASCII."""
    return json.dumps({"code": code, "credit_run": msgspec.to_builtins(run)}).encode("ascii")


def to_file(path: Path) -> Callable[[Decision, str], None]:
    """Append to a file, a line each."""

    def write(decision: Decision, code: str) -> None:
        _append(path, encode_dead_decision(decision, code))

    return write


def runs_to_file(path: Path) -> Callable[[CreditRun, str], None]:
    """Append to a file, a line each."""

    def write(run: CreditRun, code: str) -> None:
        _append(path, encode_dead_run(run, code))

    return write


def to_topic(kafka: Kafka) -> Callable[[Decision, str], None]:
    """Write to the topic; while the broker is away the stream is held back."""
    writer = TopicWriter(kafka, kafka.decisions_dead_letter_topic)

    def write(decision: Decision, code: str) -> None:
        key = decision.decision_id.encode("ascii", "backslashreplace")
        writer.write([Record(key, encode_dead_decision(decision, code), [("code", code)])])

    return write


def runs_to_topic(kafka: Kafka) -> Callable[[CreditRun, str], None]:
    """Write to the topic, by execution; while the broker is away the stream is held back."""
    writer = TopicWriter(kafka, kafka.decisions_dead_letter_topic)

    def write(run: CreditRun, code: str) -> None:
        key = run.execution_id.encode("ascii", "backslashreplace")
        writer.write([Record(key, encode_dead_run(run, code), [("code", code)])])

    return write


def _append(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line + b"\n")
