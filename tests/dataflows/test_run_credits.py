"""`breakwater run` judges runs with credits as `breakwater detect` does, in all lanes and whatever kills it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dataflows.credit_runs import CreditRun, decode_credit_run
from dataflows.decisions import decode_decision
from tests.dataflows.credits_given import Line, encoded, some_weeks
from tests.dataflows.killed_runs import run_through_kills

BREAKWATER = (sys.executable, "-m", "cli")

Said = tuple[dict[str, str], dict[tuple[str, str], CreditRun]]


def _said(decisions: Path, records: Path) -> Said:
    """Severities of incidents by decision, and records by execution; a repeat must say the same."""
    found: Said = ({}, {})
    for raw in decisions.read_text().splitlines():
        decision = decode_decision(raw)
        if decision.kind == "credit_incident":
            severity = decision.detail["severity"]
            assert found[0].setdefault(decision.decision_id, severity) == severity
    for raw in records.read_text().splitlines():
        run = decode_credit_run(raw)
        assert found[1].setdefault((run.workflow_id, run.execution_id), run) == run
    return found


def _detected(lines: Sequence[Line], folder: Path) -> Said:
    events, out, records = folder / "all.ndjson", folder / "detected.ndjson", folder / "detected-runs.ndjson"
    events.write_bytes(encoded(lines))
    command = [*BREAKWATER, "detect", str(events), "--output", str(out), "--credit-runs", str(records)]
    subprocess.run(command, check=True)
    return _said(out, records)


def _command(source: Path, out: Path, records: Path, *options: str) -> list[str]:
    to = ["--sink", f"file:{out}", "--credit-runs", str(records)]
    return [*BREAKWATER, "run", "--source", f"file:{source}", *to, "--recovery", str(out.with_suffix(".d")), *options]


def _parted(lines: Sequence[Line], folder: Path, parts: int) -> Path:
    """Workflows dealt out to files, control lines to all, as a topic's partitions have them."""
    folder.mkdir()
    for part in range(parts):
        own = [line for line in lines if "kind" in line or int(line["workflow_id"][-1]) % parts == part]
        (folder / f"{part}.ndjson").write_bytes(encoded(own))
    return folder


@pytest.mark.parametrize(
    ("parts", "options"),
    [
        pytest.param(1, (), id="one file"),
        pytest.param(3, (), id="three files"),
        pytest.param(3, ("--processes", "2"), id="three files, two processes"),
    ],
)
def test_scenarios_are_judged_across_lanes(parts: int, options: Sequence[str], tmp_path: Path) -> None:
    lines = some_weeks(1)
    expected = _detected(lines, tmp_path)
    assert {"SEV0", "SEV1", "SEV2"} <= set(expected[0].values())
    out, records = tmp_path / "out.ndjson", tmp_path / "runs.ndjson"
    subprocess.run(_command(_parted(lines, tmp_path / "parts", parts), out, records, *options), check=True)
    assert _said(out, records) == expected
    assert len(records.read_text().splitlines()) == len(expected[1])


@pytest.mark.parametrize("options", [(), ("--processes", "2")], ids=["in one process", "in two processes"])
def test_kill_at_any_moment_and_start_again(options: Sequence[str], tmp_path: Path) -> None:
    lines = some_weeks(2, steps=25_000)
    expected = _detected(lines, tmp_path)
    source = _parted(lines, tmp_path / "parts", 3)

    def command_in(folder: Path) -> list[str]:
        out, records = folder / "out.ndjson", folder / "runs.ndjson"
        return _command(source, out, records, "--snapshot-interval", "50ms", *options)

    killed = run_through_kills(command_in, tmp_path, starts=4, seed=len(options))
    assert _said(killed / "out.ndjson", killed / "runs.ndjson") == expected
