"""Which topics are read, and how their partitions are dealt out to lanes (docs/kafka.md).

The number of lanes L is fixed when a recovery store is made; lane l reads the partitions p with p % L = l. Producers
place a workflow by hash % partitions, so as long as the partitions are a multiple of L a workflow stays in its lane,
however often the topics grow.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from config.settings import Kafka

#: How long the brokers have to answer when the monitor starts.
START_TIMEOUT = timedelta(seconds=10)

log = structlog.get_logger(__name__)


class UnreadableTopicsError(Exception):
    """There is nothing to read; the message says where it was looked for and what to do."""


class BrokerAwayError(UnreadableTopicsError):
    """No broker answers. It may later: whoever supervises the monitor should start it again."""


class Topics(NamedTuple):
    """What is read: the number of partitions of each topic, run events first, and the number of lanes."""

    partitions: Mapping[str, int]
    lanes: int

    def places(self, lane: int) -> list[tuple[str, int]]:
        """Topic and partition of each log of a lane."""
        return [(name, place) for name, count in self.partitions.items() for place in range(lane, count, self.lanes)]


class LaneCount:
    """For how many lanes a recovery store was made: a file of it says so. Without a file nothing is kept."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    def kept(self) -> int | None:
        """None as long as nothing was kept."""
        if self._file is None or not self._file.exists():
            return None
        return int(self._file.read_text())

    def keep(self, lanes: int) -> int:
        """Keep it, unless another process of the cluster was faster; what is kept now."""
        if self._file is None:
            return lanes
        unfinished = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        unfinished.write_text(f"{lanes}\n")
        try:
            # Unlike a rename it fails where there is one, and unlike a plain write it is there as a whole.
            self._file.hardlink_to(unfinished)
        except FileExistsError:
            return int(self._file.read_text())
        finally:
            unfinished.unlink()
        return lanes


def find_topics(admin: AdminClient, kafka: Kafka, count: LaneCount) -> Topics:
    """Look for the topics and deal them out; `UnreadableTopicsError` when they can't be read."""
    where = kafka.bootstrap_servers
    try:
        partitions = partitions_of(admin, kafka, START_TIMEOUT)
    except KafkaException as error:
        admin.poll(0)
        raise BrokerAwayError(f"no Kafka broker answers at {where} ({error.args[0].name()})") from None
    if kafka.events_topic not in partitions:
        raise UnreadableTopicsError(f"no topic {kafka.events_topic} at {where}: make it with `breakwater init-topics`")
    if kafka.control_topic not in partitions:
        log.warning("kafka_no_control_topic", topic=kafka.control_topic)
    kept = count.kept()
    if kept is None:
        lanes = kafka.lanes or min(partitions.values())
        _check_new(partitions, lanes)
        kept = count.keep(lanes)
    if kafka.lanes not in (None, kept):
        raise UnreadableTopicsError(
            f"the recovery store was made for {kept} lanes, the settings say {kafka.lanes}: only a new store can have "
            f"another number"
        )
    _check_kept(partitions, kept)
    return Topics(partitions, kept)


def partitions_of(admin: AdminClient, kafka: Kafka, timeout: timedelta) -> dict[str, int]:
    """The partitions of the topics that are read, of those that are there; `KafkaException` when nobody answers."""
    # All topics: a question for one of them makes it, on brokers that make topics by themselves.
    found = admin.list_topics(timeout=timeout.total_seconds()).topics
    counts = {name: len(found[name].partitions) for name in (kafka.events_topic, kafka.control_topic) if name in found}
    return {name: count for name, count in counts.items() if count}


def _check_new(partitions: Mapping[str, int], lanes: int) -> None:
    if any(count % lanes for count in partitions.values()):
        raise UnreadableTopicsError(
            f"{_told(partitions)}: {lanes} lanes can't share them evenly. They must have the same number of "
            f"partitions, or multiples of it"
        )


def _check_kept(partitions: Mapping[str, int], lanes: int) -> None:
    if not any(count % lanes for count in partitions.values()):
        return
    most = max(partitions.values())
    raise UnreadableTopicsError(
        f"{_told(partitions)}, and the recovery store was made for {lanes} lanes: as {lanes} does not divide them, "
        f"workflows lie in other lanes than their state. Let them grow to {-(-most // lanes) * lanes} partitions, "
        f"the next multiple of {lanes}, and read in docs/kafka.md what became of the events written meanwhile"
    )


def _told(partitions: Mapping[str, int]) -> str:
    return " and ".join(f"{name} has {count} partitions" for name, count in partitions.items())
