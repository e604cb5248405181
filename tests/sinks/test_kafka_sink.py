"""Writing to a topic: durable when it returns, or an error."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from sinks.kafka import KEPT_BYTES, MAX_MESSAGE_BYTES, Record, TopicWriter

#: The request to write, in Kafka's protocol.
PRODUCE = 0


@pytest.fixture
def mock() -> Iterator[MockKafka]:
    with MockKafka() as one:
        one.create_topic("letters", 1)
        yield one


def _writer(mock: MockKafka) -> TopicWriter:
    return TopicWriter(Kafka(bootstrap_servers=mock.bootstrap_servers), "letters")


def _read(mock: MockKafka) -> list[Message]:
    consumer = Consumer(
        {"bootstrap.servers": mock.bootstrap_servers, "group.id": "reader", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition("letters", 0, OFFSET_BEGINNING)])
    found: list[Message] = []
    while not found or found[-1].error() is None:
        found += consumer.consume(1, 20)
    consumer.close()
    return found[:-1]


def test_all_is_written_when_the_call_returns(mock: MockKafka) -> None:
    _writer(mock).write(Record(b"%d" % number, b"\xff\x00%d" % number, [("code", "x")]) for number in range(1000))
    found = _read(mock)
    assert [(message.key(), message.value()) for message in found] == [
        (b"%d" % number, b"\xff\x00%d" % number) for number in range(1000)
    ]
    assert found[0].headers() == [("code", b"x")]


def test_what_the_broker_finds_too_large_is_cut_and_says_so(mock: MockKafka) -> None:
    mock.answer_with_errors(PRODUCE, [KafkaError.MSG_SIZE_TOO_LARGE])
    _writer(mock).write([Record(b"k", b"y" * (2 << 20), [("code", "too_large")])])
    (message,) = _read(mock)
    assert message.value() == b"y" * KEPT_BYTES
    assert message.headers() == [("code", b"too_large"), ("cut_to", b"%d" % KEPT_BYTES)]


def test_what_passes_is_tried_again(mock: MockKafka) -> None:
    mock.answer_with_errors(PRODUCE, [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.NOT_ENOUGH_REPLICAS])
    _writer(mock).write([Record(b"k", b"v", [])])
    assert [message.value() for message in _read(mock)] == [b"v"]


def test_what_does_not_pass_is_raised(mock: MockKafka) -> None:
    mock.answer_with_errors(PRODUCE, [KafkaError.TOPIC_AUTHORIZATION_FAILED])
    writer = _writer(mock)
    with pytest.raises(KafkaException) as raised:
        writer.write([Record(b"k", b"v", [])])
    assert raised.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert _read_count(mock) == 0


def test_no_thread_is_told_that_its_record_is_written_when_no_broker_took_it() -> None:
    writer = TopicWriter(Kafka(bootstrap_servers="127.0.0.1:1"), "letters", timedelta(seconds=1))

    def write(number: int) -> KafkaException | None:
        try:
            writer.write([Record(b"k", b"%d" % number, [])])
        except KafkaException as error:
            return error
        return None

    with ThreadPoolExecutor(5) as threads:
        errors = list(threads.map(write, range(10)))
    assert [error and error.args[0].code() for error in errors] == [KafkaError._MSG_TIMED_OUT] * 10


def test_of_two_threads_only_the_one_whose_record_is_refused_gets_an_error(mock: MockKafka) -> None:
    writer = _writer(mock)
    refused = Record(b"k", b"x" * (MAX_MESSAGE_BYTES + 1), [("h", "x" * MAX_MESSAGE_BYTES)])

    def write(number: int) -> bool:
        try:
            writer.write([refused if number % 2 else Record(b"k", b"%d" % number, [])])
        except KafkaException:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(write, range(20)))
    assert written == [True, False] * 10
    assert {message.value() for message in _read(mock)} == {b"%d" % number for number in range(0, 20, 2)}


def _read_count(mock: MockKafka) -> int:
    consumer = Consumer({"bootstrap.servers": mock.bootstrap_servers, "group.id": "reader"})
    low, high = consumer.get_watermark_offsets(TopicPartition("letters", 0), timeout=20)
    consumer.close()
    return high - low
