"""`breakwater system-config` as a process."""

import os
import subprocess
import sys

import sqlalchemy as sa

from lifecycle import tables
from tests.lifecycle.given import row, rows


def system_config(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "system-config", *arguments],
        env={**os.environ, "BREAKWATER_POSTGRES__URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_values_are_read_and_set(engine: sa.Engine, database_url: str) -> None:
    assert system_config(database_url, "get").stdout.splitlines() == [
        "stuck_circuit_breaker_threshold = default (5)",
        "stuck_circuit_breaker_window_minutes = default (60)",
    ]
    done = system_config(database_url, "set", "stuck_circuit_breaker_threshold", "3", "--by", "otto")
    assert (done.returncode, done.stdout.startswith("policy version 1001, from ")) == (0, True)
    assert system_config(database_url, "get").stdout.startswith("stuck_circuit_breaker_threshold = 3\n")
    assert row(engine, tables.system_config_versions)["changed_by"] == "otto"
    again = system_config(database_url, "set", "stuck_circuit_breaker_threshold", "3")
    assert again.stdout == "nothing changes\n"
    system_config(database_url, "set", "stuck_circuit_breaker_threshold", "default")
    assert rows(engine, tables.system_config) == []


def test_what_makes_no_sense_is_wrong_usage(engine: sa.Engine, database_url: str) -> None:
    for key, value in (
        ("stuck_circuit_breaker_threshold", "0"),
        ("stuck_circuit_breaker_window_minutes", "10081"),
        ("stuck_circuit_breaker_window_minutes", "2.5"),
        ("stuck_circuit_breaker_windows", "5"),
    ):
        done = system_config(database_url, "set", key, value)
        assert (done.returncode, key in done.stderr) == (2, True), done.stderr
    assert rows(engine, tables.system_config_versions) == []
