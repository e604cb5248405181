"""Words for tests of other inputs: what stands in a topic."""

import time
from collections.abc import Callable

from confluent_kafka import Consumer, Message, TopicPartition

from config.settings import Kafka

PATIENCE = 30.0


def wait_for(what: str, is_so: Callable[[], object]) -> None:
    """Wait until it is so, or fail."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def read_topic(kafka: Kafka, topic: str, count: int) -> list[Message]:
    """The messages of a topic, from the earliest on, once there are so many."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "test", "log_level": 2})
    try:
        partitions = consumer.list_topics(timeout=PATIENCE).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        found: list[Message] = []
        end = time.monotonic() + PATIENCE
        while len(found) < count and time.monotonic() < end:
            found += [message for message in consumer.consume(count, 0.1) if message.error() is None]
    finally:
        consumer.close()
    assert len(found) == count
    return found
