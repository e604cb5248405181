"""Half-open breakers on Postgres: one probe at a time, released by its success alone (40.2)."""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.breaker.half_open import (
    HalfOpenPolicy,
    begin_cool_down,
    probe_failed,
    probe_lease,
    probe_succeeded,
    probes_among,
)
from lifecycle.breaker.probe_results import End, settle_probes
from lifecycle.options import LifecycleOptions
from tests.lifecycle.breaker_given import put_on, take_off
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.guard_given import apply
from tests.sinks.given import blacklists, stuck

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
POLICY = HalfOpenPolicy(after=timedelta(minutes=30), lease_for=timedelta(minutes=60))


def at(minutes: float) -> datetime:
    """A moment."""
    return T0 + timedelta(minutes=minutes)


def given_blacklisted(engine: sa.Engine, now: datetime = T0, policy: HalfOpenPolicy = POLICY) -> None:
    """A workflow that was put on the list at a moment, by a policy with probes."""
    put_on(engine)
    with engine.begin() as connection:
        begin_cool_down(
            connection,
            tenant_id="t1",
            workflow_id="wf1",
            blacklist_id=str(row(engine, tables.workflow_blacklist, removed_at=None)["id"]),
            policy=policy,
            now=now,
        )


def ask(engine: sa.Engine, execution_id: str, minutes: float) -> bool:
    """Whether an execution may run."""
    with engine.begin() as connection:
        return probe_lease(connection, "t1", "wf1", execution_id, at(minutes))


def succeed(engine: sa.Engine, execution_id: str, minutes: float) -> bool:
    """Its good end."""
    with engine.begin() as connection:
        return probe_succeeded(connection, "t1", "wf1", execution_id, at(minutes), options=LifecycleOptions())


def fail(engine: sa.Engine, execution_id: str, minutes: float) -> bool:
    """Its bad end."""
    with engine.begin() as connection:
        return probe_failed(connection, "t1", "wf1", execution_id, at(minutes))


def is_listed(engine: sa.Engine) -> bool:
    """Whether the workflow is on the list."""
    return bool(rows(engine, tables.workflow_blacklist, removed_at=None))


def test_a_probe_that_succeeds_releases_the_workflow_as_the_policy_s_act(engine: sa.Engine) -> None:
    given_world(engine)
    given_blacklisted(engine)
    assert [ask(engine, "x", 29), ask(engine, "x", 30), ask(engine, "y", 31), ask(engine, "x", 32)] == [
        False,
        True,
        False,
        True,
    ]
    assert not succeed(engine, "y", 40)
    assert is_listed(engine)
    assert succeed(engine, "x", 40)
    found = row(engine, tables.workflow_blacklist)
    assert (found["removed_by"], found["removal_source"]) == ("service:breaker", "policy")
    assert row(engine, tables.outbox_events, type="workflow_released")["message_key"] == "wf1"
    assert not ask(engine, "z", 500)
    assert not succeed(engine, "x", 41)


def test_a_probe_that_fails_doubles_the_cool_down(engine: sa.Engine) -> None:
    given_world(engine)
    given_blacklisted(engine)
    assert ask(engine, "x", 30)
    assert fail(engine, "x", 40)
    assert not fail(engine, "x", 41)
    assert [ask(engine, "y", 99), ask(engine, "y", 100)] == [False, True]
    assert row(engine, tables.breaker_probes)["failures"] == 1
    assert is_listed(engine)


def test_a_probe_of_which_nobody_hears_has_failed_and_its_late_success_says_nothing(engine: sa.Engine) -> None:
    given_world(engine)
    given_blacklisted(engine)
    assert ask(engine, "x", 30)
    # The lease ends at 90; twice the cool-down runs from there, though nobody noticed before.
    assert [ask(engine, "y", 149), ask(engine, "y", 150)] == [False, True]
    assert not succeed(engine, "x", 151)
    assert is_listed(engine)
    assert succeed(engine, "y", 152)


def test_a_lease_whose_transaction_is_not_committed_is_nobody_s(engine: sa.Engine) -> None:
    given_world(engine)
    given_blacklisted(engine)
    with engine.connect() as connection:
        assert probe_lease(connection, "t1", "wf1", "x", at(30))
        assert not ask(engine, "y", 30)  # waits for nobody
        connection.rollback()
    assert ask(engine, "y", 30)


def test_an_earlier_probe_that_may_still_run_is_waited_for(engine: sa.Engine) -> None:
    given_world(engine)
    given_blacklisted(engine)
    assert ask(engine, "x", 30)
    take_off(engine)
    assert not succeed(engine, "x", 31)
    given_blacklisted(engine, at(35))
    assert [ask(engine, "y", 66), ask(engine, "y", 89), ask(engine, "y", 90)] == [False, False, True]
    assert not succeed(engine, "x", 91)
    assert is_listed(engine)


def test_a_workflow_without_the_policy_has_no_probes(engine: sa.Engine) -> None:
    given_world(engine)
    put_on(engine)
    assert not ask(engine, "x", 10_000)


def test_a_policy_s_probes_follow_its_decision_and_a_stuck_one_fails(engine: sa.Engine) -> None:
    given_world(engine)
    policy = {"half_open_after_seconds": 1800.0, "probe_lease_seconds": 3600.0}
    threshold = {"threshold": 3, "window_seconds": 3600.0, **policy}
    assert apply(engine, [blacklists("a", "b", "c", threshold=threshold)]) == ["applied blacklisted"]
    probes = row(engine, tables.breaker_probes)
    assert (probes["cool_down"], probes["lease_for"]) == (POLICY.after, POLICY.lease_for)
    wait = probes["opens_at"] - row(engine, tables.workflow_blacklist)["blacklisted_at"]
    assert timedelta(0) <= wait - POLICY.after < timedelta(minutes=5)
    with engine.begin() as connection:
        assert probe_lease(connection, "t1", "wf1", "x", probes["opens_at"])
    apply(engine, [stuck("y")])
    assert row(engine, tables.breaker_probes)["execution_id"] == "x"
    apply(engine, [stuck("x")])
    closed = row(engine, tables.breaker_probes)
    assert (closed["execution_id"], closed["failures"], closed["cool_down"]) == (None, 1, 2 * POLICY.after)


@pytest.mark.parametrize(
    ("ends", "listed", "failures"),
    [
        pytest.param([("x", True)], False, 0, id="the probe's good end releases the workflow"),
        pytest.param([("x", False)], True, 1, id="its bad end does not"),
        pytest.param([("y", True), ("z", False)], True, 0, id="ends of other executions say nothing"),
        pytest.param([("x", False), ("x", True)], True, 1, id="the first end counts: failed, then ended well"),
        pytest.param([("x", True), ("x", False)], False, 0, id="the first end counts: ended well, then failed"),
    ],
)
def test_run_events_settle_probes(
    engine: sa.Engine, ends: list[tuple[str, bool]], *, listed: bool, failures: int
) -> None:
    given_world(engine)
    with engine.connect() as connection:
        now = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    given_blacklisted(engine, now - POLICY.after)
    with engine.begin() as connection:
        assert probe_lease(connection, "t1", "wf1", "x", now)
    with engine.begin() as connection:
        settle_probes(
            connection, [End("t1", "wf1", run, succeeded) for run, succeeded in ends], options=LifecycleOptions()
        )
    assert is_listed(engine) is listed
    assert row(engine, tables.breaker_probes)["failures"] == failures


def test_probes_are_found_among_many_executions(engine: sa.Engine) -> None:
    given_world(engine)
    given_blacklisted(engine)
    ask(engine, "x", 30)
    with engine.connect() as connection:
        asked = [("t1", "wf1", "x"), ("t1", "wf1", "y"), ("t2", "wf1", "x"), ("t1", "wf2", "x")]
        assert probes_among(connection, asked) == {("t1", "wf1", "x")}
        assert probes_among(connection, []) == set()


@pytest.mark.parametrize("workers", [64])
def test_never_two_probes_at_once_however_many_ask_and_crash(engine: sa.Engine, workers: int) -> None:
    """`BREAKWATER_TEST_EXPIRIES=10000` is the full size. The clock is the test's; what runs at once is real."""
    expiries = int(os.environ.get("BREAKWATER_TEST_EXPIRIES", "150"))
    given_world(engine)
    policy = HalfOpenPolicy(after=timedelta(minutes=30), lease_for=timedelta(hours=20))
    given_blacklisted(engine, policy=policy)
    clock, pool = itertools.count(), sa.create_engine(engine.url, pool_size=24, max_overflow=0, pool_timeout=300)
    granted: list[tuple[datetime, datetime]] = []

    def worker(number: int) -> None:
        for turn in itertools.count():
            if len(granted) >= expiries:
                return
            run, now = f"{number}-{turn}", at(60 * 6 * next(clock))
            with pool.connect() as connection:
                if not probe_lease(connection, "t1", "wf1", run, now):
                    continue
                if turn % 5 == 4:
                    connection.rollback()  # died before it was committed
                    continue
                connection.commit()
            end = now + policy.lease_for
            if number % 8 == 0:
                with pool.begin() as connection:
                    failed_at = now + timedelta(minutes=5)
                    end = failed_at if probe_failed(connection, "t1", "wf1", run, failed_at) else end
            granted.append((now, end))

    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(worker, range(workers)))
    pool.dispose()
    granted.sort()
    assert len(granted) >= expiries
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(granted))
    assert is_listed(engine)
    assert row(engine, tables.breaker_probes)["failures"] >= len(granted) - 1
