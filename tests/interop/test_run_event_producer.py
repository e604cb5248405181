"""Run events are acknowledged by the broker, or their sender hears that they are not."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from confluent_kafka import KafkaError, KafkaException

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from sinks.run_events import RunEventProducer
from tests.interop.interop_given import read_topic

PATIENCE = 30
#: The request to write, in Kafka's protocol.
PRODUCE = 0


@pytest.fixture
def kafka(mock_kafka: MockKafka) -> Kafka:
    mock_kafka.create_topic("run_events", 8)
    return Kafka(bootstrap_servers=mock_kafka.bootstrap_servers)


@pytest.fixture
def producer(kafka: Kafka) -> Iterator[RunEventProducer]:
    made = RunEventProducer(kafka, timedelta(seconds=5))
    yield made
    made.close()


def test_records_are_there_when_the_future_is_done(producer: RunEventProducer, kafka: Kafka) -> None:
    records = [(f"wf{number % 5}".encode(), str(number).encode()) for number in range(200)]
    producer.send(records).result(PATIENCE)
    found = read_topic(kafka, "run_events", 200)
    for key in {key for key, _ in records}:
        ours = [message for message in found if message.key() == key]
        assert [message.value() for message in ours] == [value for one, value in records if one == key]
        assert len({message.partition() for message in ours}) == 1


def test_keys_go_where_a_java_producer_puts_them(producer: RunEventProducer, kafka: Kafka) -> None:
    # org.apache.kafka.common.utils.Utils.murmur2("21") = -973932308: its own tests have it.
    producer.send([(b"21", b"x")]).result(PATIENCE)
    (message,) = read_topic(kafka, "run_events", 1)
    assert message.partition() == (-973932308 & 0x7FFFFFFF) % 8


def test_nothing_to_send_is_sent_at_once(producer: RunEventProducer) -> None:
    assert producer.send([]).done()


def test_a_broker_that_is_away_is_no_acknowledgement(producer: RunEventProducer, mock_kafka: MockKafka) -> None:
    mock_kafka.take_down()
    with pytest.raises(KafkaException):
        producer.send([(b"wf1", b"x")]).result(PATIENCE)
    mock_kafka.bring_up()
    producer.send([(b"wf1", b"x")]).result(PATIENCE)


def test_one_that_can_not_be_sent_fails_all_after_it(producer: RunEventProducer, kafka: Kafka) -> None:
    with pytest.raises(KafkaException) as failed:
        producer.send([(b"wf1", b"1"), (b"wf1", b"x" * (3 << 20)), (b"wf1", b"2")]).result(PATIENCE)
    assert failed.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert [message.value() for message in read_topic(kafka, "run_events", 1)] == [b"1"]


def test_an_error_that_ends_the_client_does_not_end_the_producer(
    producer: RunEventProducer, mock_kafka: MockKafka, kafka: Kafka
) -> None:
    producer.send([(b"wf1", b"0")]).result(PATIENCE)
    mock_kafka.answer_with_errors(PRODUCE, [KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER])
    with pytest.raises(KafkaException):
        producer.send([(b"wf1", b"1")]).result(PATIENCE)
    producer.send([(b"wf1", b"2")]).result(PATIENCE)
    assert read_topic(kafka, "run_events", 2)[-1].value() == b"2"
