"""Words for tests against Apache Kafka: topics of a test's own, what is written to them, what a lag tool sees."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, OffsetSpec

from cli.embedded.apache_kafka import ApacheKafka
from config.settings import Kafka
from dataflows.sources.topic_log import GROUP
from tests.dataflows.kafka_given import GRACE, LARGE, PATIENCE, environment
from tests.given import Line

_numbers = count(1)


class Topics:
    """Topics that no other test knows, made by `breakwater init-topics`."""

    def __init__(self, broker: ApacheKafka, partitions: int) -> None:
        number = next(_numbers)
        self.broker = broker
        self.settings = Kafka(
            bootstrap_servers=broker.bootstrap_servers,
            outage_grace=GRACE,
            growth_check=timedelta(milliseconds=500),
            events_topic=f"run_events.{number}",
            control_topic=f"monitor_control.{number}",
            status_topic=f"automation_status_changed.{number}",
            credential_topic=f"credential_events.{number}",
            dead_letter_topic=f"run_events.dead_letter.{number}",
            decisions_dead_letter_topic=f"decisions.dead_letter.{number}",
            requests_topic=f"execution_requests.{number}",
            jobs_topic=f"execution_jobs.{number}",
            requests_dead_letter_topic=f"execution_requests.dead_letter.{number}",
        )
        self.admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 2})
        made = self.init("--partitions", str(partitions))
        assert made.returncode == 0, made.stderr

    def init(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """`breakwater init-topics`."""
        return subprocess.run(
            [sys.executable, "-m", "cli", "init-topics", *options],
            env={**os.environ, **environment(self.settings)},
            capture_output=True,
            text=True,
            check=False,
        )

    def producer(self, **settings: str | int) -> Producer:
        """A client that writes where the platform's own would: by the key, as Java does it."""
        return Producer(
            {
                "bootstrap.servers": self.settings.bootstrap_servers,
                "log_level": 2,
                "partitioner": "murmur2_random",
                **LARGE,
                **{name.replace("_", "."): value for name, value in settings.items()},
            }
        )

    def transaction(self) -> Producer:
        """A client with a transaction begun; whoever asked for it ends it."""
        client = self.producer(transactional_id=f"{self.settings.events_topic}.{next(_numbers)}")
        client.init_transactions(PATIENCE)
        client.begin_transaction()
        return client

    def write(
        self, lines: Sequence[Line | bytes], *, partition: int = -1, written: int = 0, by: Producer | None = None
    ) -> None:
        """Write lines in their order, by their workflow; to the control topic those with a kind.

        `written` is the time of writing of the first in milliseconds, each next one stands a millisecond later;
        without it that is now. `by` is the client to use instead of one without compression or transactions.
        """
        client = by or self.producer()
        for number, line in enumerate(lines):
            raw = line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()
            key = b"" if isinstance(line, bytes) else line["workflow_id"].encode()
            client.produce(self._topic_of(line), raw, key, partition=partition, timestamp=written and written + number)
            client.poll(0)
        assert client.flush(PATIENCE) == 0

    def grow(self, partitions: int) -> None:
        """Give the topics that are read more partitions, whatever that does to workflows."""
        for future in self.admin.create_partitions([NewPartitions(name, partitions) for name in self.read]).values():
            future.result()

    @property
    def read(self) -> tuple[str, str]:
        """The topics that the monitor reads."""
        return self.settings.events_topic, self.settings.control_topic

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Drop the messages of a partition before an offset, as retention does."""
        for future in self.admin.delete_records([TopicPartition(topic, partition, before)]).values():
            future.result()

    def ends(self) -> dict[tuple[str, int], int]:
        """The offset after the last message of each partition, of those with messages."""
        topics = self.admin.list_topics(timeout=PATIENCE).topics
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = {TopicPartition(name, number): latest for name in self.read for number in topics[name].partitions}
        found = self.admin.list_offsets(places)
        ends = {(place.topic, place.partition): future.result().offset for place, future in found.items()}
        return {place: end for place, end in ends.items() if end}

    def committed(self) -> dict[tuple[str, int], int]:
        """The positions that lag tools see, of partitions that were read."""
        asked = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)])
        found: Any = next(iter(asked.values())).result()
        places = [place for place in found.topic_partitions if place.topic in self.read]
        return {(place.topic, place.partition): place.offset for place in places if place.offset > 0}

    def _topic_of(self, line: Line | bytes) -> str:
        is_control = not isinstance(line, bytes) and "kind" in line
        return self.settings.control_topic if is_control else self.settings.events_topic
