"""`breakwater run --sink services` with a file as source: it needs the database, and no broker."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.ledger import read_chain, verify
from tests.given import Line, denied, encode, timed_out
from tests.lifecycle.given import given_world, version

IDS = {"tenant_id": "t1", "workflow_id": "wf1", "automation_version_id": "v1"}
SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"


def run(folder: Path, database_url: str, lines: list[Line], *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the monitor over these events, in `folder`."""
    events = folder / "events.ndjson"
    events.write_bytes(b"".join(map(encode, lines)))
    return subprocess.run(
        [sys.executable, "-m", "cli", "run", "--source", f"file:{events}", "--sink", "services", *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "BREAKWATER_POSTGRES__URL": database_url,
            "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("key", ["", "a\x00b"], ids=["the empty text", "NUL"])
def test_credentials_of_a_system_with_an_odd_key_block(
    engine: sa.Engine, database_url: str, tmp_path: Path, key: str
) -> None:
    given_world(engine)
    ended_well = run(tmp_path, database_url, [denied(n, f"x{n}", system_key=key, **IDS) for n in range(3)])
    assert ended_well.returncode == 0, ended_well.stderr
    assert version(engine)["status"] == "Blocked"


@pytest.mark.parametrize(
    ("options", "where"),
    [
        pytest.param([], ".", id="in the current folder"),
        pytest.param(["--recovery", "store"], "store", id="in the recovery folder"),
        pytest.param(["--recovery", "store", "--dead-letters", "dead/messages.ndjson"], "dead", id="beside messages"),
    ],
)
def test_a_decision_that_cannot_be_applied_goes_into_a_file(
    engine: sa.Engine, database_url: str, tmp_path: Path, options: list[str], where: str
) -> None:
    given_world(engine)
    with engine.begin() as connection:
        # What the intake lets through Postgres takes today, so that it refuses something has to be arranged.
        connection.execute(
            sa.text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN RAISE EXCEPTION USING ERRCODE = '22021'; END$$"
            )
        )
        connection.execute(sa.text("CREATE TRIGGER refuse BEFORE INSERT ON stuck_executions EXECUTE FUNCTION refuse()"))
    (tmp_path / "dead").mkdir()
    ended_well = run(tmp_path, database_url, [timed_out(0, "x", **IDS)], *options)
    assert ended_well.returncode == 0, ended_well.stderr
    (kept,) = (tmp_path / where / "decisions.dead_letter.ndjson").read_text().splitlines()
    assert json.loads(kept)["code"] == "unstorable"
    assert json.loads(kept)["decision"]["detail"]["execution_id"] == "x"


def test_an_error_of_the_database_does_not_quote_what_events_brought(
    engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    given_world(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE systems RENAME TO elsewhere"))
    failed = run(tmp_path, database_url, [denied(n, f"x{n}", system_key=SECRET, **IDS) for n in range(3)])
    assert failed.returncode == 1
    assert "UndefinedTable" in failed.stderr
    assert SECRET not in failed.stderr + failed.stdout


def charged(number: int, credits_total: float) -> Line:
    """A run that ended well and cost so much."""
    return {
        "event_id": f"paid-{number}",
        "status": "success",
        "occurred_at": f"2026-03-02T08:{number:02}:00Z",
        "execution_id": f"paid-{number}",
        "credits_total": credits_total,
        **IDS,
    }


def test_what_runs_cost_is_in_the_ledger_once_and_a_spike_is_a_case(
    engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    given_world(engine)
    lines = [charged(number, 100) for number in range(6)] + [charged(6, 700)]
    for store in ("one", "two"):  # the second reads all of it again
        ended_well = run(tmp_path, database_url, lines, "--recovery", store)
        assert ended_well.returncode == 0, ended_well.stderr
    with engine.connect() as connection:
        chain = list(read_chain(connection, "t1"))
        assert verify(connection, "t1") is None
        cases = connection.execute(sa.text("SELECT severity, primary_execution_id FROM credit_cases")).all()
    assert [(entry.execution_id, entry.severity) for entry, _ in chain] == [
        *((f"paid-{number}", "SEV3") for number in range(5)),
        ("paid-5", "SEV4"),
        ("paid-6", "SEV1"),
    ]
    assert cases == [("SEV1", "paid-6")]
    assert "SEV" not in ended_well.stderr


def test_a_run_that_contradicts_the_ledger_goes_into_the_file_of_dead_decisions(
    engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    given_world(engine)
    assert run(tmp_path, database_url, [charged(1, 100)], "--recovery", "one").returncode == 0
    again = run(tmp_path, database_url, [charged(1, 101)], "--recovery", "two")
    assert again.returncode == 0, again.stderr
    (dead,) = (tmp_path / "two" / "decisions.dead_letter.ndjson").read_text().splitlines()
    assert (json.loads(dead)["code"], json.loads(dead)["credit_run"]["execution_id"]) == ("conflicting_run", "paid-1")
    with engine.connect() as connection:
        assert [str(entry.credits_total) for entry, _ in read_chain(connection, "t1")] == ["100"]


def baselines_of(engine: sa.Engine) -> dict[str, tuple[str, float | None]]:
    """What the ledger says that runs were compared with."""
    with engine.connect() as connection:
        return {
            entry.execution_id: (
                entry.baseline_source,
                None if entry.baseline_credits is None else float(entry.baseline_credits),
            )
            for entry, _ in read_chain(connection, "t1")
        }


def test_a_new_monitor_knows_approved_baselines_from_the_database_and_goes_on_with_those(
    engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    given_world(engine)
    for minute, credits_total in ((2, 40.0), (4, 50.0)):
        baseline_in_force(engine, credits_total, minute)
    assert run(tmp_path, database_url, [charged(n, 100) for n in (1, 3, 5)], "--recovery", "one").returncode == 0
    assert baselines_of(engine) == {
        "paid-1": ("none", None),
        "paid-3": ("approved", 40.0),
        "paid-5": ("approved", 50.0),
    }
    # The stream tells a monitor that runs of later changes: what it began with stays what it is.
    baseline_in_force(engine, 60.0, 6)
    more = [charged(n, 100) for n in (1, 3, 5, 7)]
    assert run(tmp_path, database_url, more, "--recovery", "one").returncode == 0
    assert baselines_of(engine)["paid-7"] == ("approved", 50.0)
    assert run(tmp_path, database_url, [charged(8, 100)], "--recovery", "two").returncode == 0
    assert baselines_of(engine)["paid-8"] == ("approved", 60.0)


def test_a_file_of_baselines_stands_for_those_of_the_database(
    engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    given_world(engine)
    baseline_in_force(engine, 40.0, 0)
    file = tmp_path / "baselines.json"
    named = {"tenant_id": "t1", "scenario_id": "wf1", "median_credits": 80}
    file.write_text(json.dumps({"version": "1.0.0", "baselines": [named]}))
    assert run(tmp_path, database_url, [charged(1, 100)], "--baselines", file).returncode == 0
    assert baselines_of(engine) == {"paid-1": ("approved", 80.0)}


def baseline_in_force(engine: sa.Engine, credits_total: float, minute: int) -> None:
    """Approve a baseline of `wf1`, in force since a minute of the runs."""
    since = datetime(2026, 3, 2, 8, minute, tzinfo=UTC)
    table = tables.credit_baselines
    with engine.begin() as connection:
        connection.execute(
            sa.update(table).where(table.c.status == "current").values(status="replaced", ended_at=sa.func.now())
        )
        connection.execute(
            sa.insert(table).values(
                tenant_id="t1",
                scenario="wf1",
                median_credits=credits_total,
                sample_size=9,
                calculated_at=since,
                effective_at=since,
                status="current",
                origin="approved",
                decided_by="u9",
            )
        )
