"""`breakwater notion check` as a process, against a server."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from lifecycle.notion.columns import COLUMNS
from lifecycle.notion.kinds import NotionKind
from tests.lifecycle.notion_server import SCHEMAS, TOKEN, Failure, NotionServer

VARIABLES = {
    "cases": "NOTION_CASES_DB_ID",
    "tasks": "NOTION_TASKS_DB_ID",
    "receipts": "NOTION_RUN_RECEIPTS_DB_ID",
    "reviews": "NOTION_REVIEWS_DB_ID",
    "runs": "NOTION_RUNS_LEDGER_DB_ID",
}
#: A database that has everything.
FULL: dict[str, dict[str, str]] = {
    name: {column.name: column.type.value[0] for column in COLUMNS[kind]} | {"Name": "title"}
    for name, kind in zip(VARIABLES, NotionKind, strict=True)
}


def check(server: NotionServer | None, *options: str, **changes: str) -> subprocess.CompletedProcess[str]:
    said: dict[str, str] = {}
    if server is not None:
        databases = {VARIABLES[name]: database for name, database in server.databases.items()}
        said = {"NOTION_TOKEN": TOKEN, "NOTION_BASE_URL": server.url, **databases}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "notion", "check", *options],
        env={**os.environ, **said, **changes},
        capture_output=True,
        text=True,
        check=False,
    )
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_databases_that_have_everything_are_well() -> None:
    with NotionServer(FULL) as server:
        done = check(server)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{variable}: well" for variable in VARIABLES.values()]


def test_what_is_missing_is_named_and_added() -> None:
    schemas: dict[str, Any] = {
        **FULL,
        "cases": {"Title": "title", "case id": "rich_text", "Stage": "number"},
        "tasks": {**FULL["tasks"], "Status": "status"},
    }
    del schemas["reviews"]
    with NotionServer(schemas) as server:
        del server.schemas["tasks"]["Case"]
        done = check(server)
        assert done.returncode == 1
        lines = done.stdout.splitlines()
        assert "NOTION_REVIEWS_DB_ID is not set: nothing is written there" in lines
        assert "  Severity is missing; make it a select" in lines
        assert "  Case is missing; make it a relation" in lines
        assert "  Stage has a type that can't hold it; make it a select or status or text or title" in lines
        assert "NOTION_RUNS_LEDGER_DB_ID: well" in lines
        assert not any("Case_ID" in line for line in lines)
        added = check(server, "--add-missing", "--json")
        assert added.returncode == 1
        reports = {one["kind"]: one for one in map(json.loads, added.stdout.splitlines())}
        assert reports["case"]["missing"] == {}
        assert list(reports["case"]["unfit"]) == ["Stage"]
        assert server.schemas["tasks"]["Case"] == "relation"
        assert check(server).stdout.count("is missing") == 0


def test_a_status_that_lacks_an_option_is_named() -> None:
    with NotionServer({**FULL, "cases": {**FULL["cases"], "Status": "status"}}) as server:
        done = check(server)
    assert "  Status does not offer Open, Investigating, Mitigating, Resolved" in done.stdout.splitlines()
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        pytest.param((401, "unauthorized"), "unauthorized (the token is not good, or was revoked)", id="a wrong token"),
        pytest.param((404, "object_not_found"), "object_not_found (there is no such database", id="not shared"),
        pytest.param((503, "service_unavailable"), "busy (Notion is busy; try again later)", id="busy"),
    ],
)
def test_a_database_that_cannot_be_read_says_why(failure: Any, says: str) -> None:
    with NotionServer({"cases": SCHEMAS["cases"]}) as server:
        server.judge = lambda _: Failure(failure)
        done = check(server)
    assert done.returncode == 1
    assert f"NOTION_CASES_DB_ID: {says}" in done.stdout


def test_without_a_token_nothing_is_checked() -> None:
    done = check(None, NOTION_TOKEN="")
    assert done.returncode == 2
    assert "NOTION_TOKEN is not set" in done.stderr
