"""Dead letters back into the topics that they came from: read what was kept, write it again (spec 10, Dead letters)."""

import base64
import binascii
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from config.kafka_client import client_settings
from config.settings import Kafka
from dataflows.events import CONTROL_EVENTS
from sinks.kafka import MAX_MESSAGE_BYTES

#: How long a broker may say nothing before it counts as away.
TIMEOUT = timedelta(seconds=30)

#: Dead letters that are read, written and marked together.
BATCH = 500

#: By it whoever reads a message knows that it was fed in again, and what for.
REPLAY_OF = "replay_of"

#: Binding of a version -> its workflow, None for an unknown version.
WorkflowOf = Callable[[str], str | None]


class NoBrokerError(Exception):
    """The broker does not answer."""


class UnreadableFileError(Exception):
    """A line is no dead letter; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMessage:
    """A dead letter with what was kept of its message."""

    source: str
    partition: int
    offset: int
    code: str
    #: When it became a dead letter.
    time: str
    raw: bytes
    size: int

    @property
    def place(self) -> tuple[str, int, int]:
        """Where the message was read."""
        return self.source, self.partition, self.offset

    @property
    def is_whole(self) -> bool:
        """Whether all of the message was kept."""
        return len(self.raw) == self.size

    def __str__(self) -> str:
        """The position as it is written everywhere."""
        return f"{self.source}/{self.partition}/{self.offset}"


def read_topic(kafka: Kafka) -> Iterator[list[KeptMessage]]:
    """What stands in the dead letter topic now, in batches; those written meanwhile are left for another time.

    The same dead letter may stand there twice. `NoBrokerError` when nobody answers.
    """
    consumer = Consumer(
        {
            **client_settings(kafka),
            "group.id": "breakwater-dead-letters",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        for partition, (begin, end) in _spans(consumer, kafka.dead_letter_topic).items():
            if begin < end:
                consumer.assign([TopicPartition(kafka.dead_letter_topic, partition, begin)])
                for messages in _read(consumer, end):
                    yield [kept for message in messages if (kept := _kept(message)) is not None]
    except KafkaException as error:
        raise NoBrokerError(error.args[0].name()) from None
    finally:
        consumer.close()


def read_file(path: Path) -> Iterator[list[KeptMessage]]:
    """The dead letters of a file in batches. `OSError`, or `UnreadableFileError` for what is none."""
    batch: list[KeptMessage] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = _decode_line(line)
                raw = base64.b64decode(row.raw_base64, validate=True)
            except (msgspec.DecodeError, binascii.Error):
                raise UnreadableFileError(f"line {number} is no dead letter") from None
            batch.append(
                KeptMessage(
                    source=row.topic or row.file or "",
                    partition=-1 if row.topic is None else row.partition,
                    offset=row.byte_offset if row.topic is None else row.offset,
                    code=row.code,
                    time=row.time,
                    raw=raw,
                    size=row.size,
                )
            )
            if len(batch) == BATCH:
                yield batch
                batch = []
    yield batch


class Replayer:
    """Writes messages to the topics that the monitor reads, keyed as the platform's producer keys them."""

    def __init__(self, kafka: Kafka, workflow_of: WorkflowOf) -> None:
        """Contacts nothing yet. `workflow_of` is asked for events that don't name their workflow."""
        self._kafka = kafka
        self._workflow_of = workflow_of
        self._producer = Producer(
            {
                **client_settings(kafka),
                "enable.idempotence": True,
                "compression.type": "lz4",
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "delivery.timeout.ms": TIMEOUT // timedelta(milliseconds=1),
                "partitioner": "murmur2_random",
            }
        )

    def write(self, letters: Sequence[KeptMessage]) -> list[TopicPartition]:
        """Write in order and wait; where each of them stands now. `NoBrokerError` when that is not sure of one."""
        found: dict[int, TopicPartition] = {}
        errors: list[KafkaError] = []
        for number, letter in enumerate(letters):

            def delivered(error: KafkaError | None, message: Message, number: int = number) -> None:
                if error is not None:
                    errors.append(error)
                    return
                topic, partition, offset = message.topic(), message.partition(), message.offset()
                assert topic is not None
                assert partition is not None
                assert offset is not None
                found[number] = TopicPartition(topic, partition, offset)

            topic, key, partition = self._address(letter)
            headers: list[tuple[str, str | bytes | None]] = [(REPLAY_OF, str(letter))]
            while True:
                try:
                    self._producer.produce(topic, letter.raw, key, partition, delivered, headers=headers)
                except BufferError:
                    self._producer.poll(0.2)
                else:
                    break
        self._producer.flush()
        if errors:
            raise NoBrokerError(errors[0].name())
        return [found[number] for number in range(len(letters))]

    def _address(self, letter: KeptMessage) -> tuple[str, bytes | None, int]:
        """Topic, key, and the partition, -1 where the key decides it.

        Without a key it is the partition that the message came from.
        """
        fields = _fields(letter.raw)
        control = letter.source == self._kafka.control_topic or (letter.partition < 0 and fields.kind in CONTROL_EVENTS)
        topic = self._kafka.control_topic if control else self._kafka.events_topic
        workflow = fields.workflow_id
        if not workflow and fields.automation_version_id:
            workflow = self._workflow_of(fields.automation_version_id) or fields.automation_version_id
        return (topic, workflow.encode(), -1) if workflow else (topic, None, letter.partition)


class _Fields(msgspec.Struct):
    kind: str | None = None
    workflow_id: str | None = None
    automation_version_id: str | None = None


class _Line(msgspec.Struct):
    """A line that `encode_dead_letter` has written."""

    code: str
    time: str
    size: int
    raw_base64: str
    topic: str | None = None
    partition: int = -1
    offset: int = -1
    file: str | None = None
    byte_offset: int = -1


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


def _fields(raw: bytes) -> _Fields:
    """What of a message says where it belongs, each by itself: any of the others may be why it is a dead letter."""
    found = _Fields()
    try:
        fields = _decode_object(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return found
    for name in found.__struct_fields__:
        try:
            setattr(found, name, _decode_text(fields[name]))
        except (KeyError, msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def _spans(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """Of each partition of the topic, the first offset and the one after the last."""
    timeout = TIMEOUT.total_seconds()
    partitions = consumer.list_topics(topic, timeout).topics[topic].partitions
    return {
        partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout) for partition in partitions
    }


def _read(consumer: Consumer, end: int) -> Iterator[list[Message]]:
    """Messages of the assigned partition before an offset, in batches."""
    heard = time.monotonic()
    while True:
        batch = consumer.consume(BATCH, 1)
        if batch:
            heard = time.monotonic()
        elif time.monotonic() - heard > TIMEOUT.total_seconds():
            raise NoBrokerError("silent")
        yield [message for message in batch if message.error() is None and (message.offset() or 0) < end]
        for message in batch:
            error = message.error()
            if error is None:
                if (message.offset() or 0) >= end - 1:
                    return
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  (their name)
                return
            elif not error.retriable() and error.code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):  # noqa: SLF001
                raise KafkaException(error)


def _kept(message: Message) -> KeptMessage | None:
    """A message of the topic as a dead letter; None for one that somebody else has written."""
    given: list[tuple[str, bytes]] = message.headers() or []  # type: ignore[assignment]  # bytes, as nothing else is asked for
    headers = dict(given)
    try:
        return KeptMessage(
            source=headers["source_topic"].decode(),
            partition=int(headers["source_partition"]),
            offset=int(headers["source_offset"]),
            code=headers["code"].decode(),
            time=headers["time"].decode(),
            raw=message.value() or b"",
            size=int(headers["size"]),
        )
    except (KeyError, ValueError, AttributeError, TypeError):
        # No header of that name, none with a value, or none of ours.
        return None
