"""The logs of a lane, read as one stream in the order in which it was written.

A control event must not reach a detector hours before the run events that were written before it: it would move
the watermark past all of them. So, as Kafka Streams does, the topic whose next message was written first goes
first, and a topic with nothing at hand is waited for until it is known to have no more (for a short while).
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from confluent_kafka import Message

#: How long one topic may keep the others waiting: its broker may be away. Long enough for an election.
PATIENCE = timedelta(seconds=10)


class Log(Protocol):
    """What is asked of one topic's partition; see `TopicLog`."""

    topic: str
    name: str

    @property
    def head(self) -> int | None:
        """When the next message was written, in milliseconds; None when there is none at hand."""

    @property
    def at_end(self) -> bool:
        """Whether nothing more was in the log when it was last looked at."""

    def read(self) -> None:
        """Take over what was fetched."""

    def take(self, before: int | None = None) -> list[Message]:
        """Hand out messages at hand, those written before a time."""


class CoPartition:
    """Reads logs side by side. Of two messages written in the same millisecond the earlier log's goes first."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = logs
        self._waiting_since: float | None = None

    def take(self) -> list[tuple[Log, list[Message]]]:
        """What can be handed on now, in order; messages of one log that follow each other stand together."""
        for log in self._logs:
            log.read()
        out = []
        while heads := [(log.head, place) for place, log in enumerate(self._logs) if log.head is not None]:
            if len(heads) == len(self._logs):
                self._waiting_since = None
            elif self._must_wait():
                break
            place = min(heads)[1]
            before = min((other + (place < index) for other, index in heads if index != place), default=None)
            out.append((self._logs[place], self._logs[place].take(before)))
        return out

    def _must_wait(self) -> bool:
        if all(log.at_end for log in self._logs if log.head is None):
            self._waiting_since = None
            return False
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        return now - self._waiting_since < PATIENCE.total_seconds()
