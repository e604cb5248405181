"""Messages that can't be used, to the topic beside the one that they came from (spec 10, Dead letters)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias

from bytewax.outputs import DynamicSink, StatelessSinkPartition
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from config.kafka_client import client_settings
from config.settings import Kafka
from dataflows.dead_letters import DeadLetter

#: What one message may hold; `init-topics` gives the dead letter topics the same limit.
MAX_MESSAGE_BYTES = 5 << 20

#: What is kept of a message that the broker finds too large all the same.
KEPT_BYTES = 512 << 10

#: A broker that is away for longer than this ends the flow, which starts again from its snapshot.
DELIVERY_TIMEOUT = timedelta(seconds=120)

#: Seconds for which a broker may think about what partitions there are.
_METADATA_TIMEOUT = 10.0

#: What librdkafka calls the partition that a key decides.
_ANY_PARTITION = -1

#: Seconds without progress at which a look is taken at signals and the queue.
_SLICE = 0.2


class Record(NamedTuple):
    """One message to write."""

    key: bytes
    value: bytes
    headers: list[tuple[str, str | bytes | None]]
    #: None: the one that the key decides.
    partition: int | None = None


#: What became of a record: None when the broker has it.
_Answer: TypeAlias = tuple[Record, KafkaError] | None


class TopicWriter:
    """Writes to one topic: durably when `write` returns. Each process has its own; its threads may share one."""

    def __init__(self, kafka: Kafka, topic: str, delivery_timeout: timedelta = DELIVERY_TIMEOUT) -> None:
        """Contacts nothing yet. `delivery_timeout`: how long the broker may be away before `write` raises."""
        self._topic = topic
        self._producer = Producer(
            {
                **client_settings(kafka),
                "enable.idempotence": True,
                "compression.type": "lz4",
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "delivery.timeout.ms": delivery_timeout // timedelta(milliseconds=1),
                # Keys go where a Java producer would put them.
                "partitioner": "murmur2_random",
            }
        )

    def partitions(self) -> list[int]:
        """The topic's partitions as they are now; `KafkaException` when no broker says so in time."""
        metadata = self._producer.list_topics(self._topic, timeout=_METADATA_TIMEOUT).topics[self._topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return sorted(metadata.partitions)

    def write(self, records: Iterable[Record]) -> None:
        """Write all, each at least once; `KafkaException` when one of them could not be written.

        The stream is held back while the broker is away. Of a record that the broker finds too large the
        beginning is written, with header `cut_to`.
        """
        too_large = self._write(records)
        self._write(
            record._replace(value=record.value[:KEPT_BYTES], headers=[*record.headers, ("cut_to", str(KEPT_BYTES))])
            for record in too_large
        )

    def _write(self, records: Iterable[Record]) -> list[Record]:
        """Write all and wait for the answers; returns those that are too large and can be cut."""
        # This call's alone: whichever thread serves the producer, an answer finds the call that waits for it.
        answers: list[_Answer] = []
        sent = 0
        for record in records:
            self._send(record, answers)
            sent += 1
        while len(answers) < sent:
            self._producer.flush(_SLICE)
        too_large = []
        for refused in answers:
            if refused is None:
                continue
            record, error = refused
            if error.code() != KafkaError.MSG_SIZE_TOO_LARGE or len(record.value) <= KEPT_BYTES:
                raise KafkaException(error)
            too_large.append(record)
        return too_large

    def _send(self, record: Record, answers: list[_Answer]) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:  # noqa: ARG001  (their signature)
            answers.append(None if error is None else (record, error))

        while True:
            try:
                self._producer.produce(
                    self._topic,
                    record.value,
                    record.key,
                    _ANY_PARTITION if record.partition is None else record.partition,
                    headers=record.headers,
                    on_delivery=delivered,
                )
            except BufferError:
                self._producer.poll(_SLICE)
            except KafkaException as error:
                answers.append((record, error.args[0]))
                return
            else:
                return


class DeadLetterTopic:
    """Writes dead letters to their topic."""

    def __init__(self, kafka: Kafka) -> None:
        """Contacts nothing yet."""
        self._writer = TopicWriter(kafka, kafka.dead_letter_topic)

    def write(self, letters: Iterable[DeadLetter]) -> None:
        """Write; durable when it returns."""
        now = datetime.now(UTC)
        self._writer.write(to_record(letter, now) for letter in letters)


class DeadLetterPartition(StatelessSinkPartition[tuple[str, DeadLetter]]):
    """Writes the dead letters of one worker."""

    def __init__(self, topic: DeadLetterTopic) -> None:
        self._topic = topic

    def write_batch(self, items: list[tuple[str, DeadLetter]]) -> None:
        """Write; durable when it returns."""
        self._topic.write(letter for _, letter in items)


class DeadLetterSink(DynamicSink[tuple[str, DeadLetter]]):
    """Dead letters to their topic, at least once: after a restart the last ones may stand there twice.

    The key is the position of the message, so that whoever reads them can tell.
    """

    def __init__(self, kafka: Kafka) -> None:
        """Contacts nothing yet."""
        self._kafka = kafka

    def build(self, step_id: str, worker_index: int, worker_count: int) -> DeadLetterPartition:  # noqa: ARG002
        """One for each worker."""
        return DeadLetterPartition(DeadLetterTopic(self._kafka))


def to_record(dead_letter: DeadLetter, now: datetime) -> Record:
    """The raw bytes as they came; all else in headers, which no message can forge."""
    source, partition, offset = (
        dead_letter.position.source,
        dead_letter.position.partition,
        dead_letter.position.offset,
    )
    headers: list[tuple[str, str | bytes | None]] = [
        ("code", dead_letter.code.value),
        ("explanation", dead_letter.explanation),
        ("source_topic", source),
        ("source_partition", str(partition)),
        ("source_offset", str(offset)),
        ("time", now.isoformat()),
        ("size", str(dead_letter.size)),
        ("sha256", dead_letter.sha256),
    ]
    return Record(f"{source}/{partition}/{offset}".encode(), dead_letter.raw, headers)
