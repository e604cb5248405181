"""The verdict on pip-audit's report: a report that looked up nothing is not a clean one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "audit.py"

FINE = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "not found"}
BAD = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        pytest.param([FINE, FINE], 0, "2 packages audited, 0 vulnerable, 0 not looked up\n", id="all audited"),
        pytest.param(
            [FINE, SKIPPED],
            0,
            "1 packages audited, 0 vulnerable, 1 not looked up\n",
            id="one that could not be looked up",
        ),
        pytest.param(
            [SKIPPED], 0, "NOT AUDITED: the advisories can't be reached for any of 1 packages\n", id="nothing looked up"
        ),
        pytest.param(
            [FINE, BAD],
            1,
            "VULNERABLE: c 2: PYSEC-1, PYSEC-2\n2 packages audited, 1 vulnerable, 0 not looked up\n",
            id="a vulnerable one fails the check",
        ),
        pytest.param(
            None,
            0,
            "NOT AUDITED: pip-audit gave no report (no network, or the advisories can't be reached)\n",
            id="no report at all",
        ),
    ],
)
def test_verdict(packages: list[dict[str, Any]] | None, code: int, says: str) -> None:
    report = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    done = subprocess.run([sys.executable, SCRIPT], input=report, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, says, "")
