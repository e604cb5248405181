"""`breakwater seed` as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from tests.lifecycle.given import WORLD, rows


def seed(path: Path, database_url: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "seed", str(path)],
        env={**os.environ, "BREAKWATER_POSTGRES__URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_is_loaded_and_loading_it_again_adds_nothing(
    engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "world.json"
    path.write_text(json.dumps(WORLD))
    first = seed(path, database_url)
    assert (first.returncode, "tenants: 2 added" in first.stdout) == (0, True)
    assert (seed(path, database_url).stdout, len(rows(engine, tables.tenants))) == ("", 2)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param("{", "no JSON text", id="no JSON"),
        pytest.param([], "must be an object of lists of objects", id="no object"),
        pytest.param({"tenants": {}}, "must be an object of lists of objects", id="no list"),
        pytest.param({"tenants": [1]}, "must be an object of lists of objects", id="no rows"),
        pytest.param({"jobs": []}, "jobs: no table that can be filled", id="another table"),
        pytest.param(
            {"automations": [{"id": "a", "tenant_id": "t", "name": "n"}]},
            "an_automation_is_of_a_tenant",
            id="a constraint",
        ),
        pytest.param({"tenants": [{"id": "a\x00", "name": "n"}]}, "not stored", id="a value that can't be stored"),
    ],
)
def test_a_file_that_can_not_be_loaded_is_wrong_usage_and_names_the_fault(
    engine: sa.Engine, database_url: str, tmp_path: Path, content: Any, fault: str
) -> None:
    path = tmp_path / "world.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    done = seed(path, database_url)
    assert (done.returncode, fault in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert rows(engine, tables.tenants) == []
