"""The registry of Postgres, as the intake asks it."""

import pytest
import sqlalchemy as sa

from cli.registry import REFRESH, UNKNOWN_FOR, DatabaseRegistry
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
    clock.now = UNKNOWN_FOR.total_seconds()
    assert registry.binding("v2") is not None


def test_a_changed_binding_is_known_after_the_refresh(
    engine: sa.Engine, registry: DatabaseRegistry, clock: Clock
) -> None:
    assert registry.binding("v1") is not None
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO workflows (tenant_id, workflow_id, name) VALUES ('t1', 'wf9', 'Sync')"))
        connection.execute(sa.text("UPDATE workflow_bindings SET wrk_workflow_id = 'wf9'"))
    clock.now = REFRESH.total_seconds() + 1
    binding = registry.binding("v1")
    assert binding is not None
    assert binding.workflow == "wf9"


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
    event = decode(
        b'{"event_id":"e","status":"success","occurred_at":"2026-03-02T08:00:00Z","tenant_id":"t2",'
        b'"automation_version_id":"v1","execution_id":"x"}'
    )
    assert isinstance(event, RunEvent)
    with pytest.raises(Unusable) as refused:
        identify(event, registry)
    assert refused.value.code is DeadLetterCode.TENANT_MISMATCH
