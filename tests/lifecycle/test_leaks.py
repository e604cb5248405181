"""Which runs got past the admission gate (40.5)."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.admission.leaks import Start, record_leaks
from lifecycle.kinds import GateHoldKind, LeakKind
from tests.given import T0
from tests.lifecycle.admission_given import ask_one, blacklist, given_states, hold, request, unblacklist
from tests.lifecycle.given import rows

AFTER, WITHOUT = LeakKind.AFTER_BLOCK, LeakKind.WITHOUT_ADMISSION


def start(execution_id: str, seconds: float, workflow_id: str | None = "live", **changes: str) -> Start:
    """An execution that first showed life so many seconds after `T0`."""
    named = {"tenant_id": "t1", "automation_version_id": "v live", **changes}
    return Start(
        workflow_id=workflow_id, execution_id=execution_id, started_at=T0 + timedelta(seconds=seconds), **named
    )


def look(engine: sa.Engine, *starts: Start) -> list[LeakKind]:
    """What is new among these."""
    with engine.begin() as connection:
        return record_leaks(connection, starts)


def at(connection: sa.Connection, table: str, column: str, seconds: float) -> None:
    """Make the workflow's rows as old as if they were written then."""
    moment: datetime = T0 + timedelta(seconds=seconds)
    connection.execute(sa.text(f"UPDATE {table} SET {column} = :at WHERE workflow_id = 'live'"), {"at": moment})


def blacklisted(connection: sa.Connection, seconds: float) -> None:
    """Blacklisted then."""
    blacklist(connection, "live")
    at(connection, "workflow_blacklist", "blacklisted_at", seconds)


def released(connection: sa.Connection, seconds: float) -> None:
    """Blacklisted long ago, and released then."""
    blacklisted(connection, -100)
    unblacklist(connection, "live")
    at(connection, "workflow_blacklist", "removed_at", seconds)


def held(connection: sa.Connection, seconds: float) -> None:
    """Put into quarantine then."""
    hold(connection, "live", GateHoldKind.QUARANTINE)
    at(connection, "gate_holds", "created_at", seconds)


def moved(*moves: tuple[str, float]) -> Callable[[sa.Connection, float], None]:
    """Moved to these statuses, seconds after the time that is given."""

    def move(connection: sa.Connection, seconds: float) -> None:
        for to_status, later in moves:
            connection.execute(
                sa.insert(tables.automation_versions_status_history),
                {
                    "tenant_id": "t1",
                    "automation_version_id": "v live",
                    "from_status": "Live",
                    "to_status": to_status,
                    "operation": "test",
                    "actor": "u1",
                    "system_initiated": False,
                    "changed_at": T0 + timedelta(seconds=seconds + later),
                },
            )

    return move


@pytest.mark.parametrize(
    ("forbid", "forbidden", "started", "then"),
    [
        pytest.param(blacklisted, 0, -5, [], id="blacklisted after it had started"),
        pytest.param(blacklisted, 0, 1, [], id="within a second of the blacklisting: under way"),
        pytest.param(blacklisted, 0, 1.001, [AFTER], id="more than a second after the blacklisting"),
        pytest.param(released, 0, 0.5, [], id="after its release"),
        pytest.param(released, 0, -0.5, [AFTER], id="shortly before its release"),
        pytest.param(held, 0, 1, [], id="within a second of the hold"),
        pytest.param(held, 0, 2, [AFTER], id="on hold"),
        pytest.param(moved(("Paused", 0)), 0, 1, [], id="within a second of the pause"),
        pytest.param(moved(("Paused", 0)), 0, 2, [AFTER], id="paused"),
        pytest.param(moved(("Paused", 0), ("Blocked", 9)), 0, 9.5, [AFTER], id="paused, then blocked: since the pause"),
        pytest.param(moved(("Paused", 0), ("Live", 5)), 0, 9, [], id="paused, and resumed"),
        pytest.param(moved(("Ready to Launch", 0), ("Live", 5)), 0, 9, [], id="launched"),
    ],
)
def test_an_admitted_run_leaks_when_it_starts_too_late(
    engine: sa.Engine,
    forbid: Callable[[sa.Connection, float], None],
    forbidden: float,
    started: float,
    then: list[LeakKind],
) -> None:
    given_states(engine)
    admitted = ask_one(engine, request("live"))
    with engine.begin() as connection:
        forbid(connection, forbidden)
    assert look(engine, start(admitted.execution_id, started)) == then


def test_a_run_without_an_admission_leaks_once(engine: sa.Engine) -> None:
    given_states(engine)
    admitted = ask_one(engine, request("live"))
    refused = ask_one(engine, request("paused", "k2"))
    fine = start(admitted.execution_id, 0)
    leaks = [
        start("made up", 0),
        start(admitted.execution_id, 0, "blocked"),
        start(refused.execution_id, 0, "paused"),
        start("00000000-0000-5000-8000-000000000000", 0),
        start("named by its version alone", 0, None),
    ]
    foreign = [
        start("x", 0, "nobody's"),
        start("x", 0, "wf2"),
        start("x", 0, tenant_id="nobody"),
        start("x", 0, None, automation_version_id="nobody's"),
    ]
    assert look(engine, fine, *leaks, *foreign) == [WITHOUT] * len(leaks)
    assert look(engine, fine, *leaks) == []
    kept = rows(engine, tables.enforcement_leaks)
    assert {(row["workflow_id"], row["execution_id"]) for row in kept} == {
        (leak.workflow_id or "live", leak.execution_id) for leak in leaks
    }


def test_a_probe_may_run_though_its_workflow_is_blacklisted(engine: sa.Engine) -> None:
    given_states(engine)
    admitted = ask_one(engine, request("live"))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE admissions SET probe = true")
        blacklisted(connection, 0)
    probe = start(admitted.execution_id, 60)
    assert look(engine, probe) == []
    with engine.begin() as connection:
        held(connection, 0)
    assert look(engine, replace_workflow(probe)) == [AFTER]


def replace_workflow(probe: Start) -> Start:
    """The same start, told by its version alone."""
    return Start(probe.tenant_id, None, probe.automation_version_id, probe.execution_id, probe.started_at)
