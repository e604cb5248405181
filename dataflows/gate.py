"""The dataflow `gate`: requests to start runs in, jobs and refusals out, each exactly once (40.5).

A batch of requests is answered, which commits to Postgres; then what is written of it and the group's positions are
committed to Kafka in one transaction. Wherever it dies: what Kafka has not committed is read again and gets the same
answers, which name the position of the request that they were given to; so it is written once.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from hashlib import sha256
from threading import Event
from typing import NamedTuple, TypeVar
from uuid import uuid4

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from config.kafka_client import client_settings
from config.metrics import ADMISSIONS, DEAD_LETTERS, ENFORCEMENT_PROPAGATION
from config.settings import Gate, Kafka
from dataflows.dead_letters import DeadLetter, Position, Unusable
from dataflows.events import MAX_MESSAGE_BYTES
from dataflows.gate_messages import Admitted, Outcome, Output, Refused, RunRequest, decode_request, write

#: Seconds for one call; it is made again while nothing worse is wrong.
_CALL = 10.0
_POLL = 0.02
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0

#: A gate that died holds up what stands behind its last transaction for so long; one with a name, until it is back.
_TRANSACTION = timedelta(seconds=10)
_SESSION = timedelta(seconds=10)

#: While Postgres is away the gate waits in the middle of a batch; nobody else could go on either.
_LONGEST_OUTAGE = timedelta(hours=1)

_SMALLEST_BATCH = 50

_FENCED = {
    KafkaError._FENCED,  # noqa: SLF001  (their name for errors that don't come from a broker)
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.FENCED_INSTANCE_ID,
}

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class Asked(NamedTuple):
    """A request, and where it stands: `topic/partition/offset`."""

    request: RunRequest
    position: str


#: Answers requests in their order, durably. `AwayError` while it can't.
Admit = Callable[[Sequence[Asked]], Sequence[Outcome]]


class LetterRecord(NamedTuple):
    """A dead letter as it is written."""

    key: bytes
    value: bytes
    headers: list[tuple[str, str | bytes | None]]


class AwayError(Exception):
    """Nobody can answer now. Nothing is admitted until somebody can."""


class StoppedError(Exception):
    """The process was asked to end while it waited. What was not committed is read again."""


class _StaleError(Exception):
    """The answers have become too old to be let out; they are asked for again."""


class _Next(Enum):
    """What a failed call leaves to be done."""

    AGAIN = auto()  #: the same call
    ABORT = auto()  #: the transaction is lost, the client is not
    RENEW = auto()  #: the client is lost


class GateLoop:
    """Reads, asks, writes; one batch after the other, for one thread."""

    def __init__(
        self,
        kafka: Kafka,
        gate: Gate,
        admit: Admit,
        letter_record: Callable[[DeadLetter, datetime], LetterRecord],
        stopping: Callable[[], bool],
        name: str | None = None,
    ) -> None:
        """Contacts nothing yet. `name`: what no other running gate is called, and this one again after a restart."""
        self._kafka, self._gate = kafka, gate
        self._admit, self._letter_record = admit, letter_record
        self._stopping = stopping
        self._transactional_id = f"{gate.group}.{name or uuid4().hex}"
        self._topics = {Output.JOBS: kafka.jobs_topic, Output.EVENTS: kafka.events_topic}
        self._size = gate.batch
        self._producer: Producer | None = None
        self._consumer = Consumer(
            {
                **client_settings(kafka),
                "group.id": gate.group,
                **({} if name is None else {"group.instance.id": f"{gate.group}.{name}"}),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": _SESSION // timedelta(milliseconds=1),
                "max.poll.interval.ms": _LONGEST_OUTAGE // timedelta(milliseconds=1),
                "fetch.wait.max.ms": max(1, kafka.fetch_wait // timedelta(milliseconds=1)),
                "queued.max.messages.kbytes": 64 << 10,
                "topic.metadata.refresh.interval.ms": 10_000,
            }
        )

    def run(self) -> None:
        """Go on until asked to stop. `KafkaException` on an error that does not pass."""
        try:
            self._client()
            self._consumer.subscribe([self._kafka.requests_topic])
            while not self._stopping():
                messages = [one for one in self._consumer.consume(self._size, _POLL) if _is_message(one)]
                if messages:
                    self._take(messages)
        except StoppedError:
            _log.info("gate_stopped_in_a_batch")
        finally:
            if self._producer is not None:
                # Whoever reads behind it need not wait for the transaction's end by itself.
                with suppress(KafkaException):
                    self._producer.abort_transaction(_CALL / 5)
            self._consumer.close()

    def _take(self, messages: Sequence[Message]) -> None:
        """Commit a batch, or put it back to be read again."""
        try:
            self._commit(messages)
        except _StaleError:
            self._size = max(_SMALLEST_BATCH, self._size // 2)
            self._abort()
            self._rewind(messages)
            _log.warning("gate_too_slow", batch=self._size)
        except KafkaException as error:
            what = _next(error)
            _log.warning("gate_batch_failed", error=error.args[0].name())
            if what is _Next.RENEW:
                self._producer = None
                self._client()
            else:
                self._abort()
            self._rewind(messages)
        else:
            self._size = min(self._gate.batch, self._size * 2)

    def _commit(self, messages: Sequence[Message]) -> None:
        asked, letters = _read(messages)
        began, outcomes = self._answers(asked)
        producer = self._client()
        producer.begin_transaction()
        for one, outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, Unusable):
                message = messages[one.number]
                letters.append(_letter(message, outcome))
            elif (written := write(one.request, outcome)) is not None:
                self._produce(producer, self._topics[written.output], written.key, written.value, None)
        now = datetime.now(UTC)
        for letter in letters:
            record = self._letter_record(letter, now)
            self._produce(producer, self._kafka.requests_dead_letter_topic, record.key, record.value, record.headers)
        producer.flush(_CALL)
        self._insist(
            lambda: producer.send_offsets_to_transaction(
                _positions(messages), self._consumer.consumer_group_metadata(), _CALL
            )
        )
        if asked and time.monotonic() - began > self._gate.stale_after.total_seconds():
            raise _StaleError
        self._insist(lambda: producer.commit_transaction(_CALL))
        ENFORCEMENT_PROPAGATION.labels("stream").observe(time.monotonic() - began)
        _count(outcomes, letters)

    def _answers(self, asked: "Sequence[_Read]") -> tuple[float, Sequence[Outcome]]:
        """The answers, and a moment not after the one whose facts they rest on. Waits for whoever answers."""
        wait = _FIRST_WAIT
        questions = [Asked(one.request, one.position) for one in asked]
        while True:
            began = time.monotonic()
            try:
                return began, self._admit(questions) if questions else []
            except AwayError:
                if wait == _FIRST_WAIT:
                    _log.warning("gate_waits")
            self._wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _produce(
        self,
        producer: Producer,
        topic: str,
        key: bytes,
        value: bytes,
        headers: list[tuple[str, str | bytes | None]] | None,
    ) -> None:
        while True:
            try:
                producer.produce(topic, value, key, headers=headers)
            except BufferError:
                producer.poll(_CALL / 100)
            else:
                return

    def _client(self) -> Producer:
        """The producer; a new one begins by ending what its namesake left."""
        if self._producer is None:
            producer = Producer(
                {
                    **client_settings(self._kafka),
                    "transactional.id": self._transactional_id,
                    "transaction.timeout.ms": _TRANSACTION // timedelta(milliseconds=1),
                    "compression.type": "lz4",
                    "linger.ms": 5,
                    "message.max.bytes": 5 * MAX_MESSAGE_BYTES,
                    "queue.buffering.max.messages": 100_000,
                    # Keys go where a Java producer would put them.
                    "partitioner": "murmur2_random",
                }
            )
            self._insist(lambda: producer.init_transactions(_CALL))
            self._producer = producer
        return self._producer

    def _abort(self) -> None:
        """End the transaction, so that nothing of it is read; a client that can't is replaced."""
        producer = self._client()
        try:
            self._insist(lambda: producer.abort_transaction(_CALL))
        except KafkaException as error:
            if error.args[0].code() == KafkaError._STATE:  # noqa: SLF001  (none had begun)
                return
            if _next(error) is not _Next.RENEW:
                raise
            self._producer = None
            self._client()

    def _rewind(self, messages: Sequence[Message]) -> None:
        """Read a batch again, in case its partitions are still ours; else their new owner does."""
        first: dict[tuple[str, int], int] = {}
        for message in messages:
            topic, partition, offset = _place(message)
            first.setdefault((topic, partition), offset)
        for (topic, partition), offset in first.items():
            try:
                self._consumer.seek(TopicPartition(topic, partition, offset))
            except KafkaException as error:
                _log.info("gate_lost_partition", error=error.args[0].name())

    def _insist(self, call: Callable[[], _T]) -> _T:
        """Make a call until it is done; `KafkaException` when the transaction or the client is lost."""
        wait = _FIRST_WAIT
        while True:
            try:
                return call()
            except KafkaException as error:
                if _next(error) is not _Next.AGAIN:
                    raise
                if wait == _FIRST_WAIT:
                    _log.warning("gate_waits_for_kafka", error=error.args[0].name())
            self._wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _wait(self, seconds: float) -> None:
        if self._stopping():
            raise StoppedError
        Event().wait(seconds)


class _Read(NamedTuple):
    request: RunRequest
    position: str
    #: Which of the batch's messages it is.
    number: int


def _read(messages: Sequence[Message]) -> tuple[list[_Read], list[DeadLetter]]:
    asked: list[_Read] = []
    letters: list[DeadLetter] = []
    for number, message in enumerate(messages):
        try:
            request = decode_request(message.value() or b"")
        except Unusable as fault:
            letters.append(_letter(message, fault))
        else:
            topic, partition, offset = _place(message)
            asked.append(_Read(request, f"{topic}/{partition}/{offset}", number))
    return asked, letters


def _letter(message: Message, fault: Unusable) -> DeadLetter:
    topic, partition, offset = _place(message)
    raw = message.value() or b""
    return DeadLetter(
        position=Position(source=topic, partition=partition, offset=offset),
        code=fault.code,
        explanation=fault.explanation,
        raw=raw,
        sha256=sha256(raw).hexdigest(),
        size=len(raw),
    )


def _count(outcomes: Sequence[Outcome], letters: Sequence[DeadLetter]) -> None:
    for outcome in outcomes:
        match outcome:
            case Admitted():
                word = "admitted"
            case Refused():
                word = outcome.reason
            case Unusable():
                continue
            case _:
                word = "repeated"
        ADMISSIONS.labels("stream", word).inc()
    for letter in letters:
        DEAD_LETTERS.labels(letter.code.value).inc()


def _positions(messages: Sequence[Message]) -> list[TopicPartition]:
    """After the last message of each partition."""
    ends = {(topic, partition): offset + 1 for topic, partition, offset in map(_place, messages)}
    return [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]


def _place(message: Message) -> tuple[str, int, int]:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return topic, partition, offset


def _is_message(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.fatal() or error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
        raise KafkaException(error)
    _log.warning("kafka_error", error=error.name())
    return False


def _next(error: KafkaException) -> _Next:
    """What to do after an error of the producer; raises one that nothing can be done about."""
    found = error.args[0]
    if found.code() in _FENCED and found.fatal():
        # Another gate has this one's name and goes on with its work.
        raise error
    if found.fatal():
        return _Next.RENEW
    if found.txn_requires_abort():
        return _Next.ABORT
    if found.retriable():
        return _Next.AGAIN
    raise error
