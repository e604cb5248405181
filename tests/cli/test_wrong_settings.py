"""A setting that can't be used ends any command with code 2: its variable is named, its value is not."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        pytest.param("SLACK_WEBHOOK_URL_SEV0", "ftp://x/s3cr3t", "SLACK_WEBHOOK_URL_SEV0: ", id="a name of its own"),
        pytest.param("BREAKWATER_SLACK__URL", "s3cr3t", "BREAKWATER_SLACK__URL: ", id="our prefix"),
        pytest.param("SLACK_WEBHOOK_URL_SEV1", "https://x/s3cr3t", "addresses for severities need", id="several"),
    ],
)
def test_a_setting_is_named_by_its_variable_without_its_value(variable: str, value: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "ledger", "verify"],
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"breakwater: {said}")
    assert "s3cr3t" not in done.stderr
