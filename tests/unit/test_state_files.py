"""A lane's state in files: what a restart finds, whatever happened between two snapshots."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from dataflows.decisions import Decision
from dataflows.engine.cluster import lane_folder
from dataflows.engine.host import Host
from dataflows.engine.lane import Lane
from dataflows.engine.memory import Room
from dataflows.engine.state_files import KEPT_FOR, LEAST, LOCK, StateFile, StateFiles, UnusableStoreError
from dataflows.engine.watermarks import Watermark
from dataflows.intake import Intake
from dataflows.registry import TrustingRegistry
from dataflows.times import micros, to_micros
from tests.dataflows.product import LATENESS, detectors
from tests.given import Line, encode, ended, started, time


def content(letter: str, size: int) -> bytes:
    return letter.encode() * size


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LOCK}


def test_contents_are_read_back_in_their_order(tmp_path: Path) -> None:
    written = StateFiles(tmp_path / "lane", [])
    assert written.wants_everything
    written.write([b"all"], everything=True)
    written.write([b"more"], everything=False)
    written.write([b"still more"], everything=False)
    assert StateFiles(tmp_path / "lane", written.current).read() == [b"all", b"more", b"still more"]


@pytest.mark.parametrize(
    ("first", "changes", "wants"),
    [
        pytest.param(10, [LEAST], False, id="changes are few bytes"),
        pytest.param(10, [LEAST, 1], True, id="a byte more than that"),
        pytest.param(LEAST, [LEAST, LEAST], False, id="twice as much as all state"),
        pytest.param(LEAST, [LEAST, LEAST, 1], True, id="a byte more than twice as much"),
    ],
)
def test_all_state_is_written_again_when_changes_outweigh_it(
    tmp_path: Path, first: int, changes: list[int], *, wants: bool
) -> None:
    written = StateFiles(tmp_path, [])
    written.write([content("a", first)], everything=True)
    for size in changes:
        written.write([content("b", size)], everything=False)
    assert written.wants_everything is wants


def test_files_stay_while_the_engine_may_go_back_to_them(tmp_path: Path) -> None:
    written = StateFiles(tmp_path, [])
    written.write([b"old"], everything=True)
    old = written.current
    written.write([b"new"], everything=True)
    for _ in range(KEPT_FOR - 1):
        written.write([b"more"], everything=False)
        assert old[0].name in files(tmp_path)
    written.write([b"more"], everything=False)
    assert old[0].name not in files(tmp_path)
    assert files(tmp_path) == {file.name for file in written.current}


def test_a_restart_removes_what_the_recovery_store_does_not_name(tmp_path: Path) -> None:
    written = StateFiles(tmp_path, [])
    written.write([b"all"], everything=True)
    named = written.current
    written.write([b"of an epoch that never ended"], everything=False)
    again = StateFiles(tmp_path, named)
    assert files(tmp_path) == {named[0].name}
    again.write([b"other"], everything=False)
    assert again.read() == [b"all", b"other"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lambda path: path.unlink(), "No such file", id="gone"),
        pytest.param(lambda path: path.write_bytes(b"al"), "damaged", id="cut off"),
        pytest.param(lambda path: path.write_bytes(b"alL"), "damaged", id="another content"),
    ],
)
def test_a_file_that_is_not_as_it_was_is_named(tmp_path: Path, damage: object, says: str) -> None:
    written = StateFiles(tmp_path, [])
    written.write([b"all"], everything=True)
    path = tmp_path / written.current[0].name
    damage(path)  # type: ignore[operator]
    with pytest.raises(UnusableStoreError, match=f"{path.name}: {says}"):
        StateFiles(tmp_path, written.current).read()


def test_a_file_is_known_by_name_size_and_sum() -> None:
    file = StateFile("00000001-aaaa", 3, 7)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(file), type=StateFile) == file


def test_a_folder_that_another_process_works_with_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = f"import fcntl, os; fcntl.lockf(os.open({str(tmp_path / LOCK)!r}, os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)"
    hold = [sys.executable, "-c", f"{program}; print(flush=True); input()"]
    monkeypatch.setattr("dataflows.engine.state_files.LOCK_PATIENCE", timedelta(0))
    with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UnusableStoreError, match="another process works with this recovery store"):
            StateFiles(tmp_path, [])
        other.communicate(b"\n")
    StateFiles(tmp_path, []).write([b"all"], everything=True)


# ---- a lane with such files


def new_lane() -> Lane:
    return Lane(detectors(None).of, Room(), Watermark(micros(LATENESS)), 1)


def feed(host: Host, *lines: Line) -> list[str]:
    taken = Intake("x", -1, TrustingRegistry()).take([encode(line) for line in lines], lambda index: index)
    items = host.process(taken.events, taken.times)
    return [item.kind.value for item in items if isinstance(item, Decision)]


def test_a_lane_goes_on_from_all_state_and_changes(tmp_path: Path) -> None:
    host = Host(new_lane, None, tmp_path)
    feed(host, started(0, "a"), *[ended(number / 100, f"x{number}") for number in range(100)])
    host.snapshot(b"1")
    feed(host, started(4, "b"), ended(4, "x0"))
    snapshot = host.snapshot(b"2")
    assert len(files(tmp_path)) == 2
    again = Host(new_lane, snapshot, tmp_path)
    assert again.position == b"2"
    assert msgspec.msgpack.encode(again.lane.everything()) == msgspec.msgpack.encode(host.lane.everything())
    assert feed(again, ended(40, "c")) == feed(host, ended(40, "c")) == ["execution_stuck"] * 2


def test_the_clock_moves_without_a_file(tmp_path: Path) -> None:
    host = Host(new_lane, None, tmp_path)
    feed(host, ended(0, "a"))
    host.snapshot(b"1")
    before = files(tmp_path)
    later = to_micros(time(60))
    host.lane.watermark.follow(later)
    assert not any(isinstance(item, Decision) for item in host.advance())
    again = Host(new_lane, host.snapshot(b"2"), tmp_path)
    assert files(tmp_path) == before
    assert again.lane.watermark.value == later - micros(LATENESS)


def test_state_may_move_from_the_store_into_files(tmp_path: Path) -> None:
    host = Host(new_lane, None)
    feed(host, started(0, "a"))
    again = Host(new_lane, host.snapshot(b"1"), tmp_path)
    third = Host(new_lane, again.snapshot(b"2"), tmp_path)
    assert feed(third, ended(40, "c")) == ["execution_stuck"]


def test_files_that_are_not_at_hand_are_missed(tmp_path: Path) -> None:
    host = Host(new_lane, None, tmp_path)
    feed(host, started(0, "a"))
    snapshot = host.snapshot(b"1")
    with pytest.raises(UnusableStoreError, match="no folder is given"):
        Host(new_lane, snapshot)


def test_lanes_have_folders_of_their_own_however_long_their_names(tmp_path: Path) -> None:
    lanes = ["0", "a b.ndjson", "a%20b.ndjson", "a/b", "я" * 60 + ".ndjson", "я" * 60 + "2.ndjson"]
    folders = [lane_folder(tmp_path, lane) for lane in lanes]
    for folder in folders:
        StateFiles(folder, []).write([b"all"], everything=True)
    assert len(set(folders)) == len(lanes) == len(list((tmp_path / "lanes").iterdir()))
