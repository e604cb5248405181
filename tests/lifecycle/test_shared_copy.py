"""The blacklist in Redis: one relay writes at a time, and the copy is never said to be younger than it is (40.3)."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
import sqlalchemy as sa

from lifecycle.breaker.redis_client import connect
from lifecycle.breaker.shared_copy import Change, LostLeaseError, SharedCopy, Stamp, decode_change
from tests.lifecycle.breaker_given import wait_until

DATABASE = sa.create_engine("postgresql+psycopg://x@db.example:5432/breakwater")
LEASE = timedelta(seconds=60)
NOBODY = frozenset[tuple[str, str]]()
ONE, TWO = ("t1", "wf1"), ('t"2', "wf/2 \N{SNOWMAN}")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """An empty Redis."""
    with connect(redis_url) as made:
        yield made


@pytest.fixture
def copy(client: redis.Redis) -> SharedCopy:
    """The copy of one database's blacklist."""
    return SharedCopy(client, DATABASE)


def lead(copy: SharedCopy, relay: str, lease: timedelta = LEASE) -> int:
    """Lead; Redis's time."""
    began = copy.lead(relay, lease)
    assert began is not None
    return began


def everything(version: int, *members: tuple[str, str]) -> Change:
    """A whole list."""
    return Change(None, version, frozenset(members), NOBODY)


def version_and_members(copy: SharedCopy) -> tuple[int, frozenset[tuple[str, str]]]:
    """What is there, but for its age."""
    loaded = copy.load()
    assert loaded is not None
    return loaded[0].version, loaded[1]


def test_what_is_written_is_read(copy: SharedCopy) -> None:
    began = lead(copy, "a")
    assert (copy.stamp(), copy.load(), copy.ask(ONE)) == (None, None, None)
    assert copy.write("a", began, everything(7, ONE, TWO))
    assert version_and_members(copy) == (7, frozenset({ONE, TWO}))
    assert copy.write("a", began, Change(7, 8, NOBODY, frozenset({ONE})))
    found = [copy.ask(key) for key in (ONE, TWO)]
    assert [(stamp.version, is_member) for stamp, is_member in filter(None, found)] == [(8, False), (8, True)]


def test_a_redis_that_is_short_of_memory_drops_all_of_it_or_nothing(copy: SharedCopy, client: redis.Redis) -> None:
    copy.write("a", lead(copy, "a"), everything(7, ONE, TWO))
    kept = [key for key in client.keys("*") if "relay" not in key]
    assert len(kept) == 1
    client.delete(*kept)
    assert (copy.stamp(), copy.load(), copy.ask(ONE)) == (None, None, None)


def test_a_change_of_another_version_is_not_taken(copy: SharedCopy) -> None:
    began = lead(copy, "a")
    assert not copy.write("a", began, Change(6, 7, frozenset({ONE}), NOBODY))
    assert copy.write("a", began, everything(7))
    assert not copy.write("a", began, Change(6, 7, frozenset({ONE}), NOBODY))
    assert version_and_members(copy) == (7, NOBODY)


def test_one_leads_until_it_gives_the_lease_back_or_loses_it(copy: SharedCopy) -> None:
    lead(copy, "a")
    assert copy.lead("b", LEASE) is None
    copy.resign("b")
    assert copy.lead("b", LEASE) is None
    copy.resign("a")
    lead(copy, "b", timedelta(milliseconds=1))
    wait_until(lambda: copy.lead("a", LEASE) is not None)


def test_who_has_lost_the_lease_writes_nothing(copy: SharedCopy) -> None:
    began = lead(copy, "a")
    copy.write("a", began, everything(7))
    copy.resign("a")
    lead(copy, "b")
    for change in (everything(8, ONE), Change(7, 8, frozenset({ONE}), NOBODY), Change(7, 7, NOBODY, NOBODY)):
        with pytest.raises(LostLeaseError):
            copy.write("a", began, change)
    assert version_and_members(copy) == (7, NOBODY)


def test_age_counts_from_before_postgres_was_asked(copy: SharedCopy) -> None:
    began = lead(copy, "a")
    copy.write("a", began - 5_000, everything(7))
    stamp = copy.stamp()
    assert stamp is not None
    assert timedelta(seconds=5) <= stamp.age < timedelta(seconds=60)
    copy.write("a", lead(copy, "a"), Change(7, 7, NOBODY, NOBODY))
    younger = copy.stamp()
    assert younger is not None
    assert younger.age < stamp.age
    assert younger == Stamp(7, younger.age)


def test_changes_are_told_and_confirmations_are_not(copy: SharedCopy, client: redis.Redis) -> None:
    began = lead(copy, "a")
    with client.pubsub(ignore_subscribe_messages=True) as told:  # type: ignore[no-untyped-call]
        told.subscribe(copy.channel)
        copy.write("a", began, everything(7, ONE))
        copy.write("a", began, Change(7, 7, NOBODY, NOBODY))
        copy.write("a", began, Change(7, 8, frozenset({TWO}), frozenset({ONE})))
        heard: list[Change] = []

        def has_heard_two() -> bool:
            message = told.get_message(timeout=0.1)
            if message is not None:
                heard.append(decode_change(message["data"]))
            return len(heard) == 2

        wait_until(has_heard_two)
    assert heard == [Change(None, 7, NOBODY, NOBODY), Change(7, 8, frozenset({TWO}), frozenset({ONE}))]
