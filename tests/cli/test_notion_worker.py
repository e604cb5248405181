"""`breakwater worker` with Notion set up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from config.settings import Settings
from lifecycle.options import LifecycleOptions
from tests.lifecycle.cases_given import apply, case, incident, results
from tests.lifecycle.given import given_world
from tests.lifecycle.notion_given import OPTIONS
from tests.lifecycle.notion_server import TOKEN, Failure, Mishap, NotionServer


def test_a_worker_writes_what_is_due_and_ends_when_it_is_told(
    engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    given_world(engine)
    apply(engine, incident("SEV0"), options=OPTIONS)
    with NotionServer() as server:
        server.failures.append(Failure(Mishap.RESET))
        log = tmp_path / "worker.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "cli", "worker", "--no-events"],
                env={
                    **os.environ,
                    "BREAKWATER_POSTGRES__URL": database_url,
                    "NOTION_TOKEN": TOKEN,
                    "NOTION_BASE_URL": server.url,
                    "NOTION_CASES_DB_ID": server.databases["cases"],
                },
                stdout=output,
                stderr=output,
            )
            try:
                wait_until_locked(server, worker)
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(60) == 0
            finally:
                worker.kill()
                worker.wait(10)
        (said,) = server.rows("cases")
    assert said["CaseID"] == case(engine)["case_id"]
    assert results(engine)[("page_lock", "SEV0", None)] == "done"
    told = log.read_text()
    assert "notion_failed" in told
    assert TOKEN not in told
    assert said["CaseID"] not in told


def wait_until_locked(server: NotionServer, worker: subprocess.Popen[bytes]) -> None:
    """The worker has done all there is."""
    deadline = time.monotonic() + 120
    while not any(page.is_locked for page in server.pages.values()):
        assert worker.poll() is None, "the worker ended"
        assert time.monotonic() < deadline, "no page was written"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("variables", "pages"),
    [
        pytest.param({}, False, id="no Notion"),
        pytest.param({"NOTION_TOKEN": TOKEN}, False, id="no database of cases"),
        pytest.param({"NOTION_CASES_DB_ID": "0" * 32}, False, id="no token"),
        pytest.param({"NOTION_TOKEN": TOKEN, "NOTION_CASES_DB_ID": "0" * 32}, True, id="both"),
    ],
)
def test_cases_have_pages_where_token_and_database_are_set(
    variables: dict[str, str], pages: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert LifecycleOptions.of(Settings()).case_pages is pages
