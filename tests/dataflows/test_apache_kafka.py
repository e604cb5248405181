"""The Kafka source against Apache Kafka: what the double of its protocol does not do, or does otherwise."""

import json
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from cli.embedded.apache_kafka import ApacheKafka
from config.metrics import KAFKA_LOST
from dataflows.times import to_micros
from tests.dataflows.apache_given import Topics
from tests.dataflows.kafka_given import SKEW, Clock, Monitor, go_on, wait_for
from tests.given import HOUR, LATENESS, Line, changed, ended, short, started, stuck, time

MEBIBYTE = 1 << 20
TIMEOUT = 30.0
LATE = LATENESS / timedelta(minutes=1)


@pytest.fixture
def topics(apache_kafka: ApacheKafka) -> Topics:
    return Topics(apache_kafka, 1)


def test_topics_are_made_once_and_other_wishes_are_told_what_is_there(apache_kafka: ApacheKafka) -> None:
    topics = Topics(apache_kafka, 3)
    again = topics.init("--partitions", "3")
    assert (again.returncode, again.stderr) == (0, "")
    settings = topics.settings
    alike = [settings.events_topic, settings.control_topic, settings.status_topic]
    wide = [*alike, settings.credential_topic, settings.requests_topic, settings.jobs_topic]
    dead = [
        settings.dead_letter_topic,
        settings.decisions_dead_letter_topic,
        settings.requests_dead_letter_topic,
    ]
    assert again.stdout.splitlines() == [f"{name}: is there, 3 partitions" for name in wide] + [
        f"{name}: is there, 1 partition" for name in dead
    ]
    other = topics.init("--partitions", "4")
    assert other.returncode == 0
    assert other.stderr.splitlines() == [
        f"breakwater: {name} has 3 partitions, not 4: how to grow it is told in docs/kafka.md" for name in alike
    ]
    there = topics.admin.list_topics(timeout=10).topics
    assert [len(there[name].partitions) for name in wide] == [3] * len(wide)


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_read_like_others(topics: Topics, codec: str) -> None:
    lines = [started(number / 100, f"x{number}", payload="a" * 100) for number in range(500)]
    topics.write(lines, by=topics.producer(compression_codec=codec, linger_ms=20))
    with Monitor(topics, Clock(time(30))) as monitor:
        monitor.wait_for_events(500)
        assert [event.execution_id for _, event in monitor.events] == [f"x{number}" for number in range(500)]


def test_a_message_of_a_mebibyte_is_read_and_one_byte_more_is_a_dead_letter(topics: Topics) -> None:
    def of_size(size: int, execution: str) -> bytes:
        line = started(0, execution, payload="")
        line["payload"] = "y" * (size - len(json.dumps(line)))
        return json.dumps(line).encode()

    topics.write([of_size(MEBIBYTE, "fits"), of_size(MEBIBYTE + 1, "not"), started(1, "next")])
    with Monitor(topics, Clock(time(2))) as monitor:
        monitor.wait_for_events(2)
        assert [event.execution_id for _, event in monitor.events] == ["fits", "next"]
        (refused,) = monitor.dead_letters
        assert (refused.code.value, refused.position.offset, refused.size) == ("too_large", 1, MEBIBYTE + 1)


def test_topics_without_any_message_follow_the_clock(topics: Topics) -> None:
    with Monitor(topics, Clock(time(10))) as monitor:
        monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(10 - LATE)))


def test_an_idle_partition_that_is_caught_up_follows_the_clock_and_calls_stuck_what_hangs(topics: Topics) -> None:
    clock = Clock(time(1))
    topics.write([started(0)])
    with Monitor(topics, clock) as monitor:
        monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(1 - LATE)))
        assert monitor.decisions == []
        clock.now = time(TIMEOUT + LATE)
        monitor.wait_for("a decision", lambda: monitor.decisions)
        assert [short(decision) for decision in monitor.decisions] == [stuck(TIMEOUT)]


def test_hours_of_backlog_make_nothing_stuck(topics: Topics) -> None:
    lines = []
    for number in range(4000):
        begin = number / 10
        lines += [(begin, started(begin, f"x{number}")), (begin + 5, ended(begin + 5, f"x{number}"))]
    backlog = [line for _, line in sorted(lines, key=lambda pair: pair[0])]
    topics.write(backlog, by=topics.producer(compression_codec="lz4"))
    newest = to_micros(time(3999 / 10 + 5))
    clock = Clock(time(10 * HOUR))
    with Monitor(topics, clock) as monitor:
        while len(monitor.events) < len(backlog):
            monitor.step()
            assert monitor.watermark <= newest - LATENESS / timedelta(microseconds=1)
        monitor.wait_for("the clock", lambda: monitor.watermark == clock() - 60_000_000)
        assert monitor.decisions == []


def test_a_time_too_far_ahead_is_a_dead_letter_and_moves_nothing(topics: Topics) -> None:
    skew = SKEW / timedelta(minutes=1)
    topics.write([started(365 * 24 * HOUR, "year"), started(skew + 1, "ahead"), started(0, "now")])
    # The clock stands, so what the watermark comes to is what the event and the clock make of it.
    with Monitor(topics, Clock(time(0))) as monitor:
        monitor.wait_for("all three", lambda: len(monitor.events) + len(monitor.dead_letters) == 3)
        assert [event.execution_id for _, event in monitor.events] == ["now"]
        assert [letter.code.value for letter in monitor.dead_letters] == ["future_timestamp"] * 2
        go_on(1.5, monitor.step)
        assert monitor.watermark == to_micros(time(-LATE))
        assert monitor.decisions == []


def test_run_and_control_events_come_in_the_order_in_which_they_were_written(topics: Topics) -> None:
    lines: list[Line] = [
        changed(number, "Live", "Paused", workflow_id="w")
        if number % 7 == 3
        else started(number, f"x{number}", workflow_id="w")
        for number in range(400)
    ]
    topics.write(lines, written=1_700_000_000_000)
    with Monitor(topics, Clock(time(400))) as monitor:
        monitor.wait_for_events(400)
        assert [event.occurred_at for _, event in monitor.events] == [time(number) for number in range(400)]


def test_a_broker_that_was_killed_is_read_on_and_nothing_is_stuck_meanwhile(topics: Topics) -> None:
    clock = Clock(time(1))
    topics.write([started(0)])
    with Monitor(topics, clock) as monitor, capture_logs() as logs:
        monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(1 - LATE)))
        topics.broker.kill()
        monitor.wait_for("word of the outage", lambda: [line for line in logs if line["event"] == "kafka_away"])
        clock.now = time(2 * HOUR)
        go_on(1.5, monitor.step)
        assert monitor.watermark == to_micros(time(1 - LATE))
        topics.broker.start()
        topics.write([ended(20)])
        monitor.wait_for_events(2)
        monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(2 * HOUR - LATE)))
        assert monitor.decisions == []


def test_what_retention_took_is_owned_up_to_and_the_earliest_comes_next(topics: Topics) -> None:
    name = topics.settings.events_topic
    topics.write([started(number, f"x{number}") for number in range(3)])
    with Monitor(topics, Clock(time(30))) as before:
        before.wait_for_events(3)
        snapshot = before.source.snapshot()
    topics.write([started(number, f"x{number}") for number in range(3, 10)])
    topics.delete_records(name, 0, 7)
    lost = KAFKA_LOST.labels(name)._value.get()
    with capture_logs() as logs, Monitor(topics, Clock(time(30)), snapshot=snapshot) as after:
        after.wait_for_events(3)
        assert [event.execution_id for _, event in after.events] == ["x7", "x8", "x9"]
    gone = [line for line in logs if line["event"] == "kafka_offset_gone"]
    assert [(line["log_level"], line["expected"], line["resumed_at"], line["messages_lost"]) for line in gone] == [
        ("error", 3, 7, 4)
    ]
    assert KAFKA_LOST.labels(name)._value.get() == lost + 4


def test_all_messages_gone_below_the_position_is_caught_up_all_the_same(topics: Topics) -> None:
    topics.write([started(number, f"x{number}") for number in range(2)])
    with Monitor(topics, Clock(time(5))) as before:
        before.wait_for_events(2)
        snapshot = before.source.snapshot()
    topics.write([ended(3, f"x{number}") for number in range(2)])
    topics.delete_records(topics.settings.events_topic, 0, 4)
    with capture_logs() as logs, Monitor(topics, Clock(time(9)), snapshot=snapshot) as after:
        after.wait_for("the clock", lambda: after.watermark == to_micros(time(9 - LATE)))
    assert [line["messages_lost"] for line in logs if line["event"] == "kafka_offset_gone"] == [2]


def test_aborted_transactions_are_not_seen_and_open_ones_not_yet(topics: Topics) -> None:
    clock = Clock(time(5))
    topics.write([started(0, "before")])
    topics.write([started(1, "aborted")], by=(first := topics.transaction()))
    first.abort_transaction(30)
    topics.write([started(2, "open")], by=(second := topics.transaction()))
    topics.write([started(3, "after")])
    with Monitor(topics, clock) as monitor:
        monitor.wait_for_events(1)
        clock.now = time(2 * HOUR)
        go_on(1.5, monitor.step)
        assert [event.execution_id for _, event in monitor.events] == ["before"]
        assert monitor.watermark == to_micros(time(-LATE)), "what is open may be committed yet"
        clock.now = time(5)
        second.commit_transaction(30)
        monitor.wait_for_events(3)
        assert [event.execution_id for _, event in monitor.events] == ["before", "open", "after"]
        topics.write([started(4, "aborted too")], by=(third := topics.transaction()))
        third.abort_transaction(30)
        clock.now = time(9)
        # The markers of transactions have offsets too: none of them may look like something unread.
        monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(9 - LATE)))
        assert len(monitor.events) == 3
        monitor.source.snapshot()
        ends = topics.ends()
        monitor.wait_for("the committed position", lambda: topics.committed() == ends)


def test_lag_tools_see_the_position_of_a_snapshot(topics: Topics) -> None:
    topics.write([started(0, "x0"), started(1, "x1"), changed(2, "Live", "Paused")])
    with Monitor(topics, Clock(time(5))) as monitor:
        monitor.wait_for_events(3)
        monitor.source.snapshot()
        events, control = topics.read
        wait_for("the positions", lambda: topics.committed() == {(events, 0): 2, (control, 0): 1})
