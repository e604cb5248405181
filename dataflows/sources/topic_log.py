"""One partition of one Kafka topic, read without ever waiting, and without ever leaving anything out in silence."""

import math
import time
from collections.abc import Mapping
from datetime import timedelta

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from config.kafka_client import client_settings
from config.metrics import KAFKA_LOST
from config.settings import Kafka
from dataflows.times import micros

#: Positions are committed for this group, so that the usual lag tools see them; nothing here reads them.
GROUP = "breakwater-monitor"

#: How long connections take to break one after another.
SETTLING = timedelta(seconds=1)

#: Messages taken from librdkafka at once.
BATCH = 5_000

#: Errors after which librdkafka tries again by itself. Any other ends the flow, which starts again from its snapshot:
#: better than to be silent for ever about an error that does not pass.
_PASSING = {
    KafkaError._TRANSPORT,  # noqa: SLF001  (their name for errors that don't come from a broker)
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
    KafkaError.UNKNOWN,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.KAFKA_STORAGE_ERROR,
}

log = structlog.get_logger(__name__)


def place_name(topic: str, partition: int) -> str:
    """What a log is called where several are told apart, also in the recovery store."""
    return f"{topic}/{partition}"


def parse_place_name(name: str) -> tuple[str, int]:
    """The topic and partition that `place_name` was given. No topic has a slash in its name."""
    topic, _, partition = name.rpartition("/")
    return topic, int(partition)


class TopicLog:
    """Reads on from an offset. A broker that is away is waited for; an error that won't pass is raised.

    An offset that retention has dropped is followed by the earliest there is, with an error in the log and a count
    of what was lost; never by the end of the log.
    """

    def __init__(self, kafka: Kafka, topic: str, partition: int, position: int | None) -> None:
        """Begin at `position`, at the earliest message when it is None."""
        self.topic = topic
        self.partition = partition
        self.name = place_name(topic, partition)
        #: The offset after the last message that was handed out; None before anything is known of the partition.
        self.position = position
        self._read_to = position
        self._buffer: list[Message] = []
        self._next = 0
        self._lost_from: int | None = None
        #: Since when the broker does not answer, by the monotonic clock.
        self._away_since: float | None = None
        #: When it answered again.
        self._back_at = -math.inf
        self._grace = kafka.outage_grace.total_seconds()
        self._fatal: KafkaError | None = None
        self._committed = position
        self._log = log.bind(topic=topic, partition=partition)
        self._consumer = Consumer(
            {
                **client_settings(kafka),
                "group.id": GROUP,
                # It joins no group, but closing waits as long for the answer to a commit from a broker that is away.
                "session.timeout.ms": 6000,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": micros(kafka.fetch_wait) // 1000,
                "queued.max.messages.kbytes": 8192,
                "error_cb": self._on_error,
                "on_commit": self._on_commit,
            }
        )
        self._assign(OFFSET_BEGINNING if position is None else position)

    @property
    def head(self) -> int | None:
        """When the next message was written, in milliseconds; None when there is none at hand."""
        if self._next == len(self._buffer):
            return None
        written: int = self._buffer[self._next].timestamp()[1]
        return written

    @property
    def at_end(self) -> bool:
        """Whether nothing more was in the log when it was last looked at, not even in an open transaction."""
        return self._read_to is not None and 0 <= self._known_end() <= self._read_to

    @property
    def lag(self) -> int | None:
        """Messages between the position and the end of the log as last heard of."""
        end = self._known_end()
        return None if end < 0 or self.position is None else max(0, end - self.position)

    def read(self) -> None:
        """Take over what librdkafka has fetched, unless there are messages at hand. `KafkaException` on errors."""
        if self._next < len(self._buffer):
            return
        messages = self._consumer.consume(BATCH, 0)
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        self._buffer = messages
        self._next = 0
        if not messages:
            return
        self._back()
        if any(message.error() is not None for message in messages) or self._lost_from is not None:
            self._buffer = [message for message in messages if self._is_usable(message)]
        else:
            self._read_to = messages[-1].offset() + 1  # type: ignore[operator]  # None on errors alone
        if not self._buffer:
            self.position = self._read_to

    def take(self, before: int | None = None) -> list[Message]:
        """Hand out the messages at hand, or the first of them that were written before a time."""
        buffer, start = self._buffer, self._next
        end = len(buffer)
        if before is not None:
            end = next((index for index in range(start, end) if buffer[index].timestamp()[1] >= before), end)
        self._next = end
        if end == len(buffer):
            self.position = self._read_to
            self._buffer = []
            self._next = 0
        else:
            self.position = buffer[end].offset()
        return buffer[start:end]

    def answered(self, asked: float) -> None:
        """The broker has answered something that was asked at this time of the monotonic clock.

        What was asked about when the connection broke may have been answered on another one.
        """
        if self._away_since is not None and asked > self._away_since + SETTLING.total_seconds():
            self._back()

    def is_steady(self, at: float) -> bool:
        """Whether at this time of the monotonic clock the broker answered, and had done so for a while.

        Producers come back from an outage no sooner than we do: the end of the log says little until they have.
        """
        return self._away_since is None and at >= self._back_at + self._grace

    def commit(self) -> None:
        """Tell Kafka the position. For lag tools alone, so it is not waited for and a failure is only logged."""
        if self.position is None or self.position == self._committed:
            return
        self._committed = self.position
        try:
            self._consumer.commit(offsets=[TopicPartition(self.topic, self.partition, self.position)])
        except KafkaException as error:
            self._on_commit(error.args[0], [])

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _assign(self, offset: int) -> None:
        self._consumer.assign([TopicPartition(self.topic, self.partition, offset)])

    def _known_end(self) -> int:
        place = TopicPartition(self.topic, self.partition)
        return self._consumer.get_watermark_offsets(place, cached=True)[1]

    def _is_usable(self, message: Message) -> bool:
        """Whether it is a message; if it is word from librdkafka, act on it."""
        error, offset = message.error(), message.offset() or 0
        if error is None:
            self._resumed(offset)
            self._read_to = offset + 1
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            # Past the markers of transactions, which have offsets too.
            self._resumed(offset)
            self._read_to = offset
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            self._lost_from = self._read_to or 0
            self._assign(OFFSET_BEGINNING)
        elif error.code() in _PASSING:
            self._on_error(error)
        else:
            raise KafkaException(error)
        return False

    def _resumed(self, offset: int) -> None:
        """Own up to what retention has taken, now that it is known where the log begins."""
        if self._lost_from is None:
            return
        lost = max(0, offset - self._lost_from)
        KAFKA_LOST.labels(self.topic).inc(lost)
        self._log.error("kafka_offset_gone", expected=self._lost_from, resumed_at=offset, messages_lost=lost)
        self._lost_from = None

    def _back(self) -> None:
        if self._away_since is not None:
            self._away_since = None
            self._back_at = time.monotonic()
            self._log.info("kafka_back")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
        elif self._away_since is None:
            self._away_since = time.monotonic()
            self._log.warning("kafka_away", error=error.name())

    def _on_commit(self, error: KafkaError | None, _offsets: object) -> None:
        if error is not None:
            self._log.warning("kafka_commit_failed", error=error.name())


def offsets_of(logs: Mapping[str, TopicLog]) -> dict[str, int]:
    """Positions by the logs' names, of those that are known."""
    return {name: log.position for name, log in logs.items() if log.position is not None}
