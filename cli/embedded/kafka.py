"""A broker of the Kafka protocol inside this process, for the demo and the tests.

librdkafka carries a mock cluster for its own tests; the library that comes with confluent-kafka exports it,
so it takes no further dependency. Other processes reach it over TCP on loopback. It keeps all in memory,
and of each partition only the last 5 MB or 100,000 messages: older ones go without a word. It does not know
admin requests that make topics, so `create_topic` does that here. For a real log use Apache Kafka.
"""

import ctypes
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType

import confluent_kafka

_PRODUCER = 0
_ERROR_TEXT = 512


class MockKafkaError(Exception):
    """The mock cluster could not do what it was asked for."""


class MockKafka:
    """A mock cluster, up as soon as it is made; use it as a context manager.

    Not for use from several threads at once.
    """

    def __init__(self, brokers: int = 1) -> None:
        """`OSError` when librdkafka can't be found beside confluent-kafka."""
        self._library = _library()
        text = ctypes.create_string_buffer(_ERROR_TEXT)
        settings = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(settings, b"log_level", b"2", text, _ERROR_TEXT)
        self._client = self._library.rd_kafka_new(_PRODUCER, settings, text, _ERROR_TEXT)
        if not self._client:
            raise MockKafkaError(text.value.decode())
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, brokers)
        if not self._cluster:
            self._library.rd_kafka_destroy(self._client)
            raise MockKafkaError("the mock cluster did not start")
        self._brokers = range(1, brokers + 1)
        bootstraps: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        #: `host:port` of each broker, separated by commas.
        self.bootstrap_servers = bootstraps.decode()

    def __enter__(self) -> "MockKafka":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic; `MockKafkaError` when it is there already."""
        self._check(self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1))

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Drop the messages of a partition before an offset, as retention does."""
        self._check(
            self._library.rd_kafka_mock_partition_delete_records(self._cluster, topic.encode(), partition, before)
        )

    def take_down(self) -> None:
        """Close all connections and take no more; what was written stays."""
        for broker in self._brokers:
            self._check(self._library.rd_kafka_mock_broker_set_down(self._cluster, broker))

    def bring_up(self) -> None:
        """Take connections again."""
        for broker in self._brokers:
            self._check(self._library.rd_kafka_mock_broker_set_up(self._cluster, broker))

    def answer_with_errors(self, request: int, errors: Sequence[int]) -> None:
        """Answer the next requests of a kind with these errors, one each, then as usual.

        `request` is the API key of Kafka's protocol (0 produce, 1 fetch, 3 metadata, ...), an error one of its codes.
        """
        codes = (ctypes.c_int * len(errors))(*errors)
        push = self._library.rd_kafka_mock_push_request_errors_array
        push(self._cluster, ctypes.c_int16(request), ctypes.c_size_t(len(errors)), codes)

    def slow_down(self, round_trip: timedelta) -> None:
        """Make each broker take this long for an answer; zero ends it."""
        milliseconds = round(round_trip.total_seconds() * 1000)
        for broker in self._brokers:
            self._check(self._library.rd_kafka_mock_broker_set_rtt(self._cluster, broker, milliseconds))

    def close(self) -> None:
        """End the cluster; what it holds is gone. A second call does nothing."""
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
            self._cluster = None

    def _check(self, code: int) -> None:
        if code:
            raise MockKafkaError(confluent_kafka.KafkaError(code).name())


def _library() -> ctypes.CDLL:
    """The librdkafka that confluent-kafka has loaded: `confluent_kafka.libs` on Linux, `.dylibs` on macOS."""
    package = Path(confluent_kafka.__file__).parent
    found = [*package.parent.glob("confluent_kafka.libs/librdkafka*"), *package.glob(".dylibs/librdkafka*")]
    if not found:
        raise FileNotFoundError(f"no librdkafka beside {package}")
    library = ctypes.CDLL(str(found[0]))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[object, list[object]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_partition_delete_records": (number, [pointer, text, ctypes.c_int32, ctypes.c_int64]),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_rtt": (number, [pointer, ctypes.c_int32, number]),
        "rd_kafka_mock_push_request_errors_array": (None, [pointer, ctypes.c_int16, ctypes.c_size_t, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
