"""Approved baselines: measured, proposed, agreed to, imported, exported, told to the monitor (50.3)."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from config.credit_baselines import parse_baselines
from dataflows.decode import decode
from lifecycle import tables
from lifecycle.actors import WORKER, ActorContext
from lifecycle.capabilities import Role, capabilities_of
from lifecycle.credits.approved_baselines import Baseline, list_baselines
from lifecycle.credits.baseline_file import export_baselines
from lifecycle.credits.baselines import (
    ImportedBaseline,
    Update,
    approve_baseline,
    import_baselines,
    reject_baseline,
    update_baselines,
)
from lifecycle.credits.health import read_credit_health
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import BaselineStatus
from lifecycle.options import LifecycleOptions
from tests.lifecycle.given import given_world, row, rows, wait_until_one_waits
from tests.lifecycle.ledger_given import entry, spend

SUNDAY = datetime(2026, 3, 8, 23, tzinfo=UTC)
WEEK = timedelta(days=7)
OPS_ADMIN = ActorContext.of_user("u9", "cli", capabilities_of([Role.OPS_ADMIN]))
OPS = ActorContext.of_user("u9", "cli", capabilities_of([Role.OPS_BUILD]))


@pytest.fixture
def world(engine: sa.Engine) -> sa.Engine:
    given_world(engine)
    return engine


def week(engine: sa.Engine, credits_total: float, until: datetime = SUNDAY, runs: int = 6, **more: Any) -> None:
    """A week of runs before a time."""
    spend(engine, [entry(until - WEEK * number / (runs + 1), credits_total, **more) for number in range(1, runs + 1)])


def update(engine: sa.Engine, at: datetime = SUNDAY) -> Update:
    with engine.begin() as connection:
        return update_baselines(connection, at, actor_context=WORKER, options=LifecycleOptions())


def in_force(engine: sa.Engine) -> dict[tuple[str, str], Decimal]:
    with engine.connect() as connection:
        return {(one.tenant_id, one.scenario): one.median_credits for one in list_baselines(connection)}


def told(engine: sa.Engine) -> list[dict[str, Any]]:
    """What the monitor was told, oldest first."""
    return [one["payload"] for one in rows(engine, tables.outbox_events, type="baselines_updated")]


def proposed(engine: sa.Engine) -> Baseline:
    with engine.connect() as connection:
        (only,) = list_baselines(connection, statuses=[BaselineStatus.PROPOSED])
    return only


def test_stable_scenarios_get_the_median_of_their_healthy_runs(world: sa.Engine) -> None:
    week(world, 100)
    week(world, 90, until=SUNDAY - 2 * WEEK, runs=8, tenant_id="t1")
    week(world, 7, tenant_id="t2", scenario="import", runs=4)
    week(world, 50, tenant_id="nobody")
    done = update(world)
    assert [(one.scenario, one.median_credits, one.sample_size) for one in done.updated] == [("export", 90, 14)]
    assert done.proposed == []
    assert in_force(world) == {("t1", "export"): Decimal(90)}
    stored = row(world, tables.credit_baselines)
    assert (stored["status"], stored["origin"], stored["job_type"]) == ("current", "measured", "ANALYSIS")
    assert stored["calculated_at"] == stored["effective_at"] == SUNDAY
    audit = row(world, tables.audit_logs)
    assert (audit["action_type"], audit["actor"], audit["resource_id"]) == (
        "update_baseline",
        "service:worker",
        stored["id"],
    )


def test_the_monitor_is_told_in_its_own_words_and_from_which_event_time_on(world: sa.Engine) -> None:
    week(world, 100.5)
    update(world)
    (payload,) = told(world)
    event = decode(msgspec.json.encode(payload))
    assert event.occurred_at == SUNDAY
    assert msgspec.to_builtins(event)["baselines"] == [
        {"scenario_id": "export", "median_credits": 100.5, "job_type": "ANALYSIS"}
    ]


def test_the_same_update_again_changes_nothing(world: sa.Engine) -> None:
    week(world, 100)
    update(world)
    assert update(world) == Update([], [], 1)
    assert len(told(world)) == len(rows(world, tables.credit_baselines)) == 1


def test_what_is_measured_again_and_stays_is_as_new_as_its_measurement(world: sa.Engine) -> None:
    week(world, 100)
    update(world)
    later = SUNDAY + 3 * WEEK
    week(world, 100, until=later, runs=8)
    assert update(world, later) == Update([], [], 1)
    # Somebody measures a time that is past.
    update(world, later - WEEK)
    with world.connect() as connection:
        (one,) = list_baselines(connection)
        assert read_credit_health(connection).newest_baseline_at == later
    assert (one.calculated_at, one.effective_at, one.sample_size) == (later, SUNDAY, 14)
    assert len(told(world)) == 1


def test_what_rises_by_less_than_a_half_moves_by_a_fifth_a_week(world: sa.Engine) -> None:
    week(world, 100)
    update(world)
    seen = []
    for number in range(1, 4):
        # Enough of the new ones to be the median at once.
        week(world, 145, until=SUNDAY + number * WEEK, runs=20)
        update(world, SUNDAY + number * WEEK)
        seen.append(in_force(world)["t1", "export"])
    assert seen == [120, 144, 145]
    assert [one["status"] for one in rows(world, tables.credit_baselines)] == ["replaced"] * 3 + ["current"]


def test_a_change_by_more_than_a_half_waits_for_approval(world: sa.Engine) -> None:
    week(world, 100)
    update(world)
    week(world, 40, until=SUNDAY + 3 * WEEK, runs=20)
    done = update(world, SUNDAY + 3 * WEEK)
    assert (done.updated, [one.median_credits for one in done.proposed]) == ([], [40])
    assert in_force(world) == {("t1", "export"): Decimal(100)}
    assert len(told(world)) == 1
    task = row(world, tables.tasks)
    assert (task["kind"], task["status"], task["context_id"]) == ("approval", "pending", proposed(world).id)
    assert task["title"] == "Approve the baseline of “export”: 100 → 40 credits"

    again = update(world, SUNDAY + 3 * WEEK)
    assert (again.updated, again.proposed) == ([], []), "it is proposed once"
    with world.begin() as connection:
        approve_baseline(connection, tenant_id="t1", baseline_id=proposed(world).id, actor_context=OPS_ADMIN)
    assert in_force(world) == {("t1", "export"): Decimal(40)}
    assert row(world, tables.tasks)["status"] == "complete"
    assert told(world)[-1]["baselines"][0]["median_credits"] == 40.0
    approved = row(world, tables.credit_baselines, status="current")
    assert (approved["origin"], approved["decided_by"]) == ("approved", "u9")


def test_a_proposal_that_is_rejected_leaves_the_baseline(world: sa.Engine) -> None:
    week(world, 100)
    update(world)
    week(world, 200, until=SUNDAY + WEEK, runs=20)
    update(world, SUNDAY + WEEK)
    with world.begin() as connection:
        reject_baseline(connection, tenant_id="t1", baseline_id=proposed(world).id, actor_context=OPS_ADMIN)
    assert in_force(world) == {("t1", "export"): Decimal(100)}
    assert row(world, tables.tasks)["status"] == "complete"
    assert len(told(world)) == 1


def test_a_proposal_that_is_out_of_date_gives_way_to_the_next_one(world: sa.Engine) -> None:
    week(world, 100)
    update(world)
    week(world, 200, until=SUNDAY + WEEK, runs=20)
    update(world, SUNDAY + WEEK)
    week(world, 300, until=SUNDAY + 2 * WEEK, runs=60)
    update(world, SUNDAY + 2 * WEEK)
    assert proposed(world).median_credits == 300
    assert sorted(one["status"] for one in rows(world, tables.tasks)) == ["cancelled", "pending"]


@pytest.mark.parametrize(
    ("actor", "tenant", "code"),
    [
        pytest.param(OPS, "t1", ErrorCode.FORBIDDEN, id="somebody of operations who is no admin"),
        pytest.param(OPS_ADMIN, "t2", ErrorCode.NOT_FOUND, id="in the name of another tenant"),
    ],
)
def test_who_may_not_approve(world: sa.Engine, actor: ActorContext, tenant: str, code: ErrorCode) -> None:
    week(world, 100)
    update(world)
    week(world, 200, until=SUNDAY + WEEK, runs=20)
    update(world, SUNDAY + WEEK)
    waiting = proposed(world).id
    with pytest.raises(LifecycleError) as refused, world.begin() as connection:
        approve_baseline(connection, tenant_id=tenant, baseline_id=waiting, actor_context=actor)
    assert refused.value.code is code
    assert proposed(world).id == waiting


def test_two_updates_at_the_same_time_are_one(world: sa.Engine) -> None:
    week(world, 100)
    done: list[Update] = []
    threads = [threading.Thread(target=lambda: done.append(update(world))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(one.updated) for one in done) == [0, 1]
    assert len(rows(world, tables.credit_baselines)) == 1


def test_two_updates_in_snapshots_of_the_same_moment_are_one(world: sa.Engine) -> None:
    """As the calendar's job and the command make them."""
    week(world, 100)
    together = threading.Barrier(2)
    made: list[int] = []

    def update_one() -> None:
        with world.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
            together.wait(60)
            done = update_baselines(connection, SUNDAY, actor_context=WORKER, options=LifecycleOptions())
            made.append(len(done.updated))

    threads = [threading.Thread(target=update_one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 1]


def test_the_file_is_read_back_as_it_was_written(world: sa.Engine, tmp_path: Path) -> None:
    week(world, 100.25)
    update(world)
    path = tmp_path / "config" / "credit-baselines.json"
    with world.connect() as connection:
        assert export_baselines(connection, path) == 1
    document = json.loads(path.read_bytes())
    assert document["version"] == "1.0.0"
    assert document["baselines"] == [
        {
            "tenant_id": "t1",
            "scenario_id": "export",
            "median_credits": 100.25,
            "calculated_at": "2026-03-08T23:00:00Z",
            "sample_size": 6,
            "last_updated": "2026-03-08T23:00:00Z",
            "job_type": "ANALYSIS",
        }
    ]
    (one,) = parse_baselines(path.read_bytes()).baselines
    assert (one.tenant_id, one.median_credits) == ("t1", Decimal("100.25"))


def test_a_file_that_can_t_be_written_leaves_the_old_one(world: sa.Engine, tmp_path: Path) -> None:
    in_the_way = tmp_path / "baselines.json"
    (in_the_way / "a folder").mkdir(parents=True)
    with world.connect() as connection, pytest.raises(OSError, match="directory"):
        export_baselines(connection, in_the_way)
    assert [one.name for one in tmp_path.iterdir()] == ["baselines.json"]


def test_what_is_imported_holds_at_once_and_what_is_the_same_is_left(world: sa.Engine) -> None:
    week(world, 100)
    update(world)
    imported = [
        ImportedBaseline(tenant_id="t1", scenario="export", median_credits=Decimal("100.0")),
        ImportedBaseline(tenant_id="t2", scenario="import", median_credits=Decimal(7), sample_size=9),
    ]
    with world.begin() as connection:
        changed = import_baselines(connection, imported, actor_context=OPS_ADMIN)
    assert [one.scenario for one in changed] == ["import"]
    assert in_force(world) == {("t1", "export"): Decimal(100), ("t2", "import"): Decimal(7)}
    assert told(world)[-1]["tenant_id"] == "t2"


def test_an_import_in_a_snapshot_sees_the_change_that_it_waited_for(world: sa.Engine) -> None:
    """As the command makes it, while somebody else imports the same."""
    imported = [ImportedBaseline(tenant_id="t1", scenario="import", median_credits=Decimal(7))]

    def import_later() -> list[Baseline]:
        with world.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
            return import_baselines(connection, imported, actor_context=OPS_ADMIN)

    with ThreadPoolExecutor(1) as threads, world.connect() as first:
        with first.begin():
            assert len(import_baselines(first, imported, actor_context=OPS_ADMIN)) == 1
            later = threads.submit(import_later)
            wait_until_one_waits(world)
        assert later.result() == []
    assert in_force(world) == {("t1", "import"): Decimal(7)}


def test_a_tenant_that_is_not_known_refuses_the_whole_import(world: sa.Engine) -> None:
    imported = [
        ImportedBaseline(tenant_id=tenant, scenario="import", median_credits=Decimal(7)) for tenant in ("t1", "t9")
    ]
    with pytest.raises(LifecycleError) as refused, world.begin() as connection:
        import_baselines(connection, imported, actor_context=OPS_ADMIN)
    assert "t9" in refused.value.message
    assert in_force(world) == {}
