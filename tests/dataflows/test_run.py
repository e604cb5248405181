"""`breakwater run` decides what `breakwater detect` decides, however it is run and whatever kills it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.events import write_events
from dataflows.engine.cluster import open_recovery
from tests.dataflows.killed_runs import run_through_kills
from tests.given import encode, ended
from tests.given import time as time_of
from tests.reference.streams import generate

BREAKWATER = (sys.executable, "-m", "cli")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100,000 events, 59 MB: enough for several snapshots and a kill in between."""
    path = tmp_path_factory.mktemp("events") / "events.ndjson"
    write_events(path, events=100_000, workflows=2_000, rate=20.0)
    return path


@pytest.fixture(scope="module")
def expected(events: Path) -> dict[str, object]:
    """What `detect` decides, by id."""
    out = events.with_name("decisions.ndjson")
    subprocess.run([*BREAKWATER, "detect", str(events), "--output", str(out)], check=True)
    decisions = _decisions(out)
    kinds = {one["kind"] for one in decisions.values()}
    assert kinds == {"block_for_credentials", "execution_stuck", "blacklist_workflow"}
    return decisions


def _decisions(path: Path) -> dict[str, dict[str, object]]:
    """By id; a repeat must say the same."""
    decisions: dict[str, dict[str, object]] = {}
    for line in path.read_text().splitlines():
        decision = json.loads(line)
        assert decisions.setdefault(decision["decision_id"], decision) == decision
    return decisions


def _command(events: Path, out: Path, *options: str) -> list[str]:
    recovery = out.with_suffix(".recovery")
    return [
        *BREAKWATER,
        "run",
        "--source",
        f"file:{events}",
        "--sink",
        f"file:{out}",
        "--recovery",
        str(recovery),
        *options,
    ]


@pytest.mark.parametrize("options", [(), ("--processes", "2")], ids=["in one process", "in two processes"])
def test_run_decides_what_detect_decides(
    options: Sequence[str], events: Path, expected: dict[str, object], tmp_path: Path
) -> None:
    out = tmp_path / "out.ndjson"
    subprocess.run(_command(events, out, *options), check=True)
    assert _decisions(out) == expected
    assert len(out.read_text().splitlines()) == len(expected)


@pytest.mark.parametrize("options", [(), ("--processes", "2")], ids=["in one process", "in two processes"])
def test_kill_at_any_moment_and_start_again(
    options: Sequence[str], events: Path, expected: dict[str, object], tmp_path: Path
) -> None:
    def command_in(folder: Path) -> list[str]:
        return _command(events, folder / "out.ndjson", "--snapshot-interval", "100ms", *options)

    killed = run_through_kills(command_in, tmp_path, starts=5, seed=len(options))
    assert _decisions(killed / "out.ndjson") == expected


def test_one_dead_process_of_a_cluster_is_started_again(
    events: Path, expected: dict[str, object], tmp_path: Path
) -> None:
    out = tmp_path / "out.ndjson"
    process = subprocess.Popen(_command(events, out, "--snapshot-interval", "100ms", "--processes", "2"))
    child = _wait_for_child(process.pid)
    os.kill(child, signal.SIGKILL)
    assert process.wait(timeout=120) == 0
    assert _decisions(out) == expected


def test_a_polite_stop_repeats_nothing(events: Path, expected: dict[str, object], tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    process = subprocess.Popen(_command(events, out, "--snapshot-interval", "100ms"))
    _wait_until(lambda: out.exists() or process.poll() is not None)
    time.sleep(0.3)
    process.terminate()
    assert process.wait(timeout=30) == 0
    subprocess.run(_command(events, out), check=True)
    assert len(out.read_text().splitlines()) == len(expected)
    assert _decisions(out) == expected


def test_a_store_whose_making_was_interrupted_is_made_anew(
    events: Path, expected: dict[str, object], tmp_path: Path
) -> None:
    out = tmp_path / "out.ndjson"
    recovery = out.with_suffix(".recovery")
    open_recovery(recovery)
    (recovery / "made").unlink()
    for part in sorted(recovery.glob("part-*.sqlite3"))[1:]:
        part.unlink()
    subprocess.run(_command(events, out), check=True)
    assert _decisions(out) == expected


def test_a_store_that_lacks_a_file_is_refused_and_the_file_named(events: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    subprocess.run(_command(events, out), check=True)
    # One, but where the machine is so busy that a snapshot was taken on the way.
    state = max(out.with_suffix(".recovery").glob("lanes/*/0*"))
    state.unlink()
    again = subprocess.run(_command(events, out), stderr=subprocess.PIPE, text=True, check=False)
    assert again.returncode == 2
    assert again.stderr.splitlines()[-1] == (
        f"breakwater: --recovery: {state}: No such file or directory; it is part of the recovery store"
    )


def test_another_file_is_not_cut_back_to_where_the_first_one_was(tmp_path: Path) -> None:
    events, first, second = tmp_path / "events.ndjson", tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    write_events(events, events=4_000, workflows=50, rate=2.0)
    recovery = str(tmp_path / "recovery")
    command = [*BREAKWATER, "run", "--source", f"file:{events}", "--recovery", recovery, "--sink"]
    subprocess.run([*command, f"file:{first}"], check=True)
    whole = first.read_bytes() * 3
    second.write_bytes(whole + b'{"decision_id": "torn')
    subprocess.run([*command, f"file:{second}"], check=True)
    assert second.read_bytes() == whole, "what was there stays, but for the line that somebody was killed in"


def test_a_wish_to_stop_between_two_tries_is_heard(tmp_path: Path) -> None:
    count = tmp_path / "starts"
    program = f"import sys; open({str(count)!r}, 'a').write('x'); sys.exit(1)"
    command = [sys.executable, "-c", program]
    cluster = f"import sys; from dataflows.engine.cluster import run_cluster; sys.exit(run_cluster({command!r}, 2))"
    process = subprocess.Popen([sys.executable, "-c", cluster])
    _wait_until(lambda: count.exists() and count.read_text() == "xx")
    time.sleep(0.3)
    process.terminate()
    assert process.wait(timeout=10) == 1
    assert count.read_text() == "xx"


@pytest.mark.parametrize("seed", range(3))
def test_nasty_streams_run_as_they_are_detected(seed: int, tmp_path: Path) -> None:
    stream = generate(seed, "controls")
    events = tmp_path / "events.ndjson"
    events.write_bytes(b"".join(stream.lines))
    shared = _options(tmp_path, stream.policies, stream.registry)
    detected, out = tmp_path / "detected.ndjson", tmp_path / "out.ndjson"
    dead, also_dead = tmp_path / "dead.ndjson", tmp_path / "also-dead.ndjson"
    subprocess.run(
        [*BREAKWATER, "detect", str(events), "--output", str(detected), "--dead-letters", str(dead), *shared],
        check=True,
    )
    subprocess.run(_command(events, out, "--dead-letters", str(also_dead), *shared), check=True)
    assert _decisions(out) == _decisions(detected)
    assert _without_time(also_dead) == _without_time(dead)


def test_partition_files_keep_watermarks_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "partitions"
    folder.mkdir()
    write_events(folder / "0.ndjson", events=4_000, workflows=50, rate=2.0, seed=1)
    write_events(folder / "1.ndjson", events=4_000, workflows=50, rate=0.5, seed=2)
    expected: dict[str, object] = {}
    for name in ("0.ndjson", "1.ndjson"):
        # The same names in both files: of two tenants' worth of state only one may be judged by each watermark.
        text = (folder / name).read_bytes().replace(b'"workflow_id":"wf-', f'"workflow_id":"{name[0]}-'.encode())
        (folder / name).write_bytes(text)
        out = tmp_path / name
        subprocess.run([*BREAKWATER, "detect", str(folder / name), "--output", str(out)], check=True)
        expected |= _decisions(out)
    out = tmp_path / "out.ndjson"
    subprocess.run(_command(folder, out), check=True)
    assert expected
    assert _decisions(out) == expected


def _options(folder: Path, policies: object, registry: object) -> list[str]:
    options = []
    for name, document in (("policies", policies), ("registry", registry)):
        if document is not None:
            path = folder / f"{name}.json"
            path.write_text(json.dumps(document))
            options += [f"--{name}", str(path)]
    return options


def _without_time(path: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row.pop("time")
        row["file"] = Path(row["file"]).name
    return sorted(rows, key=lambda row: row["byte_offset"])


def _wait_for_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    _wait_until(lambda: len(children.read_text().split()) == 2)
    time.sleep(0.8)  # into its work; what it has done is over in twice that
    return int(children.read_text().split()[0])


def _wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_silence_of_the_stream_is_judged_over_all_lanes(processes: int, tmp_path: Path) -> None:
    # Taken together runs come at 0, 0.5, 1, 10, 29, 30, 53, 54, 75, 76, 99, 100 and 130: once a day without any.
    hours = {"a": (0, 1, 30, 100), "b": (0.5, 29, 75, 76), "c": (10, 53, 54, 99), "d": (130,)}
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, times in hours.items():
        lines = [ended(60 * at, f"x{at}", workflow_id=name, event_id=f"{name}-{at}") for at in times]
        (folder / f"{name}.ndjson").write_bytes(b"".join(map(encode, lines)))
    out = tmp_path / "out.ndjson"
    subprocess.run(_command(folder, out, "--processes", str(processes)), check=True)
    (silence,) = _decisions(out).values()
    assert silence["kind"] == "silence"
    assert silence["evidence"] == ["a-100"]
    assert silence["occurred_at"] == time_of(60 * 124).isoformat().replace("+00:00", "Z")
