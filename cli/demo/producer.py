"""The platform's part: hand the story to Kafka as time goes by."""

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType

from confluent_kafka import Producer

from cli.demo.scenario import Message

#: What a broker that is gone may still hold up at the end.
_FLUSH_SECONDS = 1.0


class StoryTeller:
    """A thread that sends each message when its time has come; use it as a context manager.

    The key decides the partition as Java's producer would have it (murmur2), like every topic of the platform.
    """

    def __init__(self, bootstrap_servers: str, topic: str, messages: Iterable[Message]) -> None:
        """Nothing is sent yet."""
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "log_level": 2,
            }
        )
        self._topic = topic
        self._messages = messages
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="story", daemon=True)
        #: Messages sent so far.
        self.sent = 0

    def __enter__(self) -> "StoryTeller":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.flush(_FLUSH_SECONDS)

    def _tell(self) -> None:
        for message in self._messages:
            wait = (message.at - datetime.now(UTC)).total_seconds()
            if wait > 0:
                self._producer.poll(0)
            if self._stop.wait(max(wait, 0)):
                return
            self._send(message)

    def _send(self, message: Message) -> None:
        while True:
            try:
                self._producer.produce(self._topic, key=message.key, value=message.value)
            except BufferError:
                # The queue is full: the broker takes the backlog more slowly than we make it.
                self._producer.poll(0.1)
                if self._stop.is_set():
                    return
            else:
                self.sent += 1
                return
