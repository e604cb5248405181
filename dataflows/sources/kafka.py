"""Run events from Kafka: equal partitions of the topics are one lane of the stream (spec 10; 80.1)."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import Message

from config.metrics import DEAD_LETTERS, EVENTS_PARKED, KAFKA_LAG, WATERMARK
from config.settings import Kafka
from dataflows.admission import Admission
from dataflows.engine.host import Host, Item
from dataflows.intake import Intake, Taken
from dataflows.interop.cloudevents import unwrap
from dataflows.parking import Parked
from dataflows.registry import LookUpRegistry, Registry
from dataflows.sources.co_partition import CoPartition
from dataflows.sources.end_of_log import EndOfLog, admin_client
from dataflows.sources.lines import CHUNK
from dataflows.sources.stop import StopRequest
from dataflows.sources.topic_log import TopicLog, offsets_of, parse_place_name, place_name
from dataflows.sources.topics import LaneCount, UnreadableTopicsError, find_topics
from dataflows.times import AT_ONCE, NEVER

#: How often lanes without events are told the watermark, and how often an idle one asks where its logs end.
TICK = timedelta(milliseconds=500)

#: Microseconds that an event which is ahead of the registry waits for it.
PATIENCE = 30_000_000

#: How long an idle lane is left alone.
PAUSE = timedelta(milliseconds=15)


class KafkaPosition(msgspec.Struct, array_like=True, frozen=True):
    """How far a lane's logs were read; what recovery keeps of it."""

    #: By topic and partition, the offset of the next message.
    offsets: dict[str, int]
    #: Among how many lanes the logs were dealt out.
    lanes: int
    #: What was read and waits for the registry.
    parked: list[Parked] = []


class KafkaPartition(StatefulSourcePartition[Item, bytes]):
    """The logs of one lane: partition p of each topic, and where topics have grown those that came out of it."""

    def __init__(
        self,
        name: str,
        lanes: int,
        logs: Sequence[TopicLog],
        end_of_log: EndOfLog,
        registry: Registry,
        clock: Callable[[], int],
        max_future_skew: int,
        stop: StopRequest,
        host: Host,
        admission: Admission | None = None,
    ) -> None:
        self._admission = admission
        self._logs = {log.name: log for log in logs}
        self._messages = CoPartition(logs)
        self._end_of_log = end_of_log
        self._clock = clock
        self._new_intake = partial(
            Intake, registry=registry, horizon=lambda: clock() + max_future_skew, admission=admission
        )
        self._intakes = {log.name: self._new_intake(log.topic, log.partition) for log in logs}
        self._name = name
        self._lanes = lanes
        self._host = host
        self._watermark = host.lane.watermark
        self._stop = stop
        self._idle = False
        self._ticked = NEVER
        self._next_tick = time.monotonic()
        #: The monotonic clock when the last question was asked.
        self._asked = -math.inf
        #: The receiving clock when the last question was asked, and the positions then.
        self._asked_at: tuple[int, dict[str, int]] = (0, {})

    def next_batch(self) -> list[Item]:
        """What has become of the messages that came since; at times, also of those that did not come."""
        if self._stop.ends:
            raise StopIteration
        items = [] if self._admission is None else self._free(self._admission)
        runs = self._messages.take()
        for source, messages in runs:
            for part in _parts(messages):
                raws = [message.value() or b"" for message in part]
                taken = self._intakes[source.name].take(raws, partial(_offset, part), partial(_unwrapped, part, raws))
                items += self._judge(taken)
        self._idle = not runs
        if self._idle:
            self._follow_clock()
        if self._is_time_to_tick():
            items += self._host.advance()
        return items + self._host.report()

    def _judge(self, taken: Taken) -> list[Item]:
        items = self._host.judge(taken.events, taken.times)
        refused = [taken.contradicts(index) for index in self._host.lane.take_conflicts()]
        for dead_letter in (*taken.dead_letters, *refused):
            DEAD_LETTERS.labels(dead_letter.code.value).inc()
        return [*taken.dead_letters, *items, *refused]

    def _free(self, admission: Admission) -> list[Item]:
        """What has become of messages that waited for the registry."""
        items: list[Item] = []
        for parked in admission.restored():
            if parked.log not in self._intakes:
                # Of a topic that the settings have called otherwise since: what was read of it still counts.
                topic, partition = parse_place_name(parked.log)
                self._intakes[parked.log] = self._new_intake(topic, partition)
            items += self._judge(self._intakes[parked.log].take_again(parked, anew=True))
        freed = admission.free()
        for parked in freed.expired:
            dead_letter = self._intakes[parked.log].give_up(parked)
            DEAD_LETTERS.labels(dead_letter.code.value).inc()
            items.append(dead_letter)
        for parked in freed.ready:
            items += self._judge(self._intakes[parked.log].take_again(parked))
        return items

    def next_awake(self) -> datetime:
        """At once while there is work, else after a pause."""
        return datetime.now(UTC) + PAUSE if self._idle else AT_ONCE

    def snapshot(self) -> bytes:
        """The positions after the last messages handed on, and the lane."""
        for source in self._logs.values():
            source.commit()
        parked = [] if self._admission is None else self._admission.everything()
        position = KafkaPosition(offsets_of(self._logs), self._lanes, parked)
        return self._host.snapshot(msgspec.msgpack.encode(position))

    def close(self) -> None:
        """Let go of the connections."""
        for source in self._logs.values():
            source.close()

    def _follow_clock(self) -> None:
        """Move the watermark to the time of the last question, if all that was written until then was read.

        A partition that is behind, or whose broker does not answer or did not a moment ago, stays where it is; so
        does one in which messages wait for the registry.
        """
        positions = offsets_of(self._logs)
        ends = self._end_of_log.answer()
        if ends is not None:
            asked_at, positions_then = self._asked_at
            for source in self._logs.values():
                source.answered(self._asked)
            is_steady = all(source.is_steady(self._asked) for source in self._logs.values())
            if (
                is_steady
                and not (self._admission is not None and self._admission.holds_time())
                and positions == positions_then
                and all(positions.get(name, -1) >= ends[name] for name in ends)
            ):
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
        if self._admission is not None:
            EVENTS_PARKED.labels(self._name).set(self._admission.waiting)
        for source in self._logs.values():
            if source.lag is not None:
                KAFKA_LAG.labels(source.topic, source.partition).set(source.lag)
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
        new_host: Callable[[str, bytes | None], Host],
        max_future_skew: int,
        stop: StopRequest,
        lane_count: LaneCount,
        registry_patience: int = PATIENCE,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`new_host` gets a lane's name and snapshot; `max_future_skew` and `registry_patience` (how long an event
        waits for its version) in microseconds; `lane_count` is the recovery store's.

        `clock` gives the receiving clock's microseconds since 1970.

        Waits for the brokers, at most ten seconds; `UnreadableTopicsError` when there is nothing to read.
        """
        self._kafka = kafka
        self._registry = registry
        self._new_host = new_host
        self._skew = max_future_skew
        self._patience = registry_patience
        self._stop = stop
        self._clock = clock
        self._admin = admin_client(kafka)
        #: What is read.
        self.topics = find_topics(self._admin, kafka, lane_count)

    def list_parts(self) -> list[str]:
        """The lanes' numbers."""
        return [str(lane) for lane in range(self.topics.lanes)]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> KafkaPartition:  # noqa: ARG002
        """Go on where recovery says, else begin with the earliest messages.

        `UnreadableTopicsError` when the store is of another number of lanes.
        """
        host = self._new_host(for_part, resume_state)
        lanes = self.topics.lanes
        position = KafkaPosition({}, lanes)
        if host.position is not None:
            position = msgspec.msgpack.decode(host.position, type=KafkaPosition)
        if position.lanes != lanes:
            raise UnreadableTopicsError(f"the recovery store is of {position.lanes} lanes and not of {lanes}")
        places = self.topics.places(int(for_part))
        registry = self._registry()
        admission = None
        if isinstance(registry, LookUpRegistry):
            admission = Admission(registry, self._clock, self._patience, position.parked)
        return KafkaPartition(
            for_part,
            lanes,
            [TopicLog(self._kafka, *place, position.offsets.get(place_name(*place))) for place in places],
            EndOfLog(self._admin, places),
            registry,
            self._clock,
            self._skew,
            self._stop,
            host,
            admission,
        )


def _offset(messages: Sequence[Message], index: int) -> int:
    offset = messages[index].offset()
    assert offset is not None
    return offset


def _unwrapped(messages: Sequence[Message], raws: Sequence[bytes], index: int) -> bytes:
    return unwrap(raws[index], messages[index].headers())  # type: ignore[arg-type]  # bytes, as nothing else is asked for


def _parts(messages: list[Message]) -> Iterator[list[Message]]:
    """Parts of a batch that are small enough to be decoded at once."""
    start = size = 0
    for index, message in enumerate(messages):
        size += len(message)
        if size > CHUNK and index > start:
            yield messages[start:index]
            start, size = index, len(message)
    yield messages[start:]
