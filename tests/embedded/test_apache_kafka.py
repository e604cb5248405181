"""The embedded Apache Kafka is a real broker that keeps its data, makes no topics by itself and ends with its owner."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from cli.embedded.apache_kafka import ApacheKafka, NoKafkaError, find_jars
from cli.embedded.process import ChildError, is_listening


def _make(broker: ApacheKafka, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(10)


def _write(broker: ApacheKafka, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 2})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def _read(broker: ApacheKafka, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader", "log_level": 2})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    messages = consumer.consume(count, 30)
    consumer.close()
    return [message.value() for message in messages]  # type: ignore[misc]  # a message without error has a value


def test_what_was_written_is_there_after_a_kill_and_after_a_stop(apache_kafka: ApacheKafka) -> None:
    where = apache_kafka.bootstrap_servers
    _make(apache_kafka, "embedded-kept")
    _write(apache_kafka, "embedded-kept", b"1", b"2")
    apache_kafka.kill()
    apache_kafka.start()
    _write(apache_kafka, "embedded-kept", b"3")
    apache_kafka.stop()
    apache_kafka.start()
    assert _read(apache_kafka, "embedded-kept", 3) == [b"1", b"2", b"3"]
    assert apache_kafka.bootstrap_servers == where


def test_no_topic_is_made_by_asking_for_it(apache_kafka: ApacheKafka) -> None:
    consumer = Consumer({"bootstrap.servers": apache_kafka.bootstrap_servers, "group.id": "reader", "log_level": 2})
    consumer.assign([TopicPartition("embedded-never", 0)])
    consumer.poll(0.5)
    admin = AdminClient({"bootstrap.servers": apache_kafka.bootstrap_servers})
    assert "embedded-never" not in admin.list_topics(timeout=10).topics
    consumer.close()


_OWNER = """
import sys
from pathlib import Path
from cli.embedded.apache_kafka import ApacheKafka
broker = ApacheKafka(Path(sys.argv[1]))
broker.start()
print(broker.pid, broker.bootstrap_servers, flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("apache_kafka")
def test_it_ends_with_its_owner_and_keeps_a_given_folder(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout
    pid, where = owner.stdout.readline().split()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    end = time.monotonic() + 30
    while is_listening(int(where.rpartition(":")[2])) or Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, "it lives on"
        time.sleep(0.05)
    assert (tmp_path / "data").is_dir()


def test_without_jars_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BREAKWATER_KAFKA_JARS", str(tmp_path))
    with pytest.raises(NoKafkaError, match=r"no jars of Apache Kafka: \.ci/kafka/fetch fetches them"):
        find_jars()


def test_a_java_that_does_not_run_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho too old >&2\nexit 3\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ChildError, match=r"could not be formatted \(code 3\)\ntoo old"):
        ApacheKafka(tmp_path / "data", jars=tmp_path).start()
    assert not (tmp_path / "data" / "server.properties").exists()
