"""Where decisions go that can never be applied: a file, or the topic `decisions.dead_letter`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from dataflows.decisions import Decision

#: How long a producer may take to hand one over before the sink gives up and the process restarts.
_FLUSH_SECONDS = 30


class DeadLetterNotWrittenError(Exception):
    """The topic did not take a decision. Nothing is lost: a restart replays it."""


def encode_dead_decision(decision: Decision, code: str) -> bytes:
    """One JSON object in ASCII, since what made a decision unusable may be a character that nothing else takes."""
    return json.dumps({"code": code, "decision": msgspec.to_builtins(decision)}).encode("ascii")


def to_file(path: Path) -> Callable[[Decision, str], None]:
    """Append to a file, a line each."""

    def write(decision: Decision, code: str) -> None:
        with path.open("ab") as file:
            file.write(encode_dead_decision(decision, code) + b"\n")

    return write


def to_topic(bootstrap_servers: str, topic: str, **settings: Any) -> Callable[[Decision, str], None]:
    """Produce to a topic, and wait until the broker has it."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, **settings})

    def write(decision: Decision, code: str) -> None:
        failed: list[object] = []
        producer.produce(
            topic,
            key=decision.decision_id.encode("ascii", "backslashreplace"),
            value=encode_dead_decision(decision, code),
            on_delivery=lambda error, _message: failed.append(error) if error is not None else None,
        )
        if producer.flush(_FLUSH_SECONDS) or failed:
            raise DeadLetterNotWrittenError(topic)

    return write
