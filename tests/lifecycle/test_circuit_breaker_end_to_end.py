"""From run events to a refused start and back: seed 004's integration tests, through every part that has a say."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from dataflows.decisions import Decision
from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.blacklist_changes import add_to_blacklist, remove_from_blacklist
from lifecycle.breaker.blacklist_store import BlacklistStore
from lifecycle.breaker.circuit_breaker import CircuitBreaker
from lifecycle.kinds import AdmissionVerdict, RefusalCode
from lifecycle.options import LifecycleOptions
from lifecycle.system_config import SystemConfig
from sinks.services import ServicesSink
from tests.api.executions_given import Log, gate, service
from tests.given import T0, Line, decisions, timed_out
from tests.lifecycle.admission_given import ask_one, request
from tests.lifecycle.breaker_given import started, wait_until
from tests.lifecycle.given import given_world, row, rows

OTTO = ActorContext.of_user("u9", "console")
HANGS = [timed_out(minute, f"x{minute}") for minute in range(5)]


class World:
    """The monitor, its sink and store, and a gate's copy of the blacklist."""

    def __init__(self, engine: sa.Engine, redis_url: str, store: BlacklistStore) -> None:
        self.engine, self.store = engine, store
        self.breaker = CircuitBreaker(engine, redis_url, SystemConfig(engine))
        self._sink = ServicesSink(engine, LifecycleOptions(), _refuse, breaker=self.breaker)
        self._lines: list[Line] = []

    def read(self, *lines: Line) -> None:
        """Read more of the stream. It is judged from its beginning again: what was done before is not done twice."""
        self._lines += lines
        self._sink.apply(decisions(self._lines))

    def read_what_is_told(self) -> None:
        """Read the control events that the lifecycle has written."""
        known = {line.get("event_id") for line in self._lines}
        told = rows(self.engine, tables.outbox_events, type="workflow_released")
        self.read(*(dict(one["payload"]) for one in told if one["event_id"] not in known))

    def release(self) -> datetime:
        """Take the workflow off the list; when that was."""
        with self.engine.begin() as connection:
            remove_from_blacklist(
                connection,
                tenant_id="t1",
                workflow_id="wf1",
                note="It was mended.",
                actor_context=OTTO,
                options=LifecycleOptions(),
            )
        removed: datetime = rows(self.engine, tables.workflow_blacklist)[-1]["removed_at"]
        return removed

    def is_refused(self) -> bool:
        """What the gate's copy says."""
        return self.store.is_blacklisted("t1", "wf1")


def _refuse(decision: Decision, code: str) -> None:
    raise AssertionError((decision.kind, code))


@pytest.fixture
def world(engine: sa.Engine, redis_url: str) -> Iterator[World]:
    """The world's automation `v1` is Live and its workflow `wf1` active."""
    given_world(engine)
    with started(engine, redis_url) as store:
        made = World(engine, redis_url, store)
        yield made
        made.breaker.close()


def test_workflow_gets_blacklisted_after_5_stuck_executions(world: World) -> None:
    world.read(*HANGS[:4])
    assert world.breaker.check_threshold("t1", "wf1").count == 4
    assert not world.breaker.is_workflow_blacklisted("t1", "wf1")
    world.read(HANGS[4])
    listed = row(world.engine, tables.workflow_blacklist)
    assert (listed["source"], listed["reason"], listed["execution_ids"]) == (
        "auto",
        "auto:stuck:5",
        [f"x{n}" for n in range(5)],
    )
    wait_until(world.is_refused)


def test_blacklisted_workflow_rejected_at_api(world: World) -> None:
    with gate(world.engine, Log(), blacklist=world.store) as http:
        assert _ask(http, "k1") == (201, None)
        world.read(*HANGS)
        assert _ask(http, "k2") == (409, "Workflow is blacklisted")
        world.release()
        wait_until(lambda: not world.is_refused())
        assert _ask(http, "k3") == (201, None)


def test_blacklisted_workflow_rejected_at_consumer(world: World) -> None:
    assert ask_one(world.engine, request("wf1", "k1")).verdict is AdmissionVerdict.ADMITTED
    world.read(*HANGS)
    refused = ask_one(world.engine, request("wf1", "k2"))
    assert (refused.verdict, refused.code) == (AdmissionVerdict.REFUSED, RefusalCode.WORKFLOW_BLACKLISTED)


def test_platform_admin_notification_sent(world: World) -> None:
    world.read(*HANGS)
    world.read(timed_out(5, "one-more"))
    told = rows(world.engine, tables.notifications, template="workflow_blacklisted")
    assert {one["audience"] for one in told} == {"platform_admin"}
    assert len({one["episode_id"] for one in told}) == 1
    for one in told:
        assert one["link"].endswith("/console/blacklist")
        assert {name: one["context"][name] for name in ("workflow_name", "stuck_count")} == {
            "workflow_name": "Nightly invoices",
            "stuck_count": 5,
        }


def test_remove_from_blacklist_clears_counter(world: World) -> None:
    world.read(*HANGS)
    removed = world.release()
    world.breaker.clear_stuck_counter("t1", "wf1")
    assert world.breaker.check_threshold("t1", "wf1").count == 0
    wait_until(lambda: not world.is_refused())
    world.read_what_is_told()
    minutes = (removed - T0) / timedelta(minutes=1)
    world.read(timed_out(minutes - 1, "in-flight"), timed_out(minutes + 1, "y0"))
    assert world.breaker.check_threshold("t1", "wf1").count == 1
    assert not world.breaker.is_workflow_blacklisted("t1", "wf1")
    world.read(*(timed_out(minutes + 1 + number, f"y{number}") for number in range(1, 5)))
    assert world.breaker.is_workflow_blacklisted("t1", "wf1")
    assert [one["stuck_count"] for one in rows(world.engine, tables.workflow_blacklist)] == [5, 5]


def test_manual_blacklist_works(world: World) -> None:
    with world.engine.begin() as connection:
        added = add_to_blacklist(
            connection, tenant_id="t1", workflow_id="wf1", reason="It writes twice.", actor_context=OTTO
        )
    assert added.is_new
    wait_until(world.is_refused)
    world.read(*HANGS)
    assert row(world.engine, tables.workflow_blacklist)["source"] == "manual"
    world.release()
    wait_until(lambda: not world.is_refused())


def _ask(http: TestClient, key: str) -> tuple[int, str | None]:
    """Ask for a run as a service; the status, and the words of a refusal."""
    body = {"workflow_id": "wf1", "trigger": "schedule", "idempotency_key": key}
    answer = http.post("/v1/executions", json=body, headers=service())
    return answer.status_code, answer.json().get("message")
