"""Two who want the same version: the second waits, and sees what the first has done (30.2)."""

import threading
import time
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import MONITOR
from lifecycle.blocking import BlockOutcome, BlockResult, request_block_for_credentials
from tests.lifecycle.given import given_world, row, rows, version
from tests.lifecycle.test_blocking import DECISION, LATER_DECISION, OPTIONS, block


def wait_until_somebody_waits(engine: sa.Engine) -> None:
    """Return when a session of this database waits for a lock; fail after 10 s."""
    deadline = time.monotonic() + 10
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while time.monotonic() < deadline:
            waiting = connection.exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).scalar_one()
            if waiting:
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")


def request(connection: sa.Connection, decision_id: str, *systems: str) -> BlockResult:
    """One request in the caller's transaction."""
    return request_block_for_credentials(
        connection,
        tenant_id="t1",
        automation_version_id="v1",
        actor_context=MONITOR,
        failed_systems=systems,
        policy_id="auth_failures",
        decision_id=decision_id,
        options=OPTIONS,
    )


def test_a_second_block_waits_for_the_first_and_is_merged_into_it(engine: sa.Engine) -> None:
    given_world(engine)
    results: dict[str, BlockResult] = {}

    def second() -> None:
        results["second"] = block(engine, "mail", decision=LATER_DECISION)

    thread = threading.Thread(target=second)
    with engine.begin() as connection:
        results["first"] = request(connection, DECISION, "crm")
        thread.start()
        wait_until_somebody_waits(engine)
    thread.join(10)
    assert results["first"].outcome is BlockOutcome.BLOCKED
    assert results["second"].outcome is BlockOutcome.MERGED
    assert results["second"].episode_id == results["first"].episode_id
    assert version(engine)["blocked_from_status"] == "Live"
    assert row(engine, tables.block_reasons)["failed_systems"] == ["crm", "mail"]
    assert len(rows(engine, tables.automation_versions_status_history, to_status="Blocked")) == 1


def test_a_second_block_goes_ahead_when_the_first_is_rolled_back(engine: sa.Engine) -> None:
    given_world(engine)
    results: list[BlockResult] = []
    thread = threading.Thread(target=lambda: results.append(block(engine, "mail", decision=LATER_DECISION)))
    with engine.connect() as connection:
        request(connection, DECISION, "crm")
        thread.start()
        wait_until_somebody_waits(engine)
        connection.rollback()
    thread.join(10)
    assert [result.outcome for result in results] == [BlockOutcome.BLOCKED]
    assert row(engine, tables.tasks)["system_key"] == "mail"


def test_a_status_that_changes_meanwhile_is_the_one_that_counts(engine: sa.Engine) -> None:
    given_world(engine)
    results: list[BlockResult] = []
    thread = threading.Thread(target=lambda: results.append(block(engine)))
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.automation_versions).where(tables.automation_versions.c.id == "v1").values(status="Paused")
        )
        thread.start()
        wait_until_somebody_waits(engine)
    thread.join(10)
    assert [(result.outcome, result.met_status) for result in results] == [(BlockOutcome.SKIPPED, "Paused")]
    assert version(engine)["status"] == "Paused"


def test_whoever_waits_for_a_version_has_its_automation_already(engine: sa.Engine) -> None:
    given_world(engine)
    results: list[BlockResult] = []
    thread = threading.Thread(target=lambda: results.append(block(engine)))
    automations, versions = tables.automations, tables.automation_versions
    with engine.begin() as connection:
        connection.execute(sa.select(versions.c.id).where(versions.c.id == "v1").with_for_update())
        thread.start()
        wait_until_somebody_waits(engine)
        free = sa.select(automations.c.id).with_for_update(skip_locked=True).order_by(automations.c.id)
        assert "a1" not in connection.execute(free).scalars().all()
    thread.join(10)
    assert len(results) == 1


def test_all_rows_that_belong_to_a_version_are_locked_with_it(engine: sa.Engine) -> None:
    given_world(engine)

    def is_locked(connection: sa.Connection, table: sa.Table, **where: Any) -> bool:
        query = sa.select(sa.literal(1)).select_from(table).where(*(table.c[name] == at for name, at in where.items()))
        return connection.execute(query.with_for_update(skip_locked=True)).first() is None

    with engine.connect() as first, engine.connect() as other:
        request(first, DECISION, "crm")
        assert is_locked(other, tables.automations, id="a1")
        assert is_locked(other, tables.automation_versions, id="v1")
        assert is_locked(other, tables.workflow_bindings, automation_version_id="v1")
        assert is_locked(other, tables.projects, automation_version_id="v1")
        assert not is_locked(other, tables.automations, id="a2")
        assert not is_locked(other, tables.automation_versions, id="v2")
