"""Run events from Kafka: partition p of the topics is one partition of the stream (spec 10; 80.1)."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec
import structlog
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

from config.metrics import DEAD_LETTERS, KAFKA_LAG, WATERMARK
from config.settings import Kafka
from dataflows.engine.delivery import Item, Router
from dataflows.engine.key_groups import Stamped
from dataflows.engine.watermarks import Watermark
from dataflows.intake import Intake, Taken
from dataflows.registry import Registry
from dataflows.sources.co_partition import CoPartition
from dataflows.sources.end_of_log import EndOfLog
from dataflows.sources.lines import CHUNK
from dataflows.sources.stop import StopRequest
from dataflows.sources.topic_log import TopicLog, client_settings, offsets_of
from dataflows.times import NEVER

#: How often groups without events hear the watermark, and how often an idle partition asks where its log ends.
TICK = timedelta(milliseconds=500)

#: How long an idle partition is left alone.
PAUSE = timedelta(milliseconds=15)

#: How long the brokers have to answer when the monitor starts.
START_TIMEOUT = timedelta(seconds=10)

SNAPSHOT_VERSION = 1

log = structlog.get_logger(__name__)


class UnreadableTopicsError(Exception):
    """There is nothing to read; the message says where it was looked for and what to do."""


class BrokerAwayError(UnreadableTopicsError):
    """No broker answers. It may later: whoever supervises the monitor should start it again."""


class Topics(NamedTuple):
    """What is read: the partitions that each of `names` has."""

    names: list[str]
    partitions: int


class KafkaPosition(msgspec.Struct, array_like=True, frozen=True):
    """How far a partition was read; what recovery keeps of it."""

    #: By topic, the offset of the next message.
    offsets: dict[str, int]
    arrival: int = 0
    watermark: int = NEVER
    highest: int = NEVER


class KafkaPartition(StatefulSourcePartition[Item, bytes]):
    """Partition p of the topics, with one watermark."""

    def __init__(
        self,
        logs: Sequence[TopicLog],
        end_of_log: EndOfLog,
        registry: Registry,
        watermark: Watermark,
        clock: Callable[[], int],
        max_future_skew: int,
        stop: StopRequest,
        arrival: int,
    ) -> None:
        self._logs = {log.topic: log for log in logs}
        self._messages = CoPartition(logs)
        self._end_of_log = end_of_log
        self._watermark = watermark
        self._clock = clock
        self._arrival = arrival
        self._intakes = {
            log.topic: Intake(log.topic, log.partition, registry, watermark, horizon=lambda: clock() + max_future_skew)
            for log in logs
        }
        self._name = str(logs[0].partition)
        self._router = Router(self._name)
        self._stop = stop
        self._idle = False
        self._ticked = NEVER
        self._next_tick = time.monotonic()
        #: The monotonic clock when the last question was asked.
        self._asked = -math.inf
        #: The receiving clock when the last question was asked, and the positions then.
        self._asked_at: tuple[int, dict[str, int]] = (0, {})

    def next_batch(self) -> list[Item]:
        """What has come since; at times, also the watermark for every group."""
        if self._stop.requested:
            raise StopIteration
        events: list[Stamped] = []
        items: list[Item] = []
        runs = self._messages.take()
        for source, messages in runs:
            for part in _parts(messages):
                taken = self._take(source.topic, part)
                items += taken.dead_letters
                events += taken.events
                for dead_letter in taken.dead_letters:
                    DEAD_LETTERS.labels(dead_letter.code.value).inc()
        self._idle = not runs
        if self._idle:
            self._follow_clock()
        return [*items, *self._router.route(events, self._watermark.value, tick=self._is_time_to_tick())]

    def next_awake(self) -> datetime | None:
        """At once while there is work, else after a pause."""
        return datetime.now(UTC) + PAUSE if self._idle else None

    def snapshot(self) -> bytes:
        """The positions after the last messages handed on."""
        for source in self._logs.values():
            source.commit()
        position = KafkaPosition(offsets_of(self._logs), self._arrival, self._watermark.value, self._watermark.highest)
        return bytes([SNAPSHOT_VERSION]) + msgspec.msgpack.encode(position)

    def close(self) -> None:
        """Let go of the connections."""
        for source in self._logs.values():
            source.close()

    def _take(self, topic: str, messages: list[Message]) -> Taken:
        intake = self._intakes[topic]
        intake.arrival = self._arrival
        taken = intake.take([message.value() or b"" for message in messages], partial(_offset, messages))
        self._arrival = intake.arrival
        return taken

    def _follow_clock(self) -> None:
        """Move the watermark to the time of the last question, if all that was written until then was read.

        A partition that is behind, or whose broker does not answer, stays where it is.
        """
        positions = offsets_of(self._logs)
        ends = self._end_of_log.answer()
        if ends is not None:
            asked_at, positions_then = self._asked_at
            for source in self._logs.values():
                source.answered(self._asked)
            if positions == positions_then and all(positions.get(topic, -1) >= end for topic, end in ends.items()):
                self._watermark.follow(asked_at)
        now = time.monotonic()
        if not self._end_of_log.asked and now >= self._asked + TICK.total_seconds():
            self._asked = now
            self._asked_at = (self._clock(), positions)
            self._end_of_log.ask()

    def _is_time_to_tick(self) -> bool:
        now = time.monotonic()
        if now < self._next_tick:
            return False
        self._next_tick = now + TICK.total_seconds()
        for source in self._logs.values():
            if source.lag is not None:
                KAFKA_LAG.labels(source.topic, self._name).set(source.lag)
        if self._watermark.value == self._ticked:
            return False
        self._ticked = self._watermark.value
        WATERMARK.labels(self._name).set(self._ticked / 1e6)
        return True


class KafkaSource(FixedPartitionedSource[Item, bytes]):
    """Topic `run_events`, and `monitor_control` beside it."""

    def __init__(
        self,
        kafka: Kafka,
        registry: Callable[[], Registry],
        *,
        allowed_lateness: int,
        max_future_skew: int,
        stop: StopRequest,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """Durations in microseconds; `clock` gives the receiving clock's microseconds since 1970.

        Waits for the brokers, at most `START_TIMEOUT`; `UnreadableTopicsError` when there is nothing to read.
        """
        self._kafka = kafka
        self._registry = registry
        self._lateness = allowed_lateness
        self._skew = max_future_skew
        self._stop = stop
        self._clock = clock
        self._admin = AdminClient(client_settings(kafka))
        self._topics = find_topics(self._admin, kafka)

    def list_parts(self) -> list[str]:
        """The partitions' numbers."""
        return [str(partition) for partition in range(self._topics.partitions)]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> KafkaPartition:  # noqa: ARG002
        """Go on where recovery says, else begin with the earliest messages."""
        position = KafkaPosition({}) if resume_state is None else _restore(resume_state)
        partition = int(for_part)
        return KafkaPartition(
            [TopicLog(self._kafka, name, partition, position.offsets.get(name)) for name in self._topics.names],
            EndOfLog(self._admin, self._topics.names, partition),
            self._registry(),
            Watermark(self._lateness, position.watermark, position.highest),
            self._clock,
            self._skew,
            self._stop,
            position.arrival,
        )


def find_topics(admin: AdminClient, kafka: Kafka) -> Topics:
    """Look for the topics; `UnreadableTopicsError` when they can't be read.

    The control topic may be missing; with another number of partitions it can't be read beside the events.
    """
    where = kafka.bootstrap_servers
    try:
        # All topics: a question for one of them makes it, on brokers that make topics by themselves.
        found = admin.list_topics(timeout=START_TIMEOUT.total_seconds()).topics
    except KafkaException as error:
        raise BrokerAwayError(f"no Kafka broker answers at {where} ({error.args[0].name()})") from None
    events, control = found.get(kafka.events_topic), found.get(kafka.control_topic)
    if events is None or not events.partitions:
        raise UnreadableTopicsError(f"no topic {kafka.events_topic} at {where}: make it with `breakwater init-topics`")
    partitions = len(events.partitions)
    if control is None or not control.partitions:
        log.warning("kafka_no_control_topic", topic=kafka.control_topic)
        return Topics([kafka.events_topic], partitions)
    if len(control.partitions) != partitions:
        raise UnreadableTopicsError(
            f"topics {kafka.events_topic} and {kafka.control_topic} at {where} have {partitions} and "
            f"{len(control.partitions)} partitions: they must have the same number"
        )
    return Topics([kafka.events_topic, kafka.control_topic], partitions)


def _restore(raw: bytes) -> KafkaPosition:
    if raw[0] != SNAPSHOT_VERSION:
        raise ValueError(f"recovery store of source version {raw[0]}, this is {SNAPSHOT_VERSION}: start anew")
    return msgspec.msgpack.decode(memoryview(raw)[1:], type=KafkaPosition)


def _offset(messages: Sequence[Message], index: int) -> int:
    offset = messages[index].offset()
    assert offset is not None
    return offset


def _parts(messages: list[Message]) -> Iterator[list[Message]]:
    """Parts of a batch that are small enough to be decoded at once."""
    start = size = 0
    for index, message in enumerate(messages):
        size += len(message)
        if size > CHUNK and index > start:
            yield messages[start:index]
            start, size = index, len(message)
    yield messages[start:]
