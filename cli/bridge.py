"""`breakwater bridge`: lineage events from their own topics to run events, keyed by workflow (spec 10, Other inputs).

Positions are committed when the broker has acknowledged what came of the messages before them: at least once, and once
in effect, since the ids of the events follow from what they say.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Annotated, NamedTuple, TypeVar

import sqlalchemy as sa
import structlog
import typer
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from api.ingest_registry import NamesInRegistry
from cli.options import fail_usage
from config.database import make_engine
from config.kafka_client import client_settings
from config.logs import configure_logs
from config.metrics import DEAD_LETTERS, INGEST_ITEMS
from config.settings import Settings, load_settings
from dataflows.dead_letters import DeadLetter
from dataflows.interop.bridging import Bridged, bridge_message
from dataflows.sources.stop import StopRequest
from sinks.dead_letter_records import DeadLetterRecorder
from sinks.faults import Fault, classify
from sinks.kafka import DeadLetterTopic
from sinks.run_events import RunEventProducer
from sinks.store_away import StoreAwayError

#: Messages taken at once.
BATCH = 500

#: Seconds to wait for messages, and the first and longest wait before something is tried again.
_POLL = 0.5
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0

#: How long a broker has to acknowledge before the same is sent again.
_DELIVERY_TIMEOUT = timedelta(seconds=30)

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


def bridge(
    metrics_port: Annotated[int | None, typer.Option(help="Serve /metrics on this port.")] = None,
) -> None:
    """Turn lineage events of other topics into run events; SIGTERM ends it. Several share the partitions."""
    settings = load_settings()
    configure_logs(settings.log_format)
    if not [name for name in settings.bridge.lineage_topics.split(",") if name.strip()]:
        fail_usage("BREAKWATER_BRIDGE__LINEAGE_TOPICS names no topic")
    stop = StopRequest()
    stop.listen()
    if metrics_port is not None:
        from prometheus_client import start_http_server

        start_http_server(metrics_port, addr=settings.http.host)
    LineageBridge(settings, lambda: stop.requested).run()


class _StoppedError(Exception):
    """The process was asked to end while it waited. What was not committed is read again."""


class _Batch(NamedTuple):
    records: list[tuple[bytes, bytes]]
    dead_letters: list[DeadLetter]
    ignored: int


class LineageBridge:
    """Reads, maps, produces, commits; one batch after the other, for one thread."""

    def __init__(self, settings: Settings, stopping: Callable[[], bool]) -> None:
        """Contacts nothing that must be there."""
        self._stopping = stopping
        self._skew = settings.stream.max_future_skew
        self._engine = make_engine(settings.postgres)
        self._producer = RunEventProducer(settings.kafka, _DELIVERY_TIMEOUT)
        self._dead_letters = DeadLetterRecorder(DeadLetterTopic(settings.kafka).write, self._engine, self._stopping)
        self._topics = [name.strip() for name in settings.bridge.lineage_topics.split(",") if name.strip()]
        self._consumer = Consumer(
            {
                **client_settings(settings.kafka),
                "group.id": settings.bridge.group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "partition.assignment.strategy": "cooperative-sticky",
                # After so long without a sign of life another one takes over.
                "session.timeout.ms": 10_000,
                # A topic that is made later is read soon.
                "topic.metadata.refresh.interval.ms": 10_000,
            }
        )

    def run(self) -> None:
        """Go on until asked to stop. `KafkaException` on an error that does not pass."""
        self._consumer.subscribe(self._topics)
        try:
            while not self._stopping():
                messages = [message for message in self._consumer.consume(BATCH, _POLL) if _is_message(message)]
                if messages:
                    self._take(messages)
        except _StoppedError:
            _log.info("bridge_stopped_in_a_batch")
        finally:
            self._consumer.close()
            self._producer.close()
            self._engine.dispose()

    def _take(self, messages: Sequence[Message]) -> None:
        batch = self._insist(lambda: self._map(messages))
        self._insist(lambda: self._producer.send(batch.records).result())
        if batch.dead_letters:
            self._insist(lambda: self._dead_letters.write(batch.dead_letters))
        self._commit(messages)
        for outcome, count in (
            ("accepted", len(batch.records)),
            ("ignored", batch.ignored),
            ("refused", len(batch.dead_letters)),
        ):
            INGEST_ITEMS.labels("bridge", outcome).inc(count)
        for dead_letter in batch.dead_letters:
            DEAD_LETTERS.labels(dead_letter.code.value).inc()

    def _map(self, messages: Sequence[Message]) -> _Batch:
        batch = _Batch([], [], 0)
        ignored = 0
        latest = datetime.now(UTC) + self._skew
        with NamesInRegistry(self._engine.connect, None) as registry:
            for message in messages:
                outcome = bridge_message(
                    message.value() or b"",
                    _place(message),
                    latest=latest,
                    look_up=registry.look_up,
                    workflow_of=registry.workflow_of,
                )
                match outcome:
                    case Bridged():
                        batch.records.append(outcome)
                    case DeadLetter():
                        batch.dead_letters.append(outcome)
                    case None:
                        ignored += 1
        return batch._replace(ignored=ignored)

    def _commit(self, messages: Sequence[Message]) -> None:
        """Commit the position after the last message of each partition."""
        for last in {(message.topic(), message.partition()): message for message in messages}.values():
            try:
                self._consumer.commit(message=last, asynchronous=False)
            except KafkaException as error:
                # Another one reads the partition now: it does the same again, with the same ids.
                _log.warning("kafka_commit_failed", error=error.args[0].name())

    def _insist(self, do: Callable[[], _T]) -> _T:
        """Do it until it is done; wait while Kafka or the database is away. `_StoppedError` when asked to end."""
        wait = _FIRST_WAIT
        while True:
            try:
                return do()
            except KafkaException as error:
                reason = error.args[0].name()
            except sa.exc.SQLAlchemyError as error:
                if classify(error) not in (Fault.AWAY, Fault.CONFLICT):
                    raise
                reason = type(error).__qualname__
            except StoreAwayError:
                raise _StoppedError from None
            if wait == _FIRST_WAIT:
                _log.warning("bridge_waits", error=reason)
            if self._stopping():
                raise _StoppedError
            Event().wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)


def _is_message(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.fatal() or error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
        raise KafkaException(error)
    _log.warning("kafka_error", error=error.name())
    return False


def _place(message: Message) -> tuple[str, int, int]:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return topic, partition, offset
