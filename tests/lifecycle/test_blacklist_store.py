"""Is it blacklisted? From memory, the same everywhere, and never from a copy that is cold, cut off or outdated."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NoReturn

import psycopg
import pytest
import redis
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from cli.embedded.redis import EmbeddedRedis
from lifecycle.breaker.blacklist_store import AdmissionUnavailable, BlacklistStore
from lifecycle.breaker.follower import Copy, after
from lifecycle.breaker.shared_copy import Change
from tests.lifecycle.breaker_given import paused, put_on, started, take_off, wait_until
from tests.lifecycle.given import given_world


@pytest.fixture
def own_redis() -> Iterator[EmbeddedRedis]:
    """A Redis that a test may break."""
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def world(engine: sa.Engine) -> sa.Engine:
    """A database with the world's two tenants."""
    given_world(engine)
    return engine


@pytest.fixture
def nowhere() -> sa.Engine:
    """An engine whose server is not there."""
    return sa.create_engine("postgresql+psycopg://x@127.0.0.1:1/x", connect_args={"connect_timeout": 2})


def answered_by(who: str) -> float:
    """How many questions were answered so."""
    return REGISTRY.get_sample_value("breakwater_blacklist_fallbacks_total", {"answered_by": who}) or 0.0


def in_memory(store: BlacklistStore) -> Callable[[], bool]:
    """Whether the store answers from its copy now."""

    def is_so() -> bool:
        asked = sum(map(answered_by, ("redis", "postgres", "nobody")))
        store.is_blacklisted("t1", "anything")
        return sum(map(answered_by, ("redis", "postgres", "nobody"))) == asked

    return is_so


def test_a_cold_store_asks_and_does_not_admit(world: sa.Engine, redis_url: str) -> None:
    put_on(world)
    store = BlacklistStore(world, redis_url)
    asked = answered_by("postgres")
    assert store.is_blacklisted("t1", "wf1")
    assert not store.is_blacklisted("t1", "wf9")
    assert answered_by("postgres") == asked + 2


def test_without_redis_postgres_answers(world: sa.Engine) -> None:
    put_on(world)
    with started(world, None) as store:
        assert store.is_blacklisted("t1", "wf1")
        take_off(world)
        assert not store.is_blacklisted("t1", "wf1")


def test_a_change_reaches_every_store_from_memory(world: sa.Engine, redis_url: str) -> None:
    with started(world, redis_url) as one, started(world, redis_url) as other:
        wait_until(in_memory(one))
        wait_until(in_memory(other))
        for _ in range(2):
            put_on(world)
            wait_until(lambda: one.is_blacklisted("t1", "wf1") and other.is_blacklisted("t1", "wf1"))
            take_off(world)
            wait_until(lambda: not one.is_blacklisted("t1", "wf1") and not other.is_blacklisted("t1", "wf1"))


def test_the_same_workflow_of_another_tenant_is_another(world: sa.Engine, redis_url: str) -> None:
    with started(world, redis_url) as store:
        put_on(world, "wf1", "t1")
        wait_until(in_memory(store))
        wait_until(lambda: store.is_blacklisted("t1", "wf1"))
        assert not store.is_blacklisted("t2", "wf1")


def test_a_change_that_nobody_told_of_is_found_as_well(world: sa.Engine, redis_url: str) -> None:
    with started(world, redis_url) as store:
        wait_until(in_memory(store))
        put_on(world, told=False)
        wait_until(lambda: store.is_blacklisted("t1", "wf1"))


def test_what_is_rolled_back_is_told_to_nobody(world: sa.Engine, redis_url: str) -> None:
    with started(world, redis_url) as store:
        wait_until(in_memory(store))
        with world.connect() as connection, connection.begin() as transaction:
            connection.execute(
                sa.text(
                    "INSERT INTO workflow_blacklist (tenant_id, workflow_id, workflow_name, source, reason,"
                    " blacklisted_by) VALUES ('t1', 'wf1', 'x', 'manual', 'x', 'u9')"
                )
            )
            transaction.rollback()
        put_on(world, "wf2", "t2")
        wait_until(lambda: store.is_blacklisted("t2", "wf2"))
        assert not store.is_blacklisted("t1", "wf1")


def test_an_emptied_redis_is_filled_again(world: sa.Engine, own_redis: EmbeddedRedis) -> None:
    put_on(world)
    with started(world, own_redis.url()) as store, redis.Redis.from_url(own_redis.url()) as client:
        wait_until(in_memory(store))
        client.flushall()
        assert store.is_blacklisted("t1", "wf1")
        take_off(world)
        wait_until(lambda: not store.is_blacklisted("t1", "wf1"))
        wait_until(in_memory(store))
        put_on(world)
        wait_until(lambda: store.is_blacklisted("t1", "wf1"))


def test_no_answer_is_outdated_while_redis_dies_and_comes_back(world: sa.Engine, own_redis: EmbeddedRedis) -> None:
    with started(world, own_redis.url()) as store:
        wait_until(in_memory(store))
        own_redis.kill()
        put_on(world)
        wait_until(lambda: store.is_blacklisted("t1", "wf1"))
        asked = answered_by("postgres")
        assert store.is_blacklisted("t1", "wf1")
        assert answered_by("postgres") == asked + 1
        own_redis.restart()
        wait_until(in_memory(store))
        assert store.is_blacklisted("t1", "wf1")


def test_no_answer_is_outdated_while_redis_stands_still(world: sa.Engine, own_redis: EmbeddedRedis) -> None:
    with started(world, own_redis.url()) as store:
        wait_until(in_memory(store))
        with paused(own_redis):
            put_on(world)
            wait_until(lambda: store.is_blacklisted("t1", "wf1"))
        for _ in range(200):
            assert store.is_blacklisted("t1", "wf1")
        wait_until(in_memory(store))
        assert store.is_blacklisted("t1", "wf1")


def test_a_process_that_cannot_reach_postgres_lives_on_the_word_of_one_that_can(
    world: sa.Engine, redis_url: str
) -> None:
    put_on(world)

    def refuse() -> NoReturn:
        raise psycopg.OperationalError

    cut_off = sa.create_engine(world.url, creator=refuse)
    with started(world, redis_url) as leader:
        wait_until(in_memory(leader))
        with started(cut_off, redis_url) as store:
            wait_until(in_memory(store))
            assert store.is_blacklisted("t1", "wf1")
            assert not store.is_blacklisted("t1", "wf9")


def test_when_the_relay_ends_another_takes_over(world: sa.Engine, redis_url: str) -> None:
    with started(world, redis_url) as first:
        wait_until(in_memory(first))
        with started(world, redis_url) as second:
            wait_until(in_memory(second))
            first.close()
            put_on(world)
            wait_until(lambda: second.is_blacklisted("t1", "wf1"))
            wait_until(in_memory(second))
            assert second.is_blacklisted("t1", "wf1")


def test_a_copy_that_nobody_confirms_is_not_used(world: sa.Engine, redis_url: str) -> None:
    with started(world, redis_url) as leader:
        wait_until(in_memory(leader))
    store = BlacklistStore(world, redis_url)
    put_on(world, told=False)
    wait_until(lambda: store.is_blacklisted("t1", "wf1"))
    asked = answered_by("postgres")
    assert store.is_blacklisted("t1", "wf1")
    assert answered_by("postgres") == asked + 1


def test_with_both_away_nothing_is_admitted(nowhere: sa.Engine, own_redis: EmbeddedRedis) -> None:
    own_redis.kill()
    with started(nowhere, own_redis.url()) as store:
        with pytest.raises(AdmissionUnavailable):
            store.is_blacklisted("t1", "wf1")
        with pytest.raises(AdmissionUnavailable):
            asyncio.run(store.is_blacklisted_async("t1", "wf1"))


def test_the_loop_gets_the_same_answers(world: sa.Engine, redis_url: str) -> None:
    put_on(world)
    with started(world, redis_url) as store:
        assert asyncio.run(store.is_blacklisted_async("t1", "wf1"))
        wait_until(in_memory(store))
        assert asyncio.run(store.is_blacklisted_async("t1", "wf1"))
        assert not asyncio.run(store.is_blacklisted_async("t1", "wf9"))


def test_another_database_on_the_same_redis_is_another_blacklist(
    world: sa.Engine, nowhere: sa.Engine, redis_url: str
) -> None:
    put_on(world)
    with started(world, redis_url) as store:
        wait_until(in_memory(store))
        with pytest.raises(AdmissionUnavailable):
            BlacklistStore(nowhere, redis_url).is_blacklisted("t1", "wf1")


KEYS = st.frozensets(st.tuples(st.sampled_from(["t1", "t2"]), st.sampled_from(["a", "b", "c"])))


@given(
    lists=st.lists(KEYS, min_size=1, max_size=8), heard=st.lists(st.integers(min_value=0, max_value=20), max_size=20)
)
def test_a_copy_is_that_of_its_version_whatever_was_heard(
    lists: list[frozenset[tuple[str, str]]], heard: list[int]
) -> None:
    """Messages come lost, twice and in any order: the copy is right for its version, or has to be read anew."""
    changes = [
        Change(version, version + 1, now - before, before - now)
        for version, (before, now) in enumerate(pairwise(lists))
    ]
    copy = Copy(0, lists[0])
    for number in heard:
        if changes:
            copy = after(copy, changes[number % len(changes)]) or Copy(len(lists) - 1, lists[-1])
        assert copy.members == lists[copy.version]
