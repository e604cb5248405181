"""More processes, fewer processes, processes on hosts of their own: the same decisions, each once (80.3, 80.5)."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from zlib import crc32

import pytest

from dataflows.decisions import Decision, DecisionKind
from tests.dataflows.kafka_given import Broker, a_broker, wait_for
from tests.dataflows.run_given import (
    FIRST,
    a_day,
    a_day_whatever_the_clock,
    a_monitor,
    end_well,
    expected,
    ids,
    written,
)
from tests.given import Line, encode

LANES = 8


@pytest.fixture
def broker() -> Iterator[Broker]:
    with a_broker(LANES) as one:
        yield one


def lane_of(line: Line) -> int:
    """Where a workflow's lines go."""
    return crc32(line["workflow_id"].encode()) % LANES


def write(broker: Broker, lines: Sequence[Line], begin: int = 0) -> None:
    """Write lines to their partitions, each in its place in time; `begin` is the first one's number."""
    for lane in range(LANES):
        broker.write([line for line in lines if lane_of(line) == lane], partition=lane, written=FIRST + begin)


def write_files(folder: Path, lines: Sequence[Line]) -> None:
    """A file for each lane."""
    folder.mkdir()
    for lane in range(LANES):
        content = b"".join(encode(line) for line in lines if lane_of(line) == lane)
        (folder / f"{lane}.ndjson").write_bytes(content)


def of_files(lines: list[Line]) -> dict[str, Decision]:
    """What is decided of files: with them time ends, so nothing is heard of the silence after them."""
    return {name: one for name, one in expected(lines).items() if one.kind is not DecisionKind.SILENCE}


def assert_each_once(folder: Path, then: dict[str, Decision]) -> None:
    found = written(folder)
    assert {decision.decision_id: decision for decision in found} == then
    assert len(found) == len(then)


@pytest.mark.parametrize("processes", ["2", "4"])
def test_processes_share_the_partitions_of_a_topic(broker: Broker, tmp_path: Path, processes: str) -> None:
    lines = a_day(11)
    then = expected(lines)
    write(broker, lines)
    with a_monitor(broker.settings, tmp_path, "--processes", processes) as process:
        wait_for("all decisions", lambda: len(ids(tmp_path)) >= len(then))
        end_well(process)
    assert_each_once(tmp_path, then)


@pytest.mark.parametrize("processes", ["2", "4"])
def test_processes_share_the_files_of_a_folder(tmp_path: Path, processes: str) -> None:
    lines = a_day(12)
    write_files(tmp_path / "events", lines)
    command = [*BREAKWATER, "run", "--source", f"file:{tmp_path / 'events'}", "--processes", processes]
    command += ["--sink", f"file:{tmp_path / 'decisions.ndjson'}", "--recovery", str(tmp_path / "recovery")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert_each_once(tmp_path, of_files(lines))


def test_after_kills_another_number_of_processes_goes_on(broker: Broker, tmp_path: Path) -> None:
    lines = a_day_whatever_the_clock(13)
    then = expected(lines)
    part = 1 + len(lines) // 8
    seen: set[str] = set()

    def more_of(number: int) -> None:
        write(broker, lines[number * part : (number + 1) * part], number * part)
        before = seen.copy()
        # A killed cluster of four starts twice in here, next to whatever else the machine does.
        wait_for("more decisions", lambda: len(ids(tmp_path) - before) > 5, patience=120)
        seen.update(ids(tmp_path))

    for phase, processes in enumerate(("1", "2", "4", "1")):
        with a_monitor(broker.settings, tmp_path, "--processes", processes) as process:
            more_of(2 * phase)
            for child in children(process.pid)[:1]:
                # The others end with it, and are started again.
                os.kill(child, signal.SIGKILL)
            more_of(2 * phase + 1)
            process.send_signal(signal.SIGKILL)
    with a_monitor(broker.settings, tmp_path) as process:
        wait_for("all decisions", lambda: ids(tmp_path) >= then.keys())
        end_well(process)
    assert seen <= then.keys()
    # What a process had written before its first snapshot may stand there again, under its id.
    assert {decision.decision_id: decision for decision in written(tmp_path)} == then


def test_a_cluster_of_hosts_of_their_own(tmp_path: Path) -> None:
    lines = a_day(14)
    write_files(tmp_path / "events", lines)
    with ExitStack() as network:
        hosts = a_network(network, 3)
        addresses = ";".join(f"{address}:2101" for _, address in hosts)
        command = [*BREAKWATER, "run", "--source", f"file:{tmp_path / 'events'}", "--addresses", addresses]
        command += ["--sink", f"file:{tmp_path / 'decisions.ndjson'}", "--recovery", str(tmp_path / "recovery")]
        processes = [
            network.enter_context(a_process(["ip", "netns", "exec", name, *command, "--process", str(number)]))
            for number, (name, _) in enumerate(hosts)
        ]
        for process in processes:
            said, _ = process.communicate(timeout=60)
            assert process.returncode == 0, said
    assert_each_once(tmp_path, of_files(lines))


BREAKWATER = [sys.executable, "-m", "cli"]


def children(process: int) -> list[int]:
    """The processes that it has started."""
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


@contextmanager
def a_process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Ended when the block is."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def a_network(cleanup: ExitStack, count: int) -> list[tuple[str, str]]:
    """Network namespaces joined by a bridge: their names and addresses. Skips where they can't be made."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2")
    stem = f"bw{os.getpid()}"
    if not try_ip("link", "add", stem, "type", "bridge"):
        pytest.skip("no bridges can be made here")
    cleanup.callback(try_ip, "link", "del", stem)
    ip("link", "set", stem, "up")
    hosts = []
    for number in range(count):
        name, link, address = f"{stem}n{number}", f"{stem}v{number}", f"10.213.77.{number + 1}"
        if not try_ip("netns", "add", name):
            pytest.skip("no network namespaces can be made here")
        cleanup.callback(try_ip, "netns", "del", name)
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", link, "master", stem, "up")
        ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        hosts.append((name, address))
    return hosts


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def try_ip(*words: str) -> bool:
    return subprocess.run(["ip", *words], check=False, capture_output=True).returncode == 0
