"""Topics of Apache Kafka that grow while `breakwater run` reads them: every workflow stays in its lane."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cli.embedded.apache_kafka import ApacheKafka
from cli.embedded.process import free_port
from tests.dataflows.apache_given import Topics
from tests.dataflows.kafka_given import wait_for
from tests.dataflows.run_given import FIRST, SPAN, a_day, a_monitor, end_well, expected, ids, metrics, written
from tests.given import Line, changed, ended


@pytest.fixture
def topics(apache_kafka: ApacheKafka) -> Topics:
    return Topics(apache_kafka, 2)


def gate(partitions: Sequence[int]) -> list[list[Line]]:
    """Lines for these partitions of both topics; they decide nothing."""
    return [
        [ended(SPAN / 2, f"gate{one}", workflow_id="gate"), changed(SPAN / 2, "Live", "Paused", workflow_id="gate")]
        for one in partitions
    ]


def neighbouring_ports(count: int) -> int:
    """The first of several free ports in a row: process N serves its metrics on the first + N."""
    while True:
        first = free_port()
        with ExitStack() as stack:
            try:
                for number in range(count):
                    stack.enter_context(socket.create_server(("127.0.0.1", first + number)))
            except OSError:
                continue
            return first


def shut(topics: Topics, partitions: Sequence[int]) -> Producer:
    """Stop the stream in these partitions: nothing behind an open transaction can be read."""
    gatekeeper = topics.transaction()
    for one, lines in zip(partitions, gate(partitions), strict=True):
        topics.write(lines, partition=one, written=FIRST + SPAN, by=gatekeeper)
    return gatekeeper


@pytest.mark.parametrize("processes", ["1", "2"])
def test_topics_doubled_in_mid_stream_change_no_decision(topics: Topics, tmp_path: Path, processes: str) -> None:
    lines = a_day(3)
    half = SPAN
    first, second = lines[:half], lines[half:]
    then = expected([*first, *[line for pair in gate(range(4)) for line in pair], *second])
    topics.write(first, written=FIRST)
    old = shut(topics, [0, 1])
    port = neighbouring_ports(int(processes))
    with a_monitor(topics.settings, tmp_path, "--processes", processes, "--metrics-port", str(port)) as process:
        wait_for("some decisions", lambda: ids(tmp_path), patience=90)
        grown = topics.init("--grow", "--partitions", "4")
        assert grown.stdout.count("grown to 4 partitions") == 3, grown.stderr
        new = shut(topics, [2, 3])
        topics.write(second, written=FIRST + half + 10)
        lag = 'breakwater_kafka_lag{{partition="{}",topic="{}"}}'
        ports = [port + number for number in range(int(processes))]
        for place in (2, 3):
            name = lag.format(place, topics.settings.events_topic)
            wait_for("the new partitions", lambda name=name: any(name in metrics(one) for one in ports))  # type: ignore[misc]
        old.commit_transaction(30)
        new.commit_transaction(30)
        wait_for("all decisions", lambda: ids(tmp_path) >= then.keys(), patience=90)
        end_well(process)
    assert {decision.decision_id: decision for decision in written(tmp_path)} == then
    assert len(written(tmp_path)) == len(then), "nothing twice"
    assert sum(topics.committed().values()) == sum(topics.ends().values())
    assert len(topics.committed()) == 8


def test_growth_to_no_multiple_ends_the_monitor_with_what_to_do(topics: Topics, tmp_path: Path) -> None:
    lines = a_day(4)
    then = expected(lines)
    topics.write(lines, written=FIRST)
    with a_monitor(topics.settings, tmp_path) as process:
        wait_for("all decisions", lambda: len(ids(tmp_path)) >= len(then))
        topics.grow(3)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 2, said
    assert "kafka_topics_grew" in said
    events, control = topics.read
    assert said.splitlines()[-1] == (
        f"breakwater: --source: {events} has 3 partitions and {control} has 3 partitions, and the recovery store was "
        "made for 2 lanes: as 2 does not divide them, workflows lie in other lanes than their state. Let them grow to "
        "4 partitions, the next multiple of 2, and read in docs/kafka.md what became of the events written meanwhile"
    )
    topics.grow(4)
    with a_monitor(topics.settings, tmp_path) as process:
        topics.write([ended(SPAN, "next", workflow_id=f"wf{number}") for number in range(20)])
        wait_for("the end", lambda: topics.committed() == topics.ends())
        end_well(process)
    assert {decision.decision_id: decision for decision in written(tmp_path)} == then


def test_a_control_topic_that_comes_later_is_read_from_then_on(topics: Topics, tmp_path: Path) -> None:
    topics.admin.delete_topics([topics.settings.control_topic])[topics.settings.control_topic].result()
    topics.write([ended(0, "x")])
    with a_monitor(topics.settings, tmp_path) as process:
        wait_for("the event", topics.committed)
        assert topics.init("--partitions", "2").returncode == 0
        topics.write([changed(1, "Live", "Paused")])
        wait_for(
            "the control event", lambda: any(name == topics.settings.control_topic for name, _ in topics.committed())
        )
        end_well(process)
