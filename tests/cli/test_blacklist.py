"""`breakwater blacklist` as a process."""

import json
import os
import subprocess
import sys

import sqlalchemy as sa

from lifecycle import tables
from tests.lifecycle.given import given_world, row, rows


def blacklist(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "blacklist", *arguments],
        env={**os.environ, "BREAKWATER_POSTGRES__URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_workflow_is_added_listed_and_removed(engine: sa.Engine, database_url: str) -> None:
    given_world(engine)
    added = blacklist(database_url, "add", "wf1", "--reason", "It writes twice.", "--by", "u9", "--json")
    assert (
        json.loads(added.stdout).items()
        >= {
            "tenant_id": "t1",
            "workflow_id": "wf1",
            "reason": "manual:It writes twice.",
            "blacklisted_by": "u9",
            "removed_at": None,
        }.items()
    )
    again = blacklist(database_url, "add", "wf1", "--reason", "Another.")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "it is on the blacklist already:")
    (line,) = blacklist(database_url, "list").stdout.splitlines()
    assert line.startswith("t1\twf1\tsince ")
    assert line.endswith("\tIt writes twice.\tby u9")
    removed = blacklist(database_url, "remove", "wf1", "--note", "Mended.", "--json")
    assert json.loads(removed.stdout)["removal_note"] == "Mended."
    assert blacklist(database_url, "list").stdout == ""
    assert len(blacklist(database_url, "list", "--removed").stdout.splitlines()) == 1
    assert row(engine, tables.audit_logs, action_type="release_workflow")["invoked_via"] == "cli"


def test_what_can_t_be_done_is_wrong_usage(engine: sa.Engine, database_url: str) -> None:
    given_world(engine)
    for words, arguments in (
        ("no such workflow", ["add", "nothing", "--reason", "x"]),
        ("no such workflow", ["add", "wf1", "--reason", "x", "--tenant", "t2"]),
        ("Say why", ["add", "wf1", "--reason", " "]),
        ("not on the blacklist", ["remove", "wf1"]),
    ):
        done = blacklist(database_url, *arguments)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert rows(engine, tables.workflow_blacklist) == []
