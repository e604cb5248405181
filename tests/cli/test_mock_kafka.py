"""The embedded broker speaks Kafka's protocol over TCP."""

import subprocess
import sys
import time
from datetime import timedelta

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from cli.embedded.kafka import MockKafka, MockKafkaError

#: Its number in the protocol.
_PRODUCE = 0

_READ_ONE = """
import sys
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "reader"})
consumer.assign([TopicPartition("events", 1, OFFSET_BEGINNING)])
message = consumer.poll(20)
print(message.offset(), message.value().decode())
consumer.close()
"""


def test_another_process_reads_what_this_one_wrote() -> None:
    with MockKafka() as kafka:
        kafka.create_topic("events", 2)
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 2})
        producer.produce("events", value=b"hello", partition=1)
        assert producer.flush(10) == 0
        read = subprocess.run(
            [sys.executable, "-c", _READ_ONE, kafka.bootstrap_servers],
            capture_output=True,
            text=True,
            check=True,
        )
        assert read.stdout == "0 hello\n"


def test_a_topic_has_the_partitions_that_were_asked_for_and_is_made_once() -> None:
    with MockKafka() as kafka:
        kafka.create_topic("events", 7)
        topics = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 2}).list_topics(timeout=10)
        assert {name: len(topic.partitions) for name, topic in topics.topics.items()} == {"events": 7}
        with pytest.raises(MockKafkaError, match="TOPIC_ALREADY_EXISTS"):
            kafka.create_topic("events", 7)


def test_what_was_written_outlives_an_outage() -> None:
    with MockKafka() as kafka:
        kafka.create_topic("events", 2)
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 2})
        producer.produce("events", value=b"before", partition=1)
        assert producer.flush(10) == 0
        kafka.take_down()
        producer.produce("events", value=b"during", partition=1)
        assert producer.flush(0.5) == 1
        kafka.bring_up()
        assert producer.flush(20) == 0


def test_requests_fail_as_often_as_they_are_told_to() -> None:
    with MockKafka() as kafka:
        kafka.create_topic("events", 1)
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 2, "retries": 0})
        outcomes: list[KafkaError | None] = []
        kafka.answer_with_errors(_PRODUCE, [KafkaError.MSG_SIZE_TOO_LARGE])
        for _ in range(2):
            producer.produce("events", value=b"x", on_delivery=lambda error, _message: outcomes.append(error))
            assert producer.flush(10) == 0
        assert [error and error.code() for error in outcomes] == [KafkaError.MSG_SIZE_TOO_LARGE, None]


def test_a_slow_broker_answers_late() -> None:
    with MockKafka() as kafka:
        client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 2})
        client.list_topics(timeout=10)
        kafka.slow_down(timedelta(seconds=0.5))
        with pytest.raises(KafkaException):
            client.list_topics(timeout=0.2)
        asked = time.monotonic()
        client.list_topics(timeout=10)
        assert time.monotonic() - asked > 0.4
