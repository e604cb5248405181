"""What a million workflows cost: throughput, memory of an idle one, snapshot and restore.

    python -m benchmarks.growth [--events 1000000] [--workflows 10000 1000000]

Throughput is that of `breakwater run` on a file with its recovery store on, as in `benchmarks.throughput`, for each
number of workflows. Memory and restore are measured on the largest number: every workflow had one run and has been
quiet for a day, so that nothing but its state is left. Each measurement has a process of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from benchmarks.events import write_events
from benchmarks.throughput import measure
from cli.options import read_policies
from config.auth_errors import load_auth_errors
from dataflows.engine.detector_sets import DetectorFactory
from dataflows.engine.garbage import settle
from dataflows.engine.host import Host
from dataflows.engine.lane import Lane
from dataflows.engine.memory import HORIZON, Room
from dataflows.engine.watermarks import Watermark
from dataflows.events import RunEvent, RunStatus
from dataflows.times import from_micros, micros

LATENESS = timedelta(seconds=60)
BEGIN = 1_767_571_200_000_000
SECOND = 1_000_000


def main() -> None:
    """Measure and print one table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--workflows", type=int, nargs="+", default=[10_000, 1_000_000])
    options.add_argument("--rounds", type=int, default=2, help="the best of these counts")
    options.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--restore", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.build is not None:
        build(chosen.build, chosen.workflows[0])
    elif chosen.restore is not None:
        restore(chosen.restore, chosen.workflows[0])
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), chosen.events, chosen.workflows, chosen.rounds)


def compare(folder: Path, events: int, workflows: Iterable[int], rounds: int) -> None:
    """All measurements."""
    rates = []
    for count in workflows:
        rates.append(_rate(folder, events, count, rounds))
        print(
            f"{count:>10,} workflows: {rates[-1]:>9,.0f} events/s, {rates[-1] / rates[0]:.2f} of the first", flush=True
        )
    for step in ("--build", "--restore"):
        command = [sys.executable, "-m", "benchmarks.growth", "--workflows", str(count), step, str(folder / "lane")]
        subprocess.run(command, check=True)


def _rate(folder: Path, events: int, workflows: int, rounds: int) -> float:
    file, empty = folder / "events.ndjson", folder / "empty.ndjson"
    write_events(file, events=events, workflows=workflows)
    empty.touch()
    seconds = [min(_run(folder, path) for _ in range(rounds)) for path in (file, empty)]
    return events / (seconds[0] - seconds[1])


def _run(folder: Path, events: Path) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as new:
        command = [sys.executable, "-m", "cli", "run", "--source", f"file:{events}"]
        return measure([*command, "--sink", f"file:{new}/decisions", "--recovery", f"{new}/recovery"]).seconds


def build(folder: Path, workflows: int) -> None:
    """Make a lane of idle workflows and leave its snapshot."""
    settle()
    host = Host(_new_lane, None, folder / "state")
    lane = host.lane
    for first in range(0, workflows, 1000):
        events = [event for number in range(first, min(first + 1000, workflows)) for event in _run_of(number)]
        lane.process(events, [micros(event.occurred_at - from_micros(0)) for event in events])
    # A day later all of that is judged, and its ids are forgotten.
    late = _event(0, RunStatus.CANCELLED, BEGIN + 3 * HORIZON, "late")
    for _ in range(2):
        lane.process([late], [BEGIN + 3 * HORIZON])
    begun = time.perf_counter()
    snapshot = host.snapshot(b"")
    seconds = time.perf_counter() - begun
    size = sum(path.stat().st_size for path in (folder / "state").iterdir())
    print(f"snapshot of all state: {seconds:.2f} s, {size / workflows:.0f} bytes a workflow")
    begun = time.perf_counter()
    host.snapshot(b"")
    print(f"snapshot when nothing has changed: {(time.perf_counter() - begun) * 1000:.2f} ms")
    (folder / "snapshot").write_bytes(snapshot)


def restore(folder: Path, workflows: int) -> None:
    """Read it back, and see what it takes."""
    settle()
    before = _resident()
    begun = time.perf_counter()
    host = Host(_new_lane, (folder / "snapshot").read_bytes(), folder / "state")
    seconds = time.perf_counter() - begun
    used = _resident() - before
    assert host.lane.arrival >= 2 * workflows
    print(f"restore: {seconds:.2f} s; {used / workflows:.0f} bytes of memory a workflow")


def _new_lane() -> Lane:
    detectors = DetectorFactory(read_policies(None, LATENESS), load_auth_errors(), micros(LATENESS))
    return Lane(detectors.of, Room(), Watermark(micros(LATENESS)), detectors.resolution)


def _run_of(number: int) -> list[RunEvent]:
    time = BEGIN + number * 100
    return [
        _event(number, RunStatus.STARTED, time, f"begin-{number}"),
        _event(number, RunStatus.SUCCESS, time + SECOND, f"end-{number}"),
    ]


def _event(number: int, status: RunStatus, time: int, event_id: str) -> RunEvent:
    return RunEvent(
        event_id=event_id,
        status=status,
        occurred_at=from_micros(time),
        tenant_id=f"tenant-{number % 500:04d}",
        automation_version_id=f"av-{number:08d}",
        workflow_id=f"wf-{number:08d}",
        execution_id=f"exec-{number:010d}",
        system_key="salesforce",
    )


def _resident() -> int:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
