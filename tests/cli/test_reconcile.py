"""`breakwater reconcile`: what it prints, and how it ends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.lifecycle.platform_given import Platform, given_deployable


@pytest.fixture
def platform(engine: sa.Engine) -> Iterator[Platform]:
    """A platform that agrees with the database."""
    with Platform() as server:
        given_deployable(engine, server)
        yield server


def reconciles(database_url: str, platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "reconcile", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"BREAKWATER_POSTGRES__URL": database_url, "BREAKWATER_PLATFORM__URL": platform.url},
    )


def test_it_reports_what_differs_and_restores_it_when_told_to(database_url: str, platform: Platform) -> None:
    agreed = reconciles(database_url, platform)
    assert (agreed.returncode, agreed.stdout) == (0, "0 differ; 0 questions to the platform are not settled yet\n")
    platform.workflows["wf-old"] = "inactive"
    told = reconciles(database_url, platform, "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout) == {
        "tenant_id": "t1", "workflow_id": "wf-old", "wanted": "active", "found": "inactive",
        "fault": None, "restored": False,
    }  # fmt: skip
    mended = reconciles(database_url, platform, "--apply")
    assert (mended.returncode, mended.stdout.splitlines()[0]) == (
        0,
        "t1 wf-old: must be active, is inactive; restored",
    )
    assert platform.workflows["wf-old"] == "active"


def test_a_platform_that_does_not_answer_is_a_difference(database_url: str, platform: Platform) -> None:
    platform.workflows.clear()
    told = reconciles(database_url, platform)
    assert told.returncode == 1
    assert "is unknown to the platform" in told.stdout
