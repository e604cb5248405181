"""The registry of Postgres, as the intake asks it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from cli.registry import ASK_AGAIN, LOOK_UPS, REFRESH, DatabaseRegistry
from config.database import CONNECT_TIMEOUT, make_engine
from config.settings import Postgres
from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.decode import decode
from dataflows.events import RunEvent
from dataflows.registry import Binding, identify
from lifecycle.seed import seed


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(engine: sa.Engine, clock: Clock) -> DatabaseRegistry:
    add(engine, "v1", "wf1")
    return DatabaseRegistry(engine, lambda: True, clock)


def add(engine: sa.Engine, version_id: str, workflow_id: str, tenant_id: str = "t1") -> None:
    """One more automation of a tenant, with its version and workflow."""
    with engine.begin() as connection:
        seed(
            connection,
            {
                "tenants": [{"id": tenant_id, "name": tenant_id}],
                "automations": [{"id": f"a-{version_id}", "tenant_id": tenant_id, "name": "Sync"}],
                "automation_versions": [
                    {
                        "id": version_id,
                        "tenant_id": tenant_id,
                        "automation_id": f"a-{version_id}",
                        "version": 1,
                        "status": "Live",
                    }
                ],
                "workflows": [{"tenant_id": tenant_id, "workflow_id": workflow_id, "name": "Sync"}],
                "workflow_bindings": [
                    {
                        "tenant_id": tenant_id,
                        "automation_version_id": version_id,
                        "wrk_workflow_id": workflow_id,
                        "status": "active",
                    }
                ],
            },
        )


def test_a_version_has_its_tenant_and_workflow(registry: DatabaseRegistry) -> None:
    assert registry.binding("v1") == Binding("t1", "v1", "wf1", None, "Live")


def test_a_version_that_comes_later_is_known_at_once(engine: sa.Engine, registry: DatabaseRegistry) -> None:
    assert registry.binding("v1") is not None
    add(engine, "v2", "wf2")
    binding = registry.binding("v2")
    assert binding is not None
    assert binding.workflow == "wf2"


def test_an_unknown_version_is_asked_for_again_only_after_a_while(
    engine: sa.Engine, registry: DatabaseRegistry, clock: Clock
) -> None:
    assert registry.binding("v2") is None
    add(engine, "v2", "wf2")
    assert registry.binding("v2") is None
    clock.now = ASK_AGAIN.total_seconds()
    assert registry.binding("v2") is not None


def rebind(engine: sa.Engine, workflow_id: str) -> None:
    """Bind every version to another workflow."""
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO workflows (tenant_id, workflow_id, name) VALUES ('t1', :id, 'Sync')"),
            {"id": workflow_id},
        )
        connection.execute(sa.text("UPDATE workflow_bindings SET wrk_workflow_id = :id"), {"id": workflow_id})


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for something that happens beside the test, or fail."""
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def event(tenant_id: str = "t1", workflow_id: str | None = None, version_id: str = "v1") -> RunEvent:
    """An event with these ids."""
    line = {"status": "success", "occurred_at": "2026-03-02T08:00:00Z", "execution_id": "x", "event_id": "e"}
    ids = {"tenant_id": tenant_id, "workflow_id": workflow_id, "automation_version_id": version_id}
    decoded = decode(json.dumps({**line, **ids}).encode())
    assert isinstance(decoded, RunEvent)
    return decoded


def judge(registry: DatabaseRegistry, judged: RunEvent) -> DeadLetterCode | None:
    """The code of the event's dead letter, None for a good event."""
    try:
        identify(judged, registry)
    except Unusable as refused:
        return refused.code
    return None


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[str]]:
    """What the engine is made to execute meanwhile."""
    seen: list[str] = []

    def keep(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    sa.event.listen(engine, "before_cursor_execute", keep)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", keep)


def test_a_changed_binding_is_known_after_the_refresh(
    engine: sa.Engine, registry: DatabaseRegistry, clock: Clock
) -> None:
    assert registry.binding("v1") is not None
    rebind(engine, "wf9")
    clock.now = REFRESH.total_seconds() + 1
    wait_until(lambda: registry.binding("v1") == Binding("t1", "v1", "wf9", None, "Live"))


def test_events_of_the_new_workflow_are_good_at_once(engine: sa.Engine, registry: DatabaseRegistry) -> None:
    assert judge(registry, event(workflow_id="wf1")) is None
    rebind(engine, "wf9")
    assert judge(registry, event(workflow_id="wf9")) is None
    assert judge(registry, event(workflow_id="wf1")) is DeadLetterCode.TENANT_MISMATCH


def test_what_events_contradict_is_asked_for_once_in_a_while(
    engine: sa.Engine, registry: DatabaseRegistry, clock: Clock
) -> None:
    assert judge(registry, event()) is None
    with statements(engine) as seen:
        for _ in range(50):
            assert judge(registry, event(tenant_id="t2")) is DeadLetterCode.TENANT_MISMATCH
        assert len(seen) == 1
        clock.now = ASK_AGAIN.total_seconds()
        assert judge(registry, event(tenant_id="t2")) is DeadLetterCode.TENANT_MISMATCH
        assert len(seen) == 2


def test_a_flood_of_unknown_versions_costs_so_many_statements_and_no_more(
    engine: sa.Engine, registry: DatabaseRegistry, clock: Clock
) -> None:
    assert registry.binding("v1") is not None
    with statements(engine) as seen:
        for number in range(LOOK_UPS):
            assert registry.binding(f"made-up-{number}") is None
        assert len(seen) == LOOK_UPS
        add(engine, "v2", "wf2")
        seen.clear()
        # The one beyond has everything read, which answers for all others of this second.
        assert registry.binding("v2") is not None
        for number in range(10 * LOOK_UPS):
            assert registry.binding(f"made-up-too-{number}") is None
        assert len(seen) == 1
        clock.now = ASK_AGAIN.total_seconds()
        assert registry.binding("made-up-3") is None
        assert len(seen) == 2
    assert len(registry._asked) <= LOOK_UPS


def test_what_was_looked_up_during_a_refresh_outlives_it(
    engine: sa.Engine, registry: DatabaseRegistry, clock: Clock
) -> None:
    assert registry.binding("v1") is not None
    held = threading.Event()
    began = threading.Event()

    def hold(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "WHERE" not in statement and threading.current_thread() is not threading.main_thread():
            began.set()
            assert held.wait(20)

    # The refresh has its answer, and is slow to take it.
    sa.event.listen(engine, "after_cursor_execute", hold)
    clock.now = REFRESH.total_seconds() + 1
    registry.binding("v1")
    assert began.wait(20)
    rebind(engine, "wf9")
    assert judge(registry, event(workflow_id="wf9")) is None
    held.set()
    wait_until(lambda: (registry.binding("v1"), registry._refresh)[1] is None)
    assert registry.binding("v1") == Binding("t1", "v1", "wf9", None, "Live")


def test_a_host_that_says_nothing_does_not_hold_what_is_known(engine: sa.Engine, clock: Clock) -> None:
    add(engine, "v1", "wf1")
    registry = DatabaseRegistry(engine, lambda: True, clock)
    assert registry.binding("v1") is not None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        registry._engine = make_engine(Postgres(url=SecretStr(url)))
        clock.now = REFRESH.total_seconds() + 1
        before = time.monotonic()
        assert registry.binding("v1") is not None
        assert time.monotonic() - before < 1
        with pytest.raises(sa.exc.OperationalError):
            registry.binding("v2")
        assert time.monotonic() - before < 2 * CONNECT_TIMEOUT + 5
        wait_until(lambda: (registry.binding("v1"), registry._refresh)[1] is None)
        registry._engine.dispose()


def test_what_is_known_holds_while_the_database_is_away(database_url: str, clock: Clock) -> None:
    engine = sa.create_engine(database_url)
    add(engine, "v1", "wf1")
    registry = DatabaseRegistry(engine, lambda: True, clock)
    assert registry.binding("v1") is not None
    engine.dispose()
    away = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    registry._engine = away
    clock.now = REFRESH.total_seconds() + 1
    assert registry.binding("v1") is not None
    # Asked to stop, it doesn't wait: the event is read again after the restart.
    with pytest.raises(sa.exc.OperationalError):
        registry.binding("v2")


def test_an_event_in_another_tenants_name_is_refused(registry: DatabaseRegistry) -> None:
    assert judge(registry, event(tenant_id="t2")) is DeadLetterCode.TENANT_MISMATCH


def test_a_change_that_is_told_of_is_known_before_the_next_refresh(engine: sa.Engine) -> None:
    add(engine, "v1", "wf1")
    registry = DatabaseRegistry(engine, lambda: True)
    registry.listen()
    wait_until(lambda: (registry.known("v1"), registry._news, registry._refresh)[2] is None)
    assert registry.binding("v1") == Binding("t1", "v1", "wf1", None, "Live")
    rebind(engine, "wf9")
    wait_until(lambda: registry.binding("v1") == Binding("t1", "v1", "wf9", None, "Live"))
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM workflow_bindings")
    wait_until(lambda: registry.binding("v1") == Binding("t1", "v1", None, None, "Live"))


def test_memory_is_bounded_and_what_it_lacks_is_looked_up(engine: sa.Engine, clock: Clock) -> None:
    for number in range(9):
        add(engine, f"v{number}", f"wf{number}")
    registry = DatabaseRegistry(engine, lambda: True, clock, max_bindings=4)
    for _ in range(2):
        for number in range(9):
            assert registry.binding(f"v{number}") == Binding("t1", f"v{number}", f"wf{number}", None, "Live")
            assert len(registry._bindings) + len(registry._old) <= 4
        clock.now += ASK_AGAIN.total_seconds()


def test_an_answer_from_before_a_change_is_not_taken(engine: sa.Engine, clock: Clock) -> None:
    add(engine, "v1", "wf1")
    registry = DatabaseRegistry(engine, lambda: True, clock)
    assert registry.known("v1") is not None
    asked = registry.look_up(["v1"])
    registry._news.append("v1")
    assert registry.known("v1") is None
    wait_until(lambda: asked.answer() is not None)
    assert registry.known("v1") is None
