"""`breakwater silences` as a process."""

import json
import os
import subprocess
import sys

import sqlalchemy as sa

from lifecycle import tables
from tests.lifecycle.given import given_world, rows


def silences(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "silences", *arguments],
        env={**os.environ, "BREAKWATER_POSTGRES__URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_silence_is_added_listed_and_ended(engine: sa.Engine, database_url: str) -> None:
    given_world(engine)
    added = silences(
        database_url, "add", "--reason", "Maintenance", "--lasts", "2h", "--tenant", "t1", "--channel", "slack"
    )
    silence = json.loads(added.stdout)
    assert (silence["tenant_id"], silence["channel"], silence["created_by"]) == ("t1", "slack", "operator")
    assert json.loads(silences(database_url, "list").stdout) == silence
    ended = json.loads(silences(database_url, "end", silence["id"], "--by", "u9").stdout)
    assert ended["ended_by"] == "u9"
    assert silences(database_url, "list").stdout == ""
    assert json.loads(silences(database_url, "list", "--over").stdout) == ended


def test_what_is_no_silence_is_wrong_usage(engine: sa.Engine, database_url: str) -> None:
    given_world(engine)
    for words, arguments in (
        ("Name a tenant", ["add", "--reason", "x", "--lasts", "1h"]),
        ("a duration such as", ["add", "--reason", "x", "--lasts", "soon", "--channel", "slack"]),
        ("within 30 days", ["add", "--reason", "x", "--lasts", "31d", "--channel", "slack"]),
        ("a duration such as", ["add", "--reason", "x", "--lasts", "99999999d", "--channel", "slack"]),
        ("no such tenant", ["add", "--reason", "x", "--lasts", "1h", "--tenant", "t999"]),
        ("no such silence", ["end", "00000000-0000-5000-8000-000000000001"]),
    ):
        done = silences(database_url, *arguments)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert rows(engine, tables.notice_silences) == []
