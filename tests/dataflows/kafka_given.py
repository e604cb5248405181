"""Words for tests of the Kafka source: a broker with the topics, lines written to it, a monitor driven by hand."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Protocol
from zlib import crc32

from confluent_kafka import Producer

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision
from dataflows.detectors.policies import Policies
from dataflows.engine.detector_sets import DetectorFactory
from dataflows.engine.host import Host
from dataflows.engine.lane import Lane
from dataflows.engine.memory import Room
from dataflows.engine.watermarks import Watermark
from dataflows.engine.workflow import Timed
from dataflows.events import Event
from dataflows.registry import Registry, TrustingRegistry
from dataflows.sources.kafka import KafkaPartition, KafkaSource
from dataflows.sources.stop import StopRequest
from dataflows.sources.topics import LaneCount
from dataflows.times import micros, to_micros
from tests.given import CLASSIFIER, LATENESS, Line

PARTITIONS = 3
SKEW = timedelta(minutes=5)
PATIENCE = 120.0

#: What a test may write that is larger than what a monitor reads.
LARGE = {"message.max.bytes": 4 << 20}

#: Longer than a client that was just made needs to write.
GRACE = timedelta(seconds=3)


def wait_for(
    what: str, is_so: Callable[[], object], do: Callable[[], object] = lambda: None, *, patience: float = PATIENCE
) -> None:
    """Go on with `do` until it is so, or fail after so many seconds."""
    end = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < end, f"waited in vain: {what}"
        do()
        time.sleep(0.005)


def go_on(seconds: float, do: Callable[[], object]) -> None:
    """Do it for a while: for what must not happen meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        do()
        time.sleep(0.005)


class Broker:
    """A broker with `run_events` and `monitor_control`, and what is written to them."""

    def __init__(self, mock: MockKafka) -> None:
        self.mock = mock
        self.settings = Kafka(bootstrap_servers=mock.bootstrap_servers, outage_grace=GRACE)

    def write(self, lines: Sequence[Line | bytes], *, partition: int | None = None, written: int = 0) -> None:
        """Write lines in their order; to `monitor_control` those with a kind.

        Without `partition` a workflow's lines go to the one of its id; `written` is the time of writing of
        the first line in milliseconds, each next one stands a millisecond later; without it that is now.
        """
        # A new client each time: one that saw an outage tries again whenever it likes.
        client = Producer({"bootstrap.servers": self.settings.bootstrap_servers, "log_level": 2, **LARGE})
        for number, line in enumerate(lines):
            raw = line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()
            is_control = not isinstance(line, bytes) and "kind" in line
            place = partition_of(line) if partition is None else partition
            topic = self.settings.control_topic if is_control else self.settings.events_topic
            client.produce(topic, raw, partition=place, timestamp=written and written + number)
            client.poll(0)
        assert client.flush(PATIENCE) == 0


def partition_of(line: Line | bytes) -> int:
    """Where a workflow's lines go."""
    return 0 if isinstance(line, bytes) else crc32(line["workflow_id"].encode()) % PARTITIONS


@contextmanager
def a_broker(partitions: int = PARTITIONS, *, control: bool = True) -> Iterator[Broker]:
    """A broker of one's own."""
    with MockKafka() as mock:
        mock.create_topic("run_events", partitions)
        mock.create_topic("run_events.dead_letter", 1)
        if control:
            mock.create_topic("monitor_control", partitions)
        yield Broker(mock)


class Readable(Protocol):
    """A broker's topics, real or not."""

    settings: Kafka


def environment(kafka: Kafka) -> dict[str, str]:
    """Settings of a broker as a command is given them."""
    return {
        "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "BREAKWATER_KAFKA__GROWTH_CHECK": f"{kafka.growth_check // timedelta(milliseconds=1)}ms",
        "BREAKWATER_KAFKA__OUTAGE_GRACE": f"{kafka.outage_grace // timedelta(milliseconds=1)}ms",
        **{
            f"BREAKWATER_KAFKA__{name.upper()}": getattr(kafka, name)
            for name in Kafka.model_fields
            if name.endswith("_topic")
        },
    }


class Clock:
    """The receiving clock, in the test's hand."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> int:
        return to_micros(self.now)


class ObservedLane(Lane):
    """A lane that remembers what it was given."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.events: list[tuple[int, Any]] = []
        #: By event, the watermark when it had been judged, with those that came together with it.
        self.watermarks: list[int] = []

    def process(self, events: Sequence[Event], times: Sequence[int]) -> list[Timed]:
        """Note the events with their arrival and how far time was with them, and go on."""
        self.events += zip(count(self.arrival), events, strict=False)
        out = super().process(events, times)
        self.watermarks += [self.watermark.value] * len(events)
        return out


class Monitor:
    """One lane of the source, driven by hand."""

    def __init__(
        self,
        broker: Readable,
        clock: Callable[[], int],
        *,
        partition: int = 0,
        snapshot: bytes | None = None,
        registry: Registry | None = None,
        patience: timedelta = timedelta(seconds=30),
    ) -> None:
        self.decisions: list[Decision] = []
        self.dead_letters: list[DeadLetter] = []
        factory = DetectorFactory(Policies(), CLASSIFIER, micros(LATENESS))
        self.lane = ObservedLane(factory.of, Room(), Watermark(micros(LATENESS)), factory.resolution)
        source = KafkaSource(
            broker.settings,
            lambda: registry or TrustingRegistry(),
            new_host=lambda _, snapshot: Host(lambda: self.lane, snapshot),
            max_future_skew=micros(SKEW),
            stop=StopRequest(),
            lane_count=LaneCount(),
            registry_patience=micros(patience),
            clock=clock,
        )
        self.source: KafkaPartition = source.build_part("events", str(partition), snapshot)

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    @property
    def watermark(self) -> int:
        """How far the lane has come."""
        return self.lane.watermark.value

    @property
    def events(self) -> list[tuple[int, Any]]:
        """(arrival, event) in the order in which they were handed on."""
        return self.lane.events

    def step(self) -> None:
        """One batch."""
        for item in self.source.next_batch():
            if isinstance(item, DeadLetter):
                self.dead_letters.append(item)
            elif isinstance(item, Decision):
                self.decisions.append(item)

    def wait_for(self, what: str, is_so: Callable[[], object]) -> None:
        """Step until it is so, or fail."""
        wait_for(what, is_so, self.step)

    def wait_for_events(self, count: int) -> None:
        """Step until so many events have come."""
        self.wait_for(f"{count} events", lambda: len(self.events) >= count)
