"""The circuit breaker's store: counts, trips, and what it forgets (40.1, 40.2); seed 004's tests under their names."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from dataflows.decisions import Decision
from lifecycle import tables
from lifecycle.breaker.circuit_breaker import CircuitBreaker
from lifecycle.guard.gate import BlacklistResult
from lifecycle.options import LifecycleOptions
from lifecycle.system_config import SystemConfig
from lifecycle.workflows import Workflow
from sinks.services import ServicesSink
from tests.lifecycle.breaker_given import got_stuck, set_config, take_off
from tests.lifecycle.given import given_world, row, rows
from tests.sinks.given import T0, blacklists, recovered, stuck

WORKFLOW = Workflow(tenant_id="t1", workflow_id="wf1", name="Nightly invoices")


@pytest.fixture
def world(engine: sa.Engine) -> sa.Engine:
    """The world's two tenants."""
    given_world(engine)
    return engine


@pytest.fixture(params=["with Redis", "without Redis"])
def breaker(request: pytest.FixtureRequest, world: sa.Engine, redis_url: str) -> Iterator[CircuitBreaker]:
    """The store over an empty Redis, or over none."""
    made = CircuitBreaker(world, redis_url if request.param == "with Redis" else None, SystemConfig(world))
    yield made
    made.close()


def apply(engine: sa.Engine, *decisions: Decision, breaker: CircuitBreaker | None = None) -> None:
    """Let the sink commit decisions, and tell the store."""

    def refuse(decision: Decision, code: str) -> None:
        raise AssertionError(code)

    ServicesSink(engine, LifecycleOptions(), refuse, breaker=breaker).apply(decisions)


def record(breaker: CircuitBreaker, engine: sa.Engine, name: str, at: float) -> int:
    """An execution that got stuck so many minutes after `T0`; the count with it."""
    apply(engine, stuck(name, at=at))
    return breaker.record_stuck("t1", "wf1", name, T0 + timedelta(minutes=at)).count


def given_decision(engine: sa.Engine, cause: str) -> str:
    """A decision of the detector to blacklist, recorded but not enforced; its id."""
    decided = blacklists(cause)
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.decisions).values(
                decision_id=decided.decision_id,
                kind=decided.kind,
                occurred_at=decided.occurred_at,
                policy_id=decided.policy_id,
                policy_version=1,
                reason_code=decided.reason_code,
                observed={},
                threshold={},
                detail={},
            )
        )
    return decided.decision_id


def trip(breaker: CircuitBreaker, decision_id: str, minute: float = 0) -> BlacklistResult:
    """Enforce a decision."""
    return breaker.blacklist_workflow(
        WORKFLOW,
        decision_id=decision_id,
        occurred_at=T0 + timedelta(minutes=minute),
        automation_version_id="v1",
    )


def test_record_stuck_increments(breaker: CircuitBreaker, world: sa.Engine) -> None:
    assert [record(breaker, world, f"x{n}", n) for n in range(7)] == [1, 2, 3, 4, 5, 6, 7]
    assert breaker.check_threshold("t1", "wf1").count == 7


def test_one_execution_counts_once_however_often_it_is_recorded(breaker: CircuitBreaker, world: sa.Engine) -> None:
    assert [record(breaker, world, "x", 30) for _ in range(4)] == [1, 1, 1, 1]


def test_executions_of_the_same_moment_all_count(breaker: CircuitBreaker, world: sa.Engine) -> None:
    assert [record(breaker, world, f"x{n}", 30) for n in range(4)] == [1, 2, 3, 4]


def test_counts_are_of_one_workflow_of_one_tenant(breaker: CircuitBreaker, world: sa.Engine) -> None:
    record(breaker, world, "x", 30)
    apply(world, stuck("x", tenant_id="t2", workflow_id="wf2", automation_version_id="v2"))
    assert breaker.record_stuck("t2", "wf2", "x", T0).count == 1
    assert breaker.check_threshold("t1", "wf2").count == 0
    assert breaker.check_threshold("t1", "wf1").count == 1


def test_ids_that_look_alike_together_are_counted_apart(breaker: CircuitBreaker, world: sa.Engine) -> None:
    seed_more = sa.insert(tables.tenants).values([{"id": "a", "name": "A"}, {"id": "a/b", "name": "B"}])
    with world.begin() as connection:
        connection.execute(seed_more)
    got_stuck(world, "x", T0, tenant_id="a", workflow_id="b/c")
    assert breaker.record_stuck("a", "b/c", "x", T0).count == 1
    assert breaker.check_threshold("a/b", "c").count == 0


def test_threshold_triggers_blacklist(breaker: CircuitBreaker, world: sa.Engine) -> None:
    for number in range(5):
        record(breaker, world, f"x{number}", number)
    found = breaker.check_threshold("t1", "wf1")
    assert (found.count, found.config.threshold, found.is_reached) == (5, 5, True)
    assert trip(breaker, given_decision(world, "x4")).blacklist_id is not None
    assert breaker.is_workflow_blacklisted("t1", "wf1")
    listed = row(world, tables.workflow_blacklist)
    assert (listed["reason"], listed["stuck_count"], listed["threshold"], listed["window_seconds"]) == (
        "auto:stuck:5",
        5,
        5,
        3600,
    )
    assert listed["execution_ids"] == ["x0", "x1", "x2", "x3", "x4"]
    assert {one["template"] for one in rows(world, tables.notifications)} == {"workflow_blacklisted"}


def test_below_threshold_no_blacklist(breaker: CircuitBreaker, world: sa.Engine) -> None:
    for number in range(4):
        record(breaker, world, f"x{number}", number)
    assert not breaker.check_threshold("t1", "wf1").is_reached
    assert trip(breaker, given_decision(world, "x3")) == BlacklistResult()
    assert not breaker.is_workflow_blacklisted("t1", "wf1")
    assert rows(world, tables.workflow_blacklist) == []
    assert rows(world, tables.notifications) == []


def test_window_expiry(breaker: CircuitBreaker, world: sa.Engine) -> None:
    assert record(breaker, world, "old", 0) == 1
    assert record(breaker, world, "almost", 59) == 2
    assert record(breaker, world, "at the edge: the first is exactly a window old", 60) == 2
    assert record(breaker, world, "late, but within", 10) == 3
    assert record(breaker, world, "too late to count", -1) == 3
    assert record(breaker, world, "a day later", 24 * 60) == 1


def test_the_window_that_is_set_now_counts(breaker: CircuitBreaker, world: sa.Engine, redis_url: str) -> None:
    for number in range(5):
        record(breaker, world, f"x{number}", 50 * number)
    assert breaker.check_threshold("t1", "wf1").count == 2
    set_config(world, stuck_circuit_breaker_window_minutes=10_080)
    wider = CircuitBreaker(world, redis_url, SystemConfig(world))
    assert wider.check_threshold("t1", "wf1").count == 5
    set_config(world, stuck_circuit_breaker_window_minutes=1)
    narrower = CircuitBreaker(world, redis_url, SystemConfig(world))
    assert narrower.check_threshold("t1", "wf1").count == 1
    wider.close()
    narrower.close()


def test_already_blacklisted_no_duplicate(breaker: CircuitBreaker, world: sa.Engine) -> None:
    for number in range(5):
        record(breaker, world, f"x{number}", number)
    first, again = given_decision(world, "x4"), given_decision(world, "x5")
    assert trip(breaker, first).blacklist_id is not None
    told = len(rows(world, tables.notifications))
    record(breaker, world, "x5", 5)
    assert trip(breaker, first) == BlacklistResult()
    assert trip(breaker, again) == BlacklistResult()
    assert len(rows(world, tables.workflow_blacklist)) == 1
    assert len(rows(world, tables.notifications)) == told


def test_a_release_clears_the_count_and_the_workflow_can_trip_again(breaker: CircuitBreaker, world: sa.Engine) -> None:
    for number in range(5):
        record(breaker, world, f"x{number}", number)
    trip(breaker, given_decision(world, "x4"))
    take_off(world, at=T0 + timedelta(minutes=30))
    breaker.clear_stuck_counter("t1", "wf1")
    assert breaker.check_threshold("t1", "wf1").count == 0
    assert record(breaker, world, "in flight: stuck before the release", 29) == 0
    assert record(breaker, world, "stuck at the release", 30) == 0
    assert trip(breaker, given_decision(world, "late")) == BlacklistResult()
    assert [record(breaker, world, f"y{n}", 31 + n) for n in range(5)] == [1, 2, 3, 4, 5]
    assert trip(breaker, given_decision(world, "y4"), 35).blacklist_id is not None
    assert len(rows(world, tables.workflow_blacklist)) == 2


def test_what_recovered_is_counted_no_more_whichever_word_comes_first(
    breaker: CircuitBreaker, world: sa.Engine
) -> None:
    for number in range(3):
        record(breaker, world, f"x{number}", number)
    apply(world, recovered("x0"), recovered("x9"), breaker=breaker)
    assert breaker.check_threshold("t1", "wf1").count == 2
    assert record(breaker, world, "x9", 30) == 2
    assert record(breaker, world, "x0", 0) == 2


def test_the_sink_tells_the_store_of_repeats_too(breaker: CircuitBreaker, world: sa.Engine) -> None:
    """A process died between its commit and its word to Redis: the stream gives it the decision again."""
    record(breaker, world, "x0", 30)
    apply(world, stuck("x1", at=31))
    apply(world, stuck("x1", at=31), breaker=breaker)
    assert breaker.check_threshold("t1", "wf1").count == 2


def test_many_that_trip_at_once_give_one_row_and_one_notice(
    breaker: CircuitBreaker, world: sa.Engine, redis_url: str
) -> None:
    apply(world, *(stuck(f"x{n}", at=n) for n in range(5)))
    decisions = [given_decision(world, f"cause {n}") for n in range(32)]
    begin = Barrier(32)
    pool = sa.create_engine(world.url, pool_size=32)

    def one(decision_id: str) -> bool:
        mine = CircuitBreaker(pool, redis_url, SystemConfig(pool))
        begin.wait(timeout=60)
        mine.record_stuck("t1", "wf1", "x4", T0 + timedelta(minutes=4))
        try:
            return trip(mine, decision_id).blacklist_id is not None
        finally:
            mine.close()

    with ThreadPoolExecutor(32) as threads:
        won = list(threads.map(one, decisions))
    pool.dispose()
    assert won.count(True) == 1
    assert len(rows(world, tables.workflow_blacklist)) == 1
    keys = [one["dedup_key"].split(":", 1)[1] for one in rows(world, tables.notifications)]
    assert len(keys) == len(set(keys)) > 0
    assert len({one["episode_id"] for one in rows(world, tables.notifications)}) == 1
    assert breaker.is_workflow_blacklisted("t1", "wf1")
