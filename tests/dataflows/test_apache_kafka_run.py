"""`breakwater run` against Apache Kafka: brokers that die, stops in good order, a sink that stands still."""

import json
import resource
import signal
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli.embedded.apache_kafka import ApacheKafka
from tests.dataflows.apache_given import Topics
from tests.dataflows.kafka_given import go_on, wait_for
from tests.dataflows.run_given import FIRST, SPAN, a_day, a_monitor, end_well, expected, expected_with, ids, written
from tests.given import DAY, Line, changed, denied, ended
from tests.lifecycle.given import given_world, version

PARTITIONS = 3

#: What librdkafka holds ready of a log, and what the allocator rounds up; the messages below are more than twice that.
QUEUES = 64 << 20


@pytest.fixture
def topics(apache_kafka: ApacheKafka) -> Topics:
    return Topics(apache_kafka, PARTITIONS)


def test_months_of_backlog_give_what_detect_gives_and_a_stop_leaves_nothing_unread(
    topics: Topics, tmp_path: Path
) -> None:
    lines = a_day(1)
    then = expected(lines)
    topics.write(lines, written=FIRST, by=topics.producer(compression_codec="lz4"))
    with a_monitor(topics.settings, tmp_path) as process:
        wait_for("all decisions", lambda: len(ids(tmp_path)) >= len(then))
        end_well(process)
    first = written(tmp_path)
    assert {decision.decision_id: decision for decision in first} == then
    assert len(first) == len(then), "nothing twice"
    assert topics.committed() == topics.ends(), "lag tools see that all was read"
    with a_monitor(topics.settings, tmp_path) as process:
        topics.write(late := [denied(DAY, f"late{number}", workflow_id="fresh") for number in range(3)])
        wait_for("the new decision", lambda: len(ids(tmp_path)) > len(then))
        end_well(process)
    assert written(tmp_path)[: len(first)] == first
    assert Counter(decision.decision_id for decision in written(tmp_path)) == Counter(expected_with(late, lines).keys())
    assert topics.committed() == topics.ends()


class Gate:
    """A place in the stream behind which nothing can be seen until it is opened: an open transaction in every log.

    So the stream can stand in its middle, and no clock is followed there.
    """

    def __init__(self, topics: Topics, name: str, at: int) -> None:
        """`at`: the number of the line before which it stands."""
        minute = SPAN / 2
        self.lines: list[Line] = []
        self._client = topics.transaction()
        for partition in range(PARTITIONS):
            lines = [
                ended(minute, f"{name}{partition}", workflow_id=name),
                changed(minute, "Live", "Paused", workflow_id=name),
            ]
            topics.write(lines, partition=partition, written=FIRST + at, by=self._client)
            self.lines += lines

    def open(self) -> None:
        """Let the stream go on."""
        self._client.commit_transaction(30)


def test_a_broker_killed_in_mid_stream_changes_no_decision(topics: Topics, tmp_path: Path) -> None:
    lines = a_day(2)
    half = len(lines) // 2
    topics.write(lines[:half], written=FIRST)
    gate = Gate(topics, "gate", half)
    topics.write(lines[half:], written=FIRST + half + 2)
    then = expected([*lines[:half], *gate.lines, *lines[half:]])
    with a_monitor(topics.settings, tmp_path) as process:
        wait_for("some decisions", lambda: ids(tmp_path))
        topics.broker.kill()
        topics.broker.start()
        gate.open()
        wait_for("all decisions", lambda: ids(tmp_path) >= then.keys())
        end_well(process)
    assert {decision.decision_id: decision for decision in written(tmp_path)} == then
    assert len(written(tmp_path)) == len(then), "resumed by itself: nothing was read twice"


def test_a_monitor_killed_in_mid_stream_loses_nothing_and_repeats_the_same_ids_only(
    topics: Topics, tmp_path: Path
) -> None:
    lines = a_day(2)
    cuts = len(lines) // 3, 2 * len(lines) // 3
    topics.write(lines[: cuts[0]], written=FIRST)
    first = Gate(topics, "first", cuts[0])
    topics.write(lines[cuts[0] : cuts[1]], written=FIRST + cuts[0] + 2)
    second = Gate(topics, "second", cuts[1] + 2)
    topics.write(lines[cuts[1] :], written=FIRST + cuts[1] + 4)
    then = expected([*lines[: cuts[0]], *first.lines, *lines[cuts[0] : cuts[1]], *second.lines, *lines[cuts[1] :]])
    seen: set[str] = set()
    for gate in (first, second):
        with a_monitor(topics.settings, tmp_path) as process:
            wait_for("more decisions", lambda: len(ids(tmp_path) - seen) > 5)  # noqa: B023  (called in this round only)
            process.send_signal(signal.SIGKILL)
        seen |= ids(tmp_path)
        gate.open()
    with a_monitor(topics.settings, tmp_path) as process:
        wait_for("all decisions", lambda: ids(tmp_path) >= then.keys())
        end_well(process)
    assert seen <= then.keys()
    assert {decision.decision_id: decision for decision in written(tmp_path)} == then


def test_a_sink_that_stands_still_holds_the_stream_up_and_memory_does_not_grow(
    apache_kafka: ApacheKafka, engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    given_world(engine)
    topics = Topics(apache_kafka, 1)
    topics.write([denied(number, f"x{number}") for number in range(3)])
    with engine.connect() as blocker, a_monitor(topics.settings, tmp_path, database=database_url) as process:
        blocker.execute(sa.text("LOCK TABLE decisions IN ACCESS EXCLUSIVE MODE"))
        with engine.connect() as onlooker:
            waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'decisions'::regclass")
            wait_for("the sink", lambda: onlooker.scalar(waits))
        before = _memory(process.pid)
        many = [json.dumps(ended(number / 1e6, f"y{number}", payload="p" * 500)).encode() for number in range(200_000)]
        topics.write(
            many, by=topics.producer(compression_codec="lz4", linger_ms=5, queue_buffering_max_messages=400_000)
        )
        go_on(3, lambda: None)
        assert _memory(process.pid) - before < QUEUES
        assert topics.committed() == {}, "nothing is said to be done that is not"
        blocker.rollback()
        wait_for("the end of the log", lambda: topics.committed() == topics.ends())
        assert version(engine)["status"] == "Blocked"
        end_well(process)


def _memory(pid: int) -> int:
    """Bytes that a process holds in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
