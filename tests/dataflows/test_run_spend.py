"""`breakwater run` says of spending what `breakwater detect` says, in all lanes and whatever kills it."""

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dataflows.decisions import Decision, decode_decision
from tests.dataflows.credits_given import Line, encoded, ended
from tests.dataflows.killed_runs import run_through_kills
from tests.dataflows.test_spend_stream import DAY, small_rises

BREAKWATER = (sys.executable, "-m", "cli")


def _lines() -> list[Line]:
    """Eight weeks of 41 workflows: one bursts, one drifts, and the others rise a little at the end."""
    rng = random.Random(7)
    found = small_rises(1)
    for day in range(56):
        usual = 10 * 1.08 ** (max(0, day - 28) / 7)
        for number in range(100):
            cost = round(max(0.0, rng.gauss(usual, usual / 5)), 3)
            found.append(ended(day * DAY + number * 14.4, f"d-{day}-{number}", cost, workflow_id="wf40"))
    found += [ended(30 * DAY + 7 + number / 9, f"burst-{number}", 9.5, workflow_id="wf40") for number in range(300)]
    return sorted(found, key=lambda line: str(line["occurred_at"]))


def _anomalies(*files: Path) -> dict[str, Decision]:
    """By id; a repeat must say the same."""
    found: dict[str, Decision] = {}
    for raw in (raw for file in files for raw in file.read_text().splitlines()):
        if json.loads(raw)["kind"] == "spend_anomaly":
            decision = decode_decision(raw)
            assert found.setdefault(decision.decision_id, decision) == decision
    return found


def _detected(lines: Sequence[Line], folder: Path) -> dict[str, Decision]:
    events, out = folder / "all.ndjson", folder / "detected.ndjson"
    events.write_bytes(encoded(lines))
    subprocess.run([*BREAKWATER, "detect", str(events), "--output", str(out)], check=True)
    found = _anomalies(out)
    said = {(one.reason_code.value, one.workflow_id) for one in found.values()}
    assert {("spend_burst", "wf40"), ("spend_drift", "wf40"), ("spend_drift", None)} <= said
    return found


def _parted(lines: Sequence[Line], folder: Path) -> Path:
    """Workflows dealt out to three files."""
    folder.mkdir()
    for part in range(3):
        own = [line for line in lines if int(line["workflow_id"][-1]) % 3 == part]
        (folder / f"{part}.ndjson").write_bytes(encoded(own))
    return folder


@pytest.mark.parametrize("options", [(), ("--processes", "2")], ids=["in one process", "in two processes"])
def test_kill_at_any_moment_and_start_again(options: Sequence[str], tmp_path: Path) -> None:
    lines = _lines()
    expected = _detected(lines, tmp_path)
    source = _parted(lines, tmp_path / "parts")

    def command_in(folder: Path) -> list[str]:
        to = ["--sink", f"file:{folder / 'out.ndjson'}", "--recovery", str(folder / "recovery")]
        return [*BREAKWATER, "run", "--source", f"file:{source}", *to, "--snapshot-interval", "50ms", *options]

    killed = run_through_kills(command_in, tmp_path, starts=4, seed=len(options))
    assert _anomalies(killed / "out.ndjson") == expected
