"""Credential events from Kafka, read by `breakwater worker` beside its jobs (30.4).

At least once: a position is committed when the event's transaction is, and an event id counts once. A message that
can't be used is a row of the dead letters, and stays where it is in its topic.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread
from types import TracebackType

import sqlalchemy as sa
import structlog
from confluent_kafka import Consumer, KafkaException, Message

from config.kafka_client import client_settings
from config.metrics import DEAD_LETTERS, INGEST_ITEMS
from config.settings import Settings
from dataflows.credential_messages import decode_credential_message
from dataflows.dead_letters import Unusable
from lifecycle.actors import ActorContext
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.credentials import record_credential_event
from lifecycle.dead_letters import DeadLetterRow, record_dead_letters
from lifecycle.errors import LifecycleError
from lifecycle.kinds import CredentialStatus
from lifecycle.options import LifecycleOptions
from sinks.faults import Fault, classify

#: Who says so: whoever may write to the topic.
INTEGRATION_MONITOR = ActorContext(
    actor="service:integration_monitor", invoked_via="credential_events", capabilities=CAPABILITIES[Role.SERVICE]
)

#: The tenant has no such credential.
UNKNOWN_CREDENTIAL = "unknown_credential"

_POLL = 0.5
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_TRIES_OF_A_CONFLICT = 10

_log = structlog.get_logger(__name__)


class CredentialInput:
    """Reads the topic in a thread of its own while it is open; several processes share the partitions."""

    def __init__(self, settings: Settings, engine: sa.Engine, options: LifecycleOptions) -> None:
        """Contacts nothing yet."""
        self._settings = settings
        self._engine = engine
        self._options = options
        self._stop = Event()
        self._thread = Thread(target=self._run, name="credential_events", daemon=True)

    def __enter__(self) -> "CredentialInput":
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Finish the event under way, leave the group."""
        self._stop.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            consumer = Consumer(
                {
                    **client_settings(self._settings.kafka),
                    "group.id": self._settings.kafka.credential_group,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "isolation.level": "read_committed",
                    "session.timeout.ms": 10_000,
                    # The topic may be made later.
                    "topic.metadata.refresh.interval.ms": 10_000,
                }
            )
            try:
                consumer.subscribe([self._settings.kafka.credential_topic])
                self._read(consumer)
            except Exception as error:  # noqa: BLE001  (mail must go out whatever comes in here)
                # Its text may quote what the message held. What was not committed is read again.
                _log.error("credential_events_stand_still", error=type(error).__qualname__)
                self._stop.wait(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            finally:
                consumer.close()

    def _read(self, consumer: Consumer) -> None:
        is_away = False
        while not self._stop.is_set():
            message = consumer.poll(_POLL)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.fatal():
                    raise KafkaException(error)
                if not is_away:
                    _log.warning("kafka_error", topic=self._settings.kafka.credential_topic, error=error.name())
                is_away = True
                continue
            is_away = False
            if self._insist(lambda message=message: self._take(message)):  # type: ignore[misc]
                consumer.commit(message=message, asynchronous=False)

    def _take(self, message: Message) -> None:
        raw = message.value() or b""
        latest = datetime.now(UTC) + self._settings.stream.max_future_skew
        try:
            found = decode_credential_message(raw, latest)
            with self._engine.begin() as connection:
                result = record_credential_event(
                    connection,
                    tenant_id=found.tenant_id,
                    credential_id=found.credential_id,
                    status=CredentialStatus(found.status),
                    occurred_at=found.occurred_at,
                    event_id=found.event_id,
                    actor_context=INTEGRATION_MONITOR,
                    options=self._options,
                )
        except Unusable as fault:
            self._refuse(message, raw, fault.code, fault.explanation)
        except LifecycleError as refusal:
            self._refuse(message, raw, UNKNOWN_CREDENTIAL, refusal.message)
        else:
            INGEST_ITEMS.labels("credential_events", "accepted").inc()
            _log.info("credential_event", outcome=result.outcome, status=result.status, unblocked=len(result.unblocked))

    def _refuse(self, message: Message, raw: bytes, code: str, explanation: str) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        row = DeadLetterRow(
            source=topic,
            partition=partition,
            offset=offset,
            code=str(code),
            explanation=explanation,
            sha256=hashlib.sha256(raw).hexdigest(),
            size=len(raw),
        )
        with self._engine.begin() as connection:
            record_dead_letters(connection, [row])
        INGEST_ITEMS.labels("credential_events", "refused").inc()
        DEAD_LETTERS.labels(str(code)).inc()

    def _insist(self, do: Callable[[], None]) -> bool:
        """Do it until it is done; False when it was asked to stop meanwhile."""
        wait, conflicts = _FIRST_WAIT, 0
        while True:
            try:
                do()
            except sa.exc.SQLAlchemyError as error:
                fault = classify(error)
                conflicts += fault is Fault.CONFLICT
                if fault not in (Fault.AWAY, Fault.CONFLICT) or conflicts > _TRIES_OF_A_CONFLICT:
                    raise
            else:
                return True
            if wait == _FIRST_WAIT:
                _log.warning("credential_events_wait", fault=fault)
            if self._stop.wait(wait):
                return False
            wait = min(2 * wait, _LONGEST_WAIT)
