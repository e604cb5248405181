"""Redis emptied, restarted, away, slow, at any point; processes that die in between: no count is lost (40.1)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from sqlalchemy import event

from cli.embedded.redis import EmbeddedRedis
from lifecycle.breaker.circuit_breaker import CircuitBreaker
from lifecycle.system_config import SystemConfig
from tests.lifecycle.breaker_given import got_stuck, moved_again, paused, take_off, wait_until
from tests.lifecycle.given import given_world
from tests.sinks.given import T0

Fault = Callable[[EmbeddedRedis], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def breakable() -> Iterator[EmbeddedRedis]:
    """A Redis that these tests may break."""
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def own_redis(breakable: EmbeddedRedis) -> EmbeddedRedis:
    """The same, empty."""
    with redis.Redis.from_url(breakable.url()) as client:
        client.flushall()
    return breakable


@pytest.fixture
def world(engine: sa.Engine) -> sa.Engine:
    """The world's two tenants."""
    given_world(engine)
    return engine


@contextmanager
def store(engine: sa.Engine, server: EmbeddedRedis) -> Iterator[CircuitBreaker]:
    """One process's store."""
    made = CircuitBreaker(engine, server.url(), SystemConfig(engine))
    yield made
    made.close()


@contextmanager
def emptied(server: EmbeddedRedis) -> Iterator[None]:
    """It forgets everything at once."""
    with redis.Redis.from_url(server.url()) as client:
        client.flushall()
    yield


@contextmanager
def restarted(server: EmbeddedRedis) -> Iterator[None]:
    """It dies and comes back empty."""
    server.kill()
    server.restart()
    yield


@contextmanager
def away(server: EmbeddedRedis) -> Iterator[None]:
    """It is dead for one step."""
    server.kill()
    yield
    server.restart()


FAULTS: dict[str, Fault] = {"emptied": emptied, "restarted": restarted, "away": away, "standing still": paused}
STEPS = 6


@pytest.mark.parametrize("at", range(STEPS), ids=lambda step: f"in step {step}")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_redis_in_any_step_loses_no_count(
    world: sa.Engine, own_redis: EmbeddedRedis, fault: str, at: int
) -> None:
    with store(world, own_redis) as one, store(world, own_redis) as other:
        for step in range(STEPS):
            with FAULTS[fault](own_redis) if step == at else nullcontext():
                got_stuck(world, f"x{step}", T0 + timedelta(minutes=step))
                found = one.record_stuck("t1", "wf1", f"x{step}", T0 + timedelta(minutes=step))
                assert found.count == step + 1
                assert found.is_reached is (step + 1 >= 5)
            assert one.check_threshold("t1", "wf1").count == step + 1
        # Another process may have a copy that nobody could tell anything; not for long.
        wait_until(lambda: other.check_threshold("t1", "wf1").count == STEPS)
        assert one.check_threshold("t1", "wf1").count == STEPS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_while_the_table_is_read_loses_no_count(world: sa.Engine, own_redis: EmbeddedRedis, fault: str) -> None:
    got_stuck(world, "x0", T0)
    strikes = iter([fault])

    def strike(*_: Any) -> None:
        for name in strikes:
            with FAULTS[name](own_redis):
                pass

    with store(world, own_redis) as one:
        event.listen(world, "before_cursor_execute", _on_counting(strike))
        assert one.check_threshold("t1", "wf1").count == 1
        got_stuck(world, "x1", T0)
        assert one.record_stuck("t1", "wf1", "x1", T0).count == 2
        assert one.check_threshold("t1", "wf1").count == 2


@pytest.mark.parametrize("asks", [True, False], ids=["by one who asks for the count", "by one who only tells"])
def test_what_is_recorded_while_another_reads_the_table_is_not_overwritten(
    world: sa.Engine, own_redis: EmbeddedRedis, *, asks: bool
) -> None:
    got_stuck(world, "x0", T0)
    with store(world, own_redis) as reader, store(world, own_redis) as writer:
        writes = iter(["x1"])

        def write(*_: Any) -> None:
            for name in writes:
                got_stuck(world, name, T0)
                if asks:
                    assert writer.record_stuck("t1", "wf1", name, T0).count == 2
                else:
                    writer.note_stuck("t1", "wf1", name, T0)

        event.listen(world, "after_cursor_execute", _on_counting(write))
        assert reader.check_threshold("t1", "wf1").count == 1, "what it read was before"
        assert reader.check_threshold("t1", "wf1").count == 2
        assert writer.check_threshold("t1", "wf1").count == 2


def test_a_process_that_dies_before_it_tells_redis_loses_no_count(world: sa.Engine, own_redis: EmbeddedRedis) -> None:
    got_stuck(world, "x0", T0)
    with store(world, own_redis) as one:
        assert one.record_stuck("t1", "wf1", "x0", T0).count == 1
        got_stuck(world, "x1", T0)
        wait_until(lambda: one.check_threshold("t1", "wf1").count == 2)


def test_a_release_whose_count_was_never_cleared_trips_nothing(world: sa.Engine, own_redis: EmbeddedRedis) -> None:
    with store(world, own_redis) as one:
        for number in range(5):
            got_stuck(world, f"x{number}", T0)
            one.record_stuck("t1", "wf1", f"x{number}", T0)
        with world.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO workflow_blacklist (tenant_id, workflow_id, workflow_name, source, reason,"
                    " blacklisted_by) VALUES ('t1', 'wf1', 'x', 'auto', 'x', 'x')"
                )
            )
        take_off(world, at=T0 + timedelta(minutes=1))
        wait_until(lambda: one.check_threshold("t1", "wf1").count == 0)
        got_stuck(world, "y", T0 + timedelta(minutes=2))
        found = one.record_stuck("t1", "wf1", "y", T0 + timedelta(minutes=2))
        assert (found.count, found.is_reached) == (1, False)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_recovery_that_redis_did_not_hear_of_is_not_counted_for_long(
    world: sa.Engine, own_redis: EmbeddedRedis, fault: str
) -> None:
    with store(world, own_redis) as one:
        for number in range(2):
            got_stuck(world, f"x{number}", T0)
            one.record_stuck("t1", "wf1", f"x{number}", T0)
        with FAULTS[fault](own_redis):
            moved_again(world, "x0", T0 + timedelta(minutes=1))
            one.note_recovered("t1", "wf1", "x0", T0 + timedelta(minutes=1))
        assert one.check_threshold("t1", "wf1").count == 1


def test_no_key_is_looked_for_and_all_of_them_end(world: sa.Engine, own_redis: EmbeddedRedis) -> None:
    with store(world, own_redis) as one, redis.Redis.from_url(own_redis.url()) as client:
        client.config_resetstat()
        for number in range(3):
            got_stuck(world, f"x{number}", T0)
            one.record_stuck("t1", "wf1", f"x{number}", T0)
        moved_again(world, "x0", T0)
        one.note_recovered("t1", "wf1", "x0", T0)
        used = client.info("commandstats")
        assert not {name for name in used if name in ("cmdstat_keys", "cmdstat_scan")}
        keys = client.keys("*")
        assert keys
        assert all(0 < client.ttl(key) <= 7 * 24 * 3600 for key in keys)


def _on_counting(what: Callable[..., None]) -> Callable[..., None]:
    """Do it when executions are read from the table: between Redis's two words."""

    def listen(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("SELECT") and "recovered_at" in statement:
            what()

    return listen
