"""Events whose version the registry does not have yet: Kafka's protocol, and a real Postgres (spec 10, Identity)."""

import time as clock_time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from confluent_kafka import Consumer, TopicPartition

from cli.embedded.process import free_port
from cli.registry import DatabaseRegistry
from dataflows.dead_letters import DeadLetterCode
from dataflows.parking import MAX_COUNT
from dataflows.sources.topic_log import GROUP
from lifecycle import tables
from tests.cli.test_database_registry import add, statements
from tests.dataflows.kafka_given import Broker, Clock, Monitor, a_broker, wait_for
from tests.dataflows.run_given import a_monitor, end_well, metrics
from tests.given import LATENESS, Line, control, denied, ended, run, started, time


def new(at: float, execution: str, **more: object) -> Line:
    """An event of a version that comes later."""
    return started(at, execution, automation_version_id="v2", workflow_id="wf2", **more)


def real_clock() -> int:
    return clock_time.time_ns() // 1000


@pytest.fixture
def broker() -> Iterator[Broker]:
    with a_broker(1) as one:
        yield one


@pytest.fixture
def registry(engine: sa.Engine) -> DatabaseRegistry:
    add(engine, "v1", "wf1")
    return DatabaseRegistry(engine, lambda: True)


def seen(monitor: Monitor) -> list[str]:
    """The executions of the events that were judged."""
    return [event.execution_id for _, event in monitor.events]


def test_an_event_waits_for_its_version_and_those_of_others_go_on(
    broker: Broker, registry: DatabaseRegistry, engine: sa.Engine
) -> None:
    clock = Clock(time(20))
    with Monitor(broker, clock, registry=registry) as monitor:
        broker.write([started(0, "a"), new(9, "b"), new(10, "c"), started(1, "d")], partition=0)
        monitor.wait_for_events(2)
        assert seen(monitor) == ["a", "d"]
        assert monitor.watermark == clock_of(1), "who waits moves nothing"
        clock.now = time(20) + timedelta(seconds=2)
        add(engine, "v2", "wf2")
        monitor.wait_for_events(4)
        assert seen(monitor) == ["a", "d", "b", "c"]
        # Once they are judged nothing holds the wall clock any more, which is ahead of them.
        assert monitor.lane.watermarks[2:] == [clock_of(9), clock_of(10)]
        monitor.wait_for("time goes on", lambda: monitor.watermark == clock_of(20) + 2_000_000)
        assert monitor.dead_letters == []
        broker.write([new(11, "e")], partition=0)
        monitor.wait_for_events(5)


def clock_of(minutes: float) -> int:
    """The watermark after an event of this time."""
    return Clock(time(minutes) - LATENESS)()


def test_what_follows_in_the_same_workflow_keeps_its_place(
    broker: Broker, registry: DatabaseRegistry, engine: sa.Engine
) -> None:
    # A second version of the workflow, whose first event comes before the registry has it.
    second = {"automation_version_id": "v2", "workflow_id": "wf1"}
    lines = [
        started(0, "a", **second),
        started(1, "b"),
        control(2, "workflow_released"),
        ended(3, "a", **second),
    ]
    with Monitor(broker, Clock(time(5)), registry=registry) as monitor:
        # Each a millisecond after the one before: the control event is in another topic.
        broker.write(lines, partition=0, written=1_772_438_400_000)
        monitor.wait_for("all are read", lambda: waiting(monitor) == 4)
        assert monitor.events == []
        with engine.begin() as connection:
            connection.execute(sa.delete(tables.workflow_bindings))
        add(engine, "v2", "wf1")
        with engine.begin() as connection:
            connection.execute(
                sa.insert(tables.workflow_bindings).values(
                    tenant_id="t1", automation_version_id="v1", wrk_workflow_id="wf1", status="active"
                )
            )
        monitor.wait_for_events(4)
    assert [type(event).__name__ for _, event in monitor.events] == [
        "RunEvent",
        "RunEvent",
        "WorkflowReleased",
        "RunEvent",
    ]
    assert [event.occurred_at for _, event in monitor.events] == [time(number) for number in range(4)]


def waiting(monitor: Monitor) -> int:
    """How many wait."""
    admission = monitor.source._admission
    return 0 if admission is None else admission.waiting


def learn_the_end(monitor: Monitor) -> None:
    """Go on until the source has heard where its logs end."""
    asked: set[float] = set()
    monitor.wait_for("the log's end", lambda: asked.add(monitor.source._asked) or len(asked) > 3)


@pytest.mark.parametrize("away", [False, True], ids=["the registry answers", "the database is away"])
def test_the_wall_clock_makes_nothing_late_that_waits(
    broker: Broker, registry: DatabaseRegistry, engine: sa.Engine, *, away: bool
) -> None:
    clock = Clock(time(20))
    with Monitor(broker, clock, registry=registry) as monitor:
        broker.write([started(0, "a"), new(1, "b")], partition=0)
        monitor.wait_for("both are read", lambda: len(monitor.events) == 1 and waiting(monitor) == 1)
        if away:
            registry._engine = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
        clock.now = time(90) if away else time(20) + timedelta(seconds=20)
        learn_the_end(monitor)
        assert monitor.watermark == clock_of(0)
        registry._engine = engine
        add(engine, "v2", "wf2")
        monitor.wait_for_events(2)
        assert monitor.lane.watermarks == [clock_of(0), clock_of(1)], "judged before the wall clock moves time on"
        monitor.wait_for("time goes on", lambda: monitor.watermark >= clock_of(20))


def test_something_that_waits_all_the_time_does_not_hold_the_clock_for_ever(
    broker: Broker, registry: DatabaseRegistry
) -> None:
    clock = Clock(time(20))
    with Monitor(broker, clock, registry=registry) as monitor:
        broker.write([started(0, "a")], partition=0)
        monitor.wait_for_events(1)
        for number in range(5):
            broker.write([started(1, f"x{number}", automation_version_id=f"made up {number}")], partition=0)
            monitor.wait_for("it waits", lambda: waiting(monitor) > 0)
            learn_the_end(monitor)
            clock.now += timedelta(seconds=20)
        monitor.wait_for("time goes on", lambda: monitor.watermark >= clock_of(21))


def test_one_whose_version_does_not_come_is_a_dead_letter_when_its_time_is_up(
    broker: Broker, registry: DatabaseRegistry
) -> None:
    with Monitor(broker, real_clock, registry=registry, patience=timedelta(seconds=1)) as monitor:
        broker.write([new(0, "b"), started(1, "a")], partition=0)
        monitor.wait_for_events(1)
        begun = monitor.source._admission
        assert begun is not None
        assert begun.everything()[0].offset == 0
        monitor.wait_for("its dead letter", lambda: monitor.dead_letters)
        (letter,) = monitor.dead_letters
        assert (letter.code, letter.position.offset) == (DeadLetterCode.UNKNOWN_AUTOMATION_VERSION, 0)
        assert b'"b"' in letter.raw
        assert len(monitor.events) == 1


def test_a_version_of_another_tenant_is_a_dead_letter_at_once(broker: Broker, registry: DatabaseRegistry) -> None:
    with Monitor(broker, Clock(time(5)), registry=registry) as monitor:
        broker.write([started(0, "a", tenant_id="t2"), started(0, "a", workflow_id="wf9")], partition=0)
        monitor.wait_for("both", lambda: len(monitor.dead_letters) == 2)
        assert {letter.code for letter in monitor.dead_letters} == {DeadLetterCode.TENANT_MISMATCH}
        assert waiting(monitor) == 0


def test_a_restart_neither_loses_nor_repeats_them(
    broker: Broker, registry: DatabaseRegistry, engine: sa.Engine
) -> None:
    clock = Clock(time(20))
    with Monitor(broker, clock, registry=registry) as monitor:
        broker.write([new(0, "b"), started(1, "a"), new(2, "c")], partition=0)
        monitor.wait_for("they wait", lambda: waiting(monitor) == 2)
        snapshot = monitor.source.snapshot()
    add(engine, "v2", "wf2")
    with Monitor(broker, clock, snapshot=snapshot, registry=DatabaseRegistry(engine, lambda: True)) as after:
        # A snapshot before anything else was done holds them as well.
        assert after.source.snapshot() == snapshot
        after.wait_for_events(2)
        broker.write([started(3, "d")], partition=0)
        after.wait_for_events(3)
        assert seen(after) == ["b", "c", "d"]
        assert after.dead_letters == []


def test_those_of_a_topic_that_is_called_otherwise_now_are_judged(
    broker: Broker, registry: DatabaseRegistry, engine: sa.Engine
) -> None:
    clock = Clock(time(20))
    with Monitor(broker, clock, registry=registry) as monitor:
        broker.write([new(0, "b")], partition=0)
        monitor.wait_for("it waits", lambda: waiting(monitor) == 1)
        snapshot = monitor.source.snapshot()
    broker.mock.create_topic("runs", 1)
    renamed = Broker(broker.mock)
    renamed.settings = broker.settings.model_copy(update={"events_topic": "runs"})
    # Its version is unknown still: it goes on waiting, and is given up by its old name.
    with Monitor(renamed, clock, snapshot=snapshot, registry=DatabaseRegistry(engine, lambda: True)) as after:
        renamed.write([started(1, "a")], partition=0)
        after.wait_for_events(1)
        clock.now = time(21)
        after.wait_for("its dead letter", lambda: after.dead_letters)
        assert [letter.position.source for letter in after.dead_letters] == ["run_events"]
    add(engine, "v2", "wf2")
    with Monitor(renamed, clock, snapshot=snapshot, registry=DatabaseRegistry(engine, lambda: True)) as again:
        again.wait_for_events(2)
        assert seen(again) == ["b", "a"]
        assert again.dead_letters == []


def test_a_flood_of_made_up_versions_holds_nobody_up_and_fills_no_memory(
    broker: Broker, registry: DatabaseRegistry, engine: sa.Engine
) -> None:
    made_up = [new(0, f"x{number}", event_id=f"e{number}") for number in range(MAX_COUNT + 5_000)]
    for number, line in enumerate(made_up):
        line["automation_version_id"], line["workflow_id"] = f"made-up-{number}", f"w{number}"
    with Monitor(broker, Clock(time(5)), registry=registry) as monitor, statements(engine) as asked:
        broker.write([*made_up, new(1, "late"), started(1, "a")], partition=0)
        monitor.wait_for_events(1)
        monitor.wait_for("room is made", lambda: len(monitor.dead_letters) >= 5_001)
        assert MAX_COUNT * 9 // 10 <= waiting(monitor) <= MAX_COUNT, "a tenth is freed at once"
        assert len(asked) < 100, "asked for together, not one by one"
        add(engine, "v2", "wf2")
        monitor.wait_for_events(2)
        assert seen(monitor) == ["a", "late"]


def test_while_the_database_is_away_nobody_is_given_up(broker: Broker, database_url: str) -> None:
    engine = sa.create_engine(database_url)
    add(engine, "v1", "wf1")
    registry = DatabaseRegistry(engine, lambda: True)
    assert registry.known("v1") is not None
    registry._engine = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    clock = Clock(time(5))
    with Monitor(broker, clock, registry=registry) as monitor:
        broker.write([new(0, "b"), started(1, "a")], partition=0)
        monitor.wait_for_events(1)
        clock.now = time(9)
        broker.write([started(2, "c")], partition=0)
        monitor.wait_for_events(2)
        asked = registry.look_up(["v2"])
        monitor.wait_for("an answer", lambda: asked.answer() is not None)
        assert asked.answer() is False
        assert monitor.dead_letters == []
        add(engine, "v2", "wf2")
        registry._engine = engine
        monitor.wait_for_events(3)
        assert monitor.dead_letters == []
    engine.dispose()


def committed(broker: Broker) -> int:
    """The position that a snapshot has told Kafka."""
    consumer = Consumer({"bootstrap.servers": broker.settings.bootstrap_servers, "group.id": GROUP})
    (place,) = consumer.committed([TopicPartition("run_events", 0)], timeout=20)
    consumer.close()
    return place.offset


@pytest.mark.timeout(180)
def test_those_that_wait_outlive_a_kill(broker: Broker, database_url: str, engine: sa.Engine, tmp_path: Path) -> None:
    add(engine, "v1", "wf1")
    lines = [denied(number, f"x{number}", automation_version_id="v2", workflow_id="wf2") for number in range(3)]
    broker.write([*lines, run(4, "success", "y")], partition=0)
    port = free_port()
    with a_monitor(broker.settings, tmp_path, "--metrics-port", str(port), database=database_url) as monitor:
        wait_for("they wait", lambda: 'breakwater_events_parked{partition="0"} 3.0' in metrics(port))
        wait_for("a snapshot", lambda: committed(broker) == 4)
        monitor.kill()
    add(engine, "v2", "wf2")
    with a_monitor(broker.settings, tmp_path, database=database_url) as monitor:
        wait_for("its decision", lambda: decided(engine))
        end_well(monitor)
    assert decided(engine) == [("block_for_credentials", "wf2")]
    with engine.connect() as connection:
        assert connection.execute(sa.select(tables.dead_letters)).all() == []


def decided(engine: sa.Engine) -> list[tuple[str, str]]:
    """Kind and workflow of the decisions."""
    columns = tables.decisions.c
    with engine.connect() as connection:
        return [(kind, workflow) for kind, workflow in connection.execute(sa.select(columns.kind, columns.workflow_id))]
