"""Words for tests of the dataflow `gate`: requests in, a process that answers, what stands in the topics then."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.dataflows.apache_given import Topics
from tests.dataflows.kafka_given import PATIENCE, environment, wait_for


def run_request(workflow_id: str = "live", key: str = "k1", **changes: Any) -> dict[str, Any]:
    """A request of the scheduler of t1."""
    return {
        "tenant_id": "t1",
        "workflow_id": workflow_id,
        "trigger": "schedule",
        "idempotency_key": key,
        **changes,
    }


class GateTopics(Topics):
    """Topics of a test's own, with the gate's."""

    def ask(self, *requests: dict[str, Any] | bytes, partition: int = -1) -> None:
        """Write requests, by their workflow."""
        client = self.producer()
        for request in requests:
            raw = request if isinstance(request, bytes) else json.dumps(request).encode()
            key = b"" if isinstance(request, bytes) else request["workflow_id"].encode()
            client.produce(self.settings.requests_topic, raw, key, partition=partition)
            client.poll(0)
        assert client.flush(PATIENCE) == 0

    def jobs(self) -> list[dict[str, Any]]:
        """Those that were admitted, as a reader of committed messages sees them."""
        return [json.loads(value) for value in self._committed(self.settings.jobs_topic)]

    def refusals(self) -> list[dict[str, Any]]:
        """The events of refused runs."""
        return [json.loads(value) for value in self._committed(self.settings.events_topic)]

    def letters(self) -> list[bytes]:
        """What could not be answered."""
        return self._committed(self.settings.requests_dead_letter_topic)

    def _committed(self, topic: str) -> list[bytes]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.bootstrap_servers,
                "group.id": "reader",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "log_level": 2,
            }
        )
        try:
            partitions = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            found: list[bytes] = []
            ended: set[int | None] = set()
            while len(ended) < len(partitions):
                for message in consumer.consume(1_000, 1):
                    if message.error() is not None:
                        ended.add(message.partition())
                    else:
                        found.append(message.value() or b"")
            return found
        finally:
            consumer.close()

    def wait_for_jobs(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many are there, or fail."""
        wait_for(f"{count} jobs", lambda: len(self.jobs()) >= count)
        return self.jobs()


def start_gate(topics: Topics, database_url: str, *options: str, **more: str) -> "subprocess.Popen[str]":
    """`breakwater gate`."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "gate", *options],
        env={
            **os.environ,
            **environment(topics.settings),
            "BREAKWATER_POSTGRES__URL": database_url,
            "BREAKWATER_GATE__GROUP": f"gate.{topics.settings.events_topic}",
            **more,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def a_gate(topics: Topics, database_url: str, *options: str, **more: str) -> Iterator["subprocess.Popen[str]"]:
    """A gate that is asked to end at the end of the block, and does."""
    process = start_gate(topics, database_url, *options, **more)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def keys_of(jobs: Sequence[dict[str, Any]]) -> list[str]:
    """The keys of jobs, in their order in the topic."""
    return [job["idempotency_key"] for job in jobs]
