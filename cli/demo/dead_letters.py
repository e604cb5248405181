"""Read what the monitor could not use from its topic."""

from dataclasses import dataclass
from types import TracebackType
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

_BATCH = 100


@dataclass(frozen=True)
class DeadLetter:
    """Why one message was not used; what it said is not repeated."""

    code: str
    explanation: str


class DeadLetterReader:
    """Reads the topic's one partition from its beginning; use it as a context manager."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        """Contacts the broker in the background."""
        self._consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "demo", "log_level": 2})
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])

    def __enter__(self) -> "DeadLetterReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def read(self) -> list[DeadLetter]:
        """What has come since the last time; doesn't wait."""
        found = []
        for message in self._consumer.consume(_BATCH, timeout=0):
            if message.error() is None:
                headers = dict(cast("list[tuple[str, bytes]]", message.headers()))
                found.append(DeadLetter(headers["code"].decode(), headers["explanation"].decode()))
        return found
