"""The published schemas take what the program takes, and refuse what it refuses."""

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
import yaml

from config.policies import DEFAULT_FILE, parse_policies
from dataflows.detectors.policies import Policies

RUN = {
    "event_id": "e-1",
    "status": "success",
    "occurred_at": "2026-03-02T08:00:00Z",
    "tenant_id": "t",
    "automation_version_id": "v",
    "execution_id": "x",
}


def _validator(subject: str) -> jsonschema.Draft202012Validator:
    command = [sys.executable, "-m", "cli", "schema", subject]
    document = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@pytest.fixture(scope="module")
def run_event() -> jsonschema.Draft202012Validator:
    return _validator("run-event")


@pytest.mark.parametrize(
    ("change", "good"),
    [
        pytest.param({}, True, id="the required fields are enough"),
        pytest.param({"http_status": 401, "payload": {"a": [1]}, "more": 1}, True, id="unknown fields are ignored"),
        pytest.param({"execution_id": None, "run_id": "r"}, True, id="run_id stands for execution_id"),
        pytest.param({"http_status": None}, True, id="null is absent"),
        pytest.param({"tenant_id": ""}, False, id="an empty tenant"),
        pytest.param({"event_id": "a b"}, False, id="a space in an event id"),
        pytest.param({"status": "gone"}, False, id="an unknown status"),
        pytest.param({"http_status": 99}, False, id="a status below 100"),
        pytest.param({"artifacts_link": "ftp://x"}, False, id="a link that is not http"),
    ],
)
def test_a_run_event(run_event: jsonschema.Draft202012Validator, change: dict[str, Any], *, good: bool) -> None:
    assert run_event.is_valid(RUN | change) is good


@pytest.mark.parametrize(
    ("fields", "good"),
    [
        pytest.param({"kind": "workflow_released"}, True, id="a release"),
        pytest.param({"kind": "workflow_forgotten"}, False, id="an unknown kind"),
        pytest.param({"kind": "automation_status_changed", "from_status": "Live"}, False, id="half a status change"),
    ],
)
def test_a_control_event(fields: dict[str, Any], *, good: bool) -> None:
    common = {"tenant_id": "t", "workflow_id": "w", "occurred_at": "2026-03-02T08:00:00Z"}
    assert _validator("control-event").is_valid(common | fields) is good


def test_the_shipped_policy_file_fits_its_schema() -> None:
    assert _validator("policies").is_valid(yaml.safe_load(DEFAULT_FILE.read_text()))


def test_the_shipped_policy_file_says_what_holds_without_a_file() -> None:
    document = yaml.safe_load(DEFAULT_FILE.read_text())
    assert parse_policies(document, allowed_lateness=timedelta(seconds=60)) == Policies()


def test_an_unknown_subject_is_wrong_usage() -> None:
    command = [sys.executable, "-m", "cli", "schema", "weather"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
