"""`breakwater run --source kafka` as a process of its own, killed and started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from tests.dataflows.kafka_given import Broker, a_broker, wait_for
from tests.dataflows.run_given import (
    FIRST,
    a_day,
    a_day_whatever_the_clock,
    a_monitor,
    end_well,
    expected,
    expected_with,
    ids,
    written,
)
from tests.given import DAY, denied, started


@pytest.fixture
def broker() -> Iterator[Broker]:
    with a_broker() as one:
        yield one


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_same_events_give_the_same_decisions_as_detect(broker: Broker, tmp_path: Path, processes: str) -> None:
    lines = a_day(1)
    then = expected(lines)
    assert {kind.value: count for kind, count in Counter(one.kind for one in then.values()).items()}.keys() == {
        "block_for_credentials",
        "execution_stuck",
        "execution_recovered",
        "blacklist_workflow",
        "silence",
    }
    broker.write(lines, written=FIRST)
    with a_monitor(broker.settings, tmp_path, "--processes", processes) as process:
        wait_for("all decisions", lambda: len(ids(tmp_path)) >= len(then))
        end_well(process)
    first = written(tmp_path)
    assert {decision.decision_id: decision for decision in first} == then
    assert len(first) == len(then)
    with a_monitor(broker.settings, tmp_path) as process:
        broker.write(late := [denied(DAY, f"late{number}", workflow_id="fresh") for number in range(3)])
        wait_for("the new decision", lambda: len(ids(tmp_path)) > len(then))
        end_well(process)
    assert written(tmp_path)[: len(first)] == first
    assert ids(tmp_path) == expected_with(late, lines).keys()


def test_a_kill_loses_nothing_and_repeats_the_same_ids_only(broker: Broker, tmp_path: Path) -> None:
    lines = a_day_whatever_the_clock(2)
    then = expected(lines)
    part = 1 + len(lines) // 3
    broker.write(lines[:part], written=FIRST)
    with a_monitor(broker.settings, tmp_path) as process:
        wait_for("some decisions", lambda: ids(tmp_path))
        process.send_signal(signal.SIGKILL)
    seen = ids(tmp_path)
    broker.write(lines[part : 2 * part], written=FIRST + part)
    with a_monitor(broker.settings, tmp_path) as process:
        wait_for("more decisions", lambda: len(ids(tmp_path) - seen) > 5)
        process.send_signal(signal.SIGKILL)
    seen |= ids(tmp_path)
    broker.write(lines[2 * part :], written=FIRST + 2 * part)
    with a_monitor(broker.settings, tmp_path) as process:
        wait_for("all decisions", lambda: ids(tmp_path) >= then.keys())
        end_well(process)
    assert seen <= then.keys()
    assert {decision.decision_id: decision for decision in written(tmp_path)} == then


def test_what_cant_be_used_lands_on_its_topic_as_it_came(broker: Broker, tmp_path: Path) -> None:
    large = b'{"x": "' + b"y" * 1_100_000 + b'"}'
    bad = [b"\x00\xff{", b"[1]", large]
    broker.write([started(0), *bad], partition=1)
    with a_monitor(broker.settings, tmp_path) as process:
        letters = read(broker, "run_events.dead_letter", 3)
        end_well(process)
    assert [letter.value() for letter in letters] == bad
    assert [letter.key() for letter in letters] == [f"run_events/1/{offset}".encode() for offset in (1, 2, 3)]
    headers = [{name: value.decode() for name, value in letter.headers() or []} for letter in letters]
    assert [one["code"] for one in headers] == ["not_json", "not_an_object", "too_large"]
    for one, raw, offset in zip(headers, bad, "123", strict=True):
        assert (one["source_topic"], one["source_partition"], one["source_offset"]) == ("run_events", "1", offset)
        assert (one["size"], one["sha256"]) == (str(len(raw)), sha256(raw).hexdigest())
        assert one["explanation"]


def test_what_cant_be_used_goes_to_a_file_where_one_is_named(broker: Broker, tmp_path: Path) -> None:
    broker.write([b"{}"], partition=2)
    file = tmp_path / "dead.ndjson"
    with a_monitor(broker.settings, tmp_path, "--dead-letters", str(file)) as process:
        wait_for("a dead letter", lambda: file.exists() and file.read_bytes().endswith(b"\n"))
        end_well(process)
    row = json.loads(file.read_bytes())
    assert (row["code"], row["topic"], row["partition"], row["offset"]) == ("missing_field", "run_events", 2, 0)


def test_metrics_are_served_on_loopback(broker: Broker, tmp_path: Path) -> None:
    broker.write([b"{}", started(0)], partition=2)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    with a_monitor(broker.settings, tmp_path, "--metrics-port", str(port)) as process:
        wait_for("the lag", lambda: 'breakwater_kafka_lag{partition="2",topic="run_events"} 0.0' in page())
        assert 'breakwater_dead_letters_total{code="missing_field"} 1.0' in page()
        assert 'breakwater_watermark_seconds{partition="2"}' in page()
        end_well(process)


def test_a_missing_topic_ends_the_command_with_what_to_do(tmp_path: Path) -> None:
    with a_broker(control=False) as broker:
        said = subprocess.run(
            [sys.executable, "-m", "cli", "run", "--sink", f"file:{tmp_path / 'out'}"],
            env={
                **os.environ,
                "BREAKWATER_KAFKA__EVENTS_TOPIC": "elsewhere",
                "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": broker.settings.bootstrap_servers,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        where = broker.settings.bootstrap_servers
        assert said.returncode == 2
        assert said.stderr == (
            f"breakwater: --source: no topic elsewhere at {where}: make it with `breakwater init-topics`\n"
        )


def test_a_broker_that_does_not_answer_ends_the_command_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        where = f"127.0.0.1:{deaf.getsockname()[1]}"
        said = subprocess.run(
            [sys.executable, "-m", "cli", "run", "--sink", f"file:{tmp_path / 'out'}"],
            env={**os.environ, "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": where},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert said.returncode == 1, "it may answer later: a supervisor should try again"
    assert said.stderr == f"breakwater: --source: no Kafka broker answers at {where} (_TRANSPORT)\n"


def read(broker: Broker, topic: str, count: int) -> list[Message]:
    """The first messages of a topic's only partition."""
    consumer = Consumer({"bootstrap.servers": broker.settings.bootstrap_servers, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    found: list[Message] = []
    wait_for("messages", lambda: len(found) >= count, lambda: found.extend(consumer.consume(count, 0.1)))
    consumer.close()
    return found
