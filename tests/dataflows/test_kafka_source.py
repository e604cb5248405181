"""The Kafka source over the Kafka protocol: nothing left out, and time that is the stream's."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs

from config.metrics import KAFKA_LOST
from config.settings import Kafka
from dataflows.sources.topic_log import GROUP
from dataflows.sources.topics import LaneCount, Topics, UnreadableTopicsError, find_topics
from dataflows.times import to_micros
from tests.dataflows.kafka_given import SKEW, Broker, Clock, Monitor, a_broker, go_on
from tests.given import HOUR, LATENESS, MICROSECOND, SECOND, changed, ended, short, started, stuck, time

#: The request to read, in Kafka's protocol.
FETCH = 1

MINUTE = 1.0
TIMEOUT = 30 * MINUTE
LATE = LATENESS / timedelta(minutes=1)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with a_broker(1) as one:
        yield one


def test_everything_is_read_once_and_in_order_from_the_earliest_message_on(broker: Broker) -> None:
    broker.write([started(number / 100, f"x{number}") for number in range(3000)], partition=0)
    with Monitor(broker, Clock(time(40))) as monitor:
        monitor.wait_for_events(3000)
        go_on(0.3, monitor.step)
        by_arrival = sorted(monitor.events, key=lambda pair: pair[0])
        assert [arrival for arrival, _ in by_arrival] == list(range(3000))
        assert [event.execution_id for _, event in by_arrival] == [f"x{number}" for number in range(3000)]


def test_a_restart_goes_on_after_the_snapshot(broker: Broker) -> None:
    broker.write([started(0, "x0"), started(1, "x1")], partition=0)
    with Monitor(broker, Clock(time(5))) as before:
        before.wait_for_events(2)
        snapshot = before.source.snapshot()
        broker.write([started(2, "x2")], partition=0)
        before.wait_for_events(3)
    with Monitor(broker, Clock(time(5)), snapshot=snapshot) as after:
        after.wait_for_events(1)
        assert [(arrival, event.execution_id) for arrival, event in after.events] == [(2, "x2")]
        assert after.watermark == to_micros(time(2 - LATE))


def test_lag_tools_see_the_position_of_a_snapshot(broker: Broker) -> None:
    broker.write([started(0, "x0"), started(1, "x1")], partition=0)
    with Monitor(broker, Clock(time(5))) as monitor:
        monitor.wait_for_events(2)
        monitor.source.snapshot()
        tool = Consumer({"bootstrap.servers": broker.settings.bootstrap_servers, "group.id": GROUP})
        place = TopicPartition("run_events", 0)
        monitor.wait_for("a committed position", lambda: tool.committed([place], timeout=5)[0].offset == 2)
        tool.close()


def test_an_idle_partition_that_is_caught_up_follows_the_clock(broker: Broker) -> None:
    clock = Clock(time(TIMEOUT + LATE - SECOND))
    broker.write([started(0)], partition=0)
    with Monitor(broker, clock) as monitor:
        monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(TIMEOUT - SECOND)))
        assert monitor.decisions == []
        clock.now = time(TIMEOUT + LATE)
        monitor.wait_for("a decision", lambda: monitor.decisions)
        assert [short(decision) for decision in monitor.decisions] == [stuck(TIMEOUT)]


def test_a_topic_without_any_message_follows_the_clock_too(broker: Broker) -> None:
    with Monitor(broker, Clock(time(10))) as monitor:
        monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(10 - LATE)))


def test_hours_of_backlog_make_nothing_stuck(broker: Broker) -> None:
    lines = []
    for number in range(2000):
        begin = number / 10
        lines += [(begin, started(begin, f"x{number}")), (begin + 5, ended(begin + 5, f"x{number}"))]
    backlog = [line for _, line in sorted(lines, key=lambda pair: pair[0])]
    broker.write(backlog, partition=0)
    newest = to_micros(time(1999 / 10 + 5))
    clock = Clock(time(10 * HOUR))
    with Monitor(broker, clock) as monitor:
        while len(monitor.events) < len(backlog):
            monitor.step()
            assert monitor.watermark <= newest - LATENESS / timedelta(microseconds=1)
        monitor.wait_for("the clock", lambda: monitor.watermark == clock() - 60_000_000)
        assert monitor.decisions == []


def test_a_control_event_waits_for_the_run_events_written_before_it(broker: Broker) -> None:
    """Else it would move the watermark past the deadlines of a backlog that is not read yet."""
    first = 1_700_000_000_000
    for number in range(200):
        begin = number / 10
        broker.write([started(begin, f"x{number}")], partition=0, written=first + 6000 * number)
    for number in range(200):
        broker.write([ended(20 + number / 10, f"x{number}")], partition=0, written=first + 6000 * (200 + number))
    now = changed(10 * HOUR, "Live", "Paused", workflow_id="another")
    broker.write([now], partition=0, written=first + 36_000_000)
    with Monitor(broker, Clock(time(10 * HOUR))) as monitor:
        monitor.wait_for_events(401)
        last = max(monitor.events, key=lambda pair: pair[0])
        assert last[1].occurred_at == time(10 * HOUR)
        assert monitor.decisions == []


def test_topics_are_read_in_the_order_in_which_they_were_written(broker: Broker) -> None:
    first = 1_700_000_000_000
    for number in range(600):
        line = (
            changed(number, "Live", "Paused", workflow_id="w")
            if number % 7 == 3
            else started(number, f"x{number}", workflow_id="w")
        )
        broker.write([line], partition=0, written=first + number)
    with Monitor(broker, Clock(time(600))) as monitor:
        monitor.wait_for_events(600)
        minutes = [event.occurred_at for _, event in sorted(monitor.events, key=lambda pair: pair[0])]
        assert minutes == [time(number) for number in range(600)]


def test_a_time_too_far_ahead_is_a_dead_letter_and_moves_no_watermark(broker: Broker) -> None:
    skew = SKEW / timedelta(minutes=1)
    believed, ahead = started(skew, "believed"), started(skew + MICROSECOND, "ahead")
    year = started(365 * 24 * HOUR, "year")
    broker.write([ahead, year, started(0, "now"), believed], partition=0)
    with Monitor(broker, Clock(time(0))) as monitor:
        monitor.wait_for("all four", lambda: len(monitor.events) + len(monitor.dead_letters) == 4)
        assert [event.execution_id for _, event in monitor.events] == ["now", "believed"]
        refused = [(letter.code.value, letter.position.offset) for letter in monitor.dead_letters]
        assert refused == [("future_timestamp", 0), ("future_timestamp", 1)]
        assert monitor.watermark == to_micros(time(skew - LATE))


def test_a_broker_that_was_away_is_read_on_and_nothing_is_stuck_meanwhile(broker: Broker) -> None:
    clock = Clock(time(1))
    broker.write([started(0)], partition=0)
    with Monitor(broker, clock) as monitor, capture_logs() as logs:
        monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(1 - LATE)))
        broker.mock.take_down()
        monitor.wait_for("word of the outage", lambda: [line for line in logs if line["event"] == "kafka_away"])
        go_on(0.5, monitor.step)
        seen = monitor.watermark
        clock.now = time(2 * HOUR)
        go_on(2, monitor.step)
        assert monitor.watermark == seen
        assert monitor.decisions == []
        broker.mock.bring_up()
        broker.write([ended(20)], partition=0)
        monitor.wait_for_events(2)
        monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(2 * HOUR - LATE)))
        assert monitor.decisions == []
        events = [(line["event"], line["topic"]) for line in logs]
        assert sorted(events) == sorted(set(events)), "once for an outage and a topic"


def test_messages_that_retention_took_are_owned_up_to_and_the_earliest_comes_next(broker: Broker) -> None:
    broker.write([started(number, f"x{number}") for number in range(3)], partition=0)
    with Monitor(broker, Clock(time(30))) as before:
        before.wait_for_events(3)
        snapshot = before.source.snapshot()
    broker.write([started(number, f"x{number}") for number in range(3, 10)], partition=0)
    broker.mock.delete_records("run_events", 0, 7)
    lost = KAFKA_LOST.labels("run_events")._value.get()
    with capture_logs() as logs, Monitor(broker, Clock(time(30)), snapshot=snapshot) as after:
        after.wait_for_events(3)
        assert [event.execution_id for _, event in after.events] == ["x7", "x8", "x9"]
    gone = [line for line in logs if line["event"] == "kafka_offset_gone"]
    assert [(line["log_level"], line["expected"], line["resumed_at"]) for line in gone] == [("error", 3, 7)]
    assert KAFKA_LOST.labels("run_events")._value.get() == lost + 4


def test_a_batch_of_any_size_and_bad_messages_between_good_ones(broker: Broker) -> None:
    padding = "x" * 3000
    lines: list[dict[str, object] | bytes] = []
    for number in range(900):
        lines.append(started(number / 100, f"x{number}", payload=padding))
        if number % 100 == 50:
            lines.append(b"\xff not json")
    lines.append(b"")
    broker.write(lines, partition=0)
    with Monitor(broker, Clock(time(30))) as monitor:
        monitor.wait_for_events(900)
        monitor.wait_for("dead letters", lambda: len(monitor.dead_letters) == 9)
        places = [letter.position.offset for letter in monitor.dead_letters]
        assert places == [51 + 101 * number for number in range(9)]
        assert {letter.raw for letter in monitor.dead_letters} == {b"\xff not json"}


def _topics(broker: Broker) -> Topics:
    admin = AdminClient({"bootstrap.servers": broker.settings.bootstrap_servers, "log_level": 2})
    return find_topics(admin, broker.settings, LaneCount())


def test_events_alone_are_read_where_there_is_no_control_topic() -> None:
    with a_broker(4, control=False) as broker:
        assert _topics(broker) == ({"run_events": 4}, 4)
        broker.write([started(0)], partition=3)
        with Monitor(broker, Clock(time(2)), partition=3) as monitor:
            monitor.wait_for("the clock", lambda: monitor.watermark == to_micros(time(2 - LATE)))
            assert len(monitor.events) == 1


def test_topics_that_are_cut_differently_are_refused() -> None:
    with a_broker(4, control=False) as broker:
        broker.mock.create_topic("monitor_control", 3)
        with pytest.raises(
            UnreadableTopicsError,
            match="run_events has 4 partitions and monitor_control has 3 partitions: 3 lanes can't share",
        ):
            _topics(broker)


def test_a_missing_topic_is_named_with_the_command_that_makes_it(broker: Broker) -> None:
    settings = Kafka(bootstrap_servers=broker.settings.bootstrap_servers, events_topic="other")
    with pytest.raises(UnreadableTopicsError, match=r"no topic other at .* make it with `breakwater init-topics`"):
        find_topics(
            AdminClient({"bootstrap.servers": settings.bootstrap_servers, "log_level": 2}), settings, LaneCount()
        )


def test_an_error_that_passes_is_waited_out(broker: Broker) -> None:
    broker.mock.answer_with_errors(FETCH, [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT] * 2)
    broker.write([started(0)], partition=0)
    with Monitor(broker, Clock(time(2))) as monitor:
        monitor.wait_for_events(1)


def test_an_error_that_does_not_pass_ends_the_flow(broker: Broker) -> None:
    broker.mock.answer_with_errors(FETCH, [KafkaError.TOPIC_AUTHORIZATION_FAILED] * 4)
    broker.write([started(0)], partition=0)
    with Monitor(broker, Clock(time(2))) as monitor, pytest.raises(KafkaException) as raised:
        monitor.wait_for_events(1)
    assert raised.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
