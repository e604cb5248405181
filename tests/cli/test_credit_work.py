"""`breakwater weekly-review`, `update-baselines` and `baselines` as processes (50.8)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli.credit_work import operator
from cli.embedded.postgres import EmbeddedPostgres
from lifecycle import tables
from lifecycle.credits.baselines import approve_baseline
from tests.lifecycle.given import given_world, row, rows, wait_until_one_waits
from tests.lifecycle.ledger_given import entry, spend

SUNDAY = datetime(2026, 1, 25, 23, tzinfo=UTC)
AT = "2026-01-25T23:00:00Z"

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def breakwater(engine: sa.Engine, database_url: str, tmp_path: Path) -> Command:
    """Runs a command on a database with a week of runs."""
    given_world(engine)
    spend(engine, [entry(SUNDAY - timedelta(days=days), 100) for days in range(1, 7)])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "BREAKWATER_POSTGRES__URL": database_url,
            "CREDIT_BASELINES_PATH": str(tmp_path / "credit-baselines.json"),
            "REVIEWS_DIR": str(tmp_path / "reviews"),
        }
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments], env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_a_week_is_reviewed(breakwater: Command, engine: sa.Engine, tmp_path: Path) -> None:
    done = breakwater("weekly-review", "--week", "2026-W04", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["report"]["summary_stats"]["total_credits"] == 600
    assert [(one["tenant_id"], one["revision"]) for one in told["reviews"]] == [(None, 1), ("t1", 1)]
    assert json.loads(Path(told["reviews"][0]["file"]).read_bytes()) == told["report"]
    again = breakwater("weekly-review", "--week", "2026-W04")
    assert "Credits: 600" in again.stdout
    assert "SEV0 0, SEV1 0, SEV2 0, SEV3 0, SEV4 6" in again.stdout
    assert "1. export: 600 credits (1.00× baseline)" in again.stdout
    assert f"wrote {tmp_path}/reviews/weekly_2026-W04_t1.r2.json" in again.stdout
    assert records(engine) == [("weekly_review", "by_hand", "operator", "done", 2, None)] * 2


def test_the_week_that_runs_is_reviewed_to_date(breakwater: Command) -> None:
    year, week, _ = datetime.now(UTC).isocalendar()
    done = breakwater("weekly-review", "--week", f"{year}-W{week:02}", "--json")
    assert json.loads(done.stdout)["report"]["summary_stats"]["total_runs"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["weekly-review", "--week", "2025-W53"], id="a week that there is not"),
        pytest.param(["weekly-review", "--week", "9000-W01"], id="a week that has not begun"),
        pytest.param(["update-baselines", "--at", "2026-01-25"], id="a time without an offset"),
        pytest.param(["baselines", "import", "no/such/file"], id="a file that is not there"),
        pytest.param(["baselines", "approve", "00000000-0000-0000-0000-000000000000"], id="no such proposal"),
        pytest.param(["baselines", "show", "--proposed", "--history"], id="two answers to one question"),
        pytest.param(["update-baselines", "--by", ""], id="done by nobody"),
        pytest.param(["weekly-review", "--week", "2026-W04", "--by", "a\nb"], id="a name of two lines"),
    ],
)
def test_wrong_usage(breakwater: Command, arguments: list[str]) -> None:
    done = breakwater(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("breakwater: ")


def records(engine: sa.Engine) -> list[tuple[object, ...]]:
    """What job records say."""
    found = rows(engine, tables.credit_job_runs)
    assert all(one["ended_at"] >= one["started_at"] for one in found)
    return [tuple(one[name] for name in ("job", "origin", "asked_by", "outcome", "made", "error")) for one in found]


def test_work_that_fails(breakwater: Command, engine: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "reviews").write_text("in the way")
    done = breakwater("weekly-review", "--week", "2026-W04", "--by", "ada")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert records(engine) == [("weekly_review", "by_hand", "ada", "failed", None, "FileExistsError")]


def test_baselines_are_updated_approved_exported_and_imported(
    breakwater: Command, engine: sa.Engine, tmp_path: Path
) -> None:
    first = json.loads(breakwater("update-baselines", "--at", AT, "--json").stdout)
    assert [(one["scenario_id"], one["median_credits"]) for one in first["updated"]] == [("export", 100)]
    assert first["exported"] == 1
    assert records(engine) == [("update_baselines", "by_hand", "operator", "done", 1, None)]

    spend(engine, [entry(SUNDAY + timedelta(days=14, minutes=number), 200) for number in range(9)])
    second = breakwater("baselines", "update", "--at", "2026-02-15T23:00:00Z")
    assert second.stdout.splitlines()[:2] == [
        "Baselines updated for 0 scenarios",
        "Proposed for 1, to be approved:",
    ]
    (waiting,) = json.loads(breakwater("baselines", "show", "--proposed", "--json").stdout)["baselines"]
    approved = breakwater("baselines", "approve", waiting["id"], "--by", "u9")
    assert approved.stdout == "current export\n"
    assert row(engine, tables.credit_baselines, status="current")["decided_by"] == "u9"
    assert len(json.loads(breakwater("baselines", "show", "--history", "--json").stdout)["baselines"]) == 2

    elsewhere = tmp_path / "elsewhere.json"
    assert breakwater("baselines", "export", str(elsewhere)).returncode == 0
    document = json.loads(elsewhere.read_bytes())
    assert document["baselines"][0]["median_credits"] == 200
    document["baselines"][0]["median_credits"] = 150
    elsewhere.write_text(json.dumps(document))
    assert breakwater("baselines", "import", str(elsewhere)).stdout == "1 of 1 baselines changed\n"
    assert "200 → 150" in breakwater("baselines", "show").stdout


def test_what_somebody_else_approves_meanwhile_waits_no_more(breakwater: Command, engine: sa.Engine) -> None:
    breakwater("update-baselines", "--at", AT)
    spend(engine, [entry(SUNDAY + timedelta(days=14, minutes=number), 200) for number in range(9)])
    breakwater("baselines", "update", "--at", "2026-02-15T23:00:00Z")
    waiting = str(row(engine, tables.credit_baselines, status="proposed")["id"])
    with ThreadPoolExecutor(1) as threads, engine.connect() as connection:
        with connection.begin():
            approve_baseline(connection, tenant_id="t1", baseline_id=waiting, actor_context=operator("u9"))
            second = threads.submit(breakwater, "baselines", "approve", waiting)
            wait_until_one_waits(engine)
        done = second.result()
    assert (done.returncode, done.stderr) == (2, "breakwater: no such baseline waits for approval\n")


@pytest.mark.parametrize(
    ("baselines", "fault"),
    [
        pytest.param(
            [("t1", "x", 5), ("t1", "x", 7)],
            "baselines.1: is of the same scenario as baselines.0",
            id="two of one scenario",
        ),
        pytest.param([("t1", "a\0b", 5)], "baselines.0.scenario_id: must have no NUL in it", id="NUL in a name"),
        pytest.param([("t1", "x", 5), ("t9", "x", 5)], "These tenants are not known: t9.", id="an unknown tenant"),
    ],
)
def test_what_can_t_be_imported_is_said_and_nothing_is(
    breakwater: Command, engine: sa.Engine, tmp_path: Path, baselines: list[tuple[str, str, int]], fault: str
) -> None:
    names = ("tenant_id", "scenario_id", "median_credits")
    file = tmp_path / "baselines.json"
    file.write_text(
        json.dumps({"version": "1", "baselines": [dict(zip(names, one, strict=True)) for one in baselines]})
    )
    done = breakwater("baselines", "import", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert fault in done.stderr
    assert rows(engine, tables.credit_baselines) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("sample_size", "3000000000", id="more runs than there can be"),
        pytest.param("calculated_at", '"0001-01-01T00:00:00+14:00"', id="a time before the first year"),
        pytest.param("calculated_at", '"9999-12-31T23:59:59-14:00"', id="a time after the last year"),
    ],
)
def test_what_no_table_or_nobody_else_can_hold_is_not_imported(
    breakwater: Command, engine: sa.Engine, tmp_path: Path, field: str, value: str
) -> None:
    file = tmp_path / "baselines.json"
    named = '"tenant_id": "t1", "scenario_id": "x", "median_credits": 5'
    file.write_text(f'{{"version": "1", "baselines": [{{{named}, "{field}": {value}}}]}}')
    done = breakwater("baselines", "import", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"baselines.0.{field}: " in done.stderr
    assert rows(engine, tables.credit_baselines) == []


def test_a_baseline_too_near_to_nothing_for_a_double_is_nothing(
    breakwater: Command, engine: sa.Engine, tmp_path: Path
) -> None:
    file = tmp_path / "baselines.json"
    named = '"tenant_id": "t1", "scenario_id": "x", "median_credits": 1e-20000'
    file.write_text(f'{{"version": "1", "baselines": [{{{named}}}]}}')
    assert breakwater("baselines", "import", str(file)).stdout == "1 of 1 baselines changed\n"
    assert row(engine, tables.credit_baselines)["median_credits"] == 0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        pytest.param(["baselines", "show"], 1, id="baselines"),
        pytest.param(["weekly-review", "--week", "2026-W04"], 1, id="a review"),
        pytest.param(["ledger", "verify"], 2, id="the ledger, of which nothing could be checked"),
        pytest.param(["blacklist", "list"], 2, id="the blacklist"),
        pytest.param(["dead-letters", "list"], 2, id="dead letters"),
        pytest.param(["reconcile"], 2, id="bindings"),
    ],
)
def test_a_database_without_our_tables(postgres: EmbeddedPostgres, arguments: list[str], status: int) -> None:
    postgres.create_database("not_migrated")
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=os.environ | {"BREAKWATER_POSTGRES__URL": postgres.url("not_migrated")},
        capture_output=True,
        text=True,
        check=False,
    )
    postgres.drop_database("not_migrated")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == "breakwater: the database has no tables of this version; run `breakwater migrate`\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param([], "none is in force", id="in force"),
        pytest.param(["--proposed"], "none waits for approval", id="proposed"),
        pytest.param(["--history"], "there never was one", id="ever"),
    ],
)
def test_where_there_is_nothing_that_is_said(breakwater: Command, options: list[str], said: str) -> None:
    done = breakwater("baselines", "show", *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"breakwater: {said}\n")
    assert json.loads(breakwater("baselines", "show", "--json").stdout) == {"baselines": []}


def test_a_file_with_faults_changes_nothing_and_each_is_named(
    breakwater: Command, engine: sa.Engine, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"version": "1.0.0", "baselines": [{"tenant_id": "t1", "median_credits": NaN}]}')
    assert breakwater("baselines", "import", str(broken)).returncode == 2
    broken.write_text('{"version": "1.0.0", "baselines": [{"tenant_id": "t1", "median_credits": "7"}]}')
    done = breakwater("baselines", "import", str(broken))
    assert done.returncode == 2
    assert "baselines.0.scenario_id" in done.stderr
    assert "baselines.0.median_credits" in done.stderr
    assert rows(engine, tables.credit_baselines) == []
