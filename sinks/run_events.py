"""Run events from outside to their topic, each acknowledged before its sender is told so."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from config.kafka_client import client_settings
from config.settings import Kafka
from dataflows.events import MAX_MESSAGE_BYTES

#: What may wait for the broker. Those who send are bounded before this is.
_QUEUE_KBYTES = 128 << 10

_PAUSE = 0.1


class RunEventProducer:
    """Writes run events; many threads may share one.

    Keys go where a Java producer would put them, so that all events of a workflow stand in one partition in the order
    in which they were sent. After an error that its protocol can't go on from, the next call begins with a new client.
    """

    def __init__(self, kafka: Kafka, delivery_timeout: timedelta) -> None:
        """Contacts nothing yet. `delivery_timeout`: how long the broker has to acknowledge."""
        self._topic = kafka.events_topic
        self._settings: dict[str, str | int | float | bool] = {
            **client_settings(kafka),
            "enable.idempotence": True,
            "compression.type": "lz4",
            "message.max.bytes": 2 * MAX_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": _QUEUE_KBYTES,
            "delivery.timeout.ms": delivery_timeout // timedelta(milliseconds=1),
            "partitioner": "murmur2_random",
        }
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        #: Clients that can't go on, while they have records.
        self._retired: list[Producer] = []
        self._is_closed = False
        self._idle = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="run-event-reports", daemon=True)

    def send(self, records: Sequence[tuple[bytes, bytes]]) -> "Future[None]":
        """Write (key, value) pairs in their order; the future is done when the broker has all of them.

        It holds a `KafkaException` when that is not sure of one of them: others may be there, and whoever sends all
        again sends the same event ids.
        """
        batch = _Batch(len(records))
        with self._lock:
            producer = self._client()
            for key, value in records:
                if batch.has_failed:
                    batch.failed(KafkaError(KafkaError._FAIL))  # noqa: SLF001  (their name for an error of one's own)
                    continue
                try:
                    producer.produce(self._topic, value, key, on_delivery=batch.delivered)
                except BufferError:
                    batch.failed(KafkaError(KafkaError._QUEUE_FULL))  # noqa: SLF001
                except KafkaException as error:
                    batch.failed(error.args[0])
        return batch.future

    def close(self) -> None:
        """Wait for what is under way, at most as long as the broker has for it."""
        with self._lock:
            self._is_closed = True
            began = self._poller.is_alive()
        if began:
            self._poller.join()
        if self._producer is not None:
            self._producer.flush()

    def _client(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._settings)
            if not self._poller.is_alive():
                self._poller.start()
        return self._producer

    def _poll(self) -> None:
        """Serve the reports."""
        while not self._is_closed:
            with self._lock:
                self._retired = [client for client in self._retired if len(client)]
                clients = [*self._retired, *([self._producer] if self._producer else [])]
            if not clients:
                self._idle.wait(_PAUSE)
            for client in clients:
                self._serve(client, _PAUSE / len(clients))

    def _serve(self, client: Producer, seconds: float) -> None:
        try:
            client.poll(seconds)
        except KafkaException:
            # It can't go on, and still has to say of each of its records that it failed.
            with self._lock:
                if client is self._producer:
                    self._producer = None
                    self._retired.append(client)


class _Batch:
    """Counts the reports of records that were sent together."""

    def __init__(self, size: int) -> None:
        self.future: Future[None] = Future()
        self.has_failed = False
        self._error: KafkaError | None = None
        self._open = size
        self._lock = threading.Lock()
        if size == 0:
            self.future.set_result(None)

    def delivered(self, error: KafkaError | None, message: Message) -> None:  # noqa: ARG002  (their signature)
        self._count(error)

    def failed(self, error: KafkaError) -> None:
        self.has_failed = True
        self._count(error)

    def _count(self, error: KafkaError | None) -> None:
        with self._lock:
            self._error = self._error or error
            self._open -= 1
            if self._open:
                return
        if self._error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(KafkaException(self._error))
