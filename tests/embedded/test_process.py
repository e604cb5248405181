"""A child process ends when it is told to and when its owner ends, however that ends."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from cli.embedded.process import Child, ChildError, command_line

_SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
_OWN_A_CHILD = """
import sys, time
from pathlib import Path
from cli.embedded.process import Child
words = [sys.executable, "-c", "import time; time.sleep(600)"]
child = Child(words, log=Path(sys.argv[1]), by_kernel=bool(int(sys.argv[2])))
print(child.pid, flush=True)
time.sleep(600)
"""
_OWN_A_DEAF_CHILD = """
import signal, sys, time
from pathlib import Path
from cli.embedded.process import Child
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
log = Path(sys.argv[1])
child = Child(
    [sys.executable, "-c", deaf], log=log, by_kernel=bool(int(sys.argv[2])), death_signal=signal.SIGKILL
)
child.wait_until(lambda: "deaf" in log.read_text())
print(child.pid, flush=True)
time.sleep(600)
"""
_WAYS = [
    pytest.param(
        True, id="by the kernel", marks=pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux")
    ),
    pytest.param(False, id="by a pipe"),
]


def wait_until_ended(process: int) -> None:
    """Return when there is no such process; fail after 20 s."""
    give_up = time.monotonic() + 20
    while command_line(process):
        assert time.monotonic() < give_up, f"process {process} is still there"
        time.sleep(0.02)


def until_it_runs(process: int) -> bool:
    """True once it is the command itself; fail after 20 s."""
    give_up = time.monotonic() + 20
    while "sleep(600)" not in (command := command_line(process)) or "leash.py" in command:
        assert time.monotonic() < give_up, f"process {process} is {command}"
        time.sleep(0.02)
    return True


def test_it_works_where_it_is_told_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "there").mkdir()
    where = [sys.executable, "-c", "import os; print(os.getcwd(), flush=True)"]
    with Child(where, log=log, folder=tmp_path / "there") as child:
        assert child.wait(timedelta(seconds=20)) == 0
    assert log.read_text().strip() == str(tmp_path / "there")


@pytest.mark.parametrize("by_kernel", _WAYS)
@pytest.mark.parametrize("at_once", [pytest.param(True, id="at once"), pytest.param(False, id="later")])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_owner(tmp_path: Path, by_kernel: bool, at_once: bool, end: signal.Signals) -> None:
    words = [sys.executable, "-c", _OWN_A_CHILD, tmp_path / "log", str(int(by_kernel))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        try:
            # At once the child may still be on its way from the leash to the command.
            assert at_once or until_it_runs(child)
        finally:
            os.kill(owner.pid, end)
    wait_until_ended(child)


@pytest.mark.parametrize("by_kernel", _WAYS)
def test_one_that_does_not_listen_ends_with_its_owner_too_by_a_signal_of_its_own(
    tmp_path: Path, by_kernel: bool
) -> None:
    words = [sys.executable, "-c", _OWN_A_DEAF_CHILD, tmp_path / "log", str(int(by_kernel))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        os.kill(owner.pid, signal.SIGKILL)
    wait_until_ended(child)


@pytest.mark.parametrize("by_kernel", _WAYS)
def test_stop_ends_it_and_says_how_it_ended(tmp_path: Path, by_kernel: bool) -> None:
    with Child(_SLEEP, log=tmp_path / "log", by_kernel=by_kernel) as child:
        child.wait_until(lambda: "sleep(600)" in command_line(child.pid))
        assert child.exit_code() is None
        assert child.stop() == -signal.SIGTERM
        assert child.stop() == -signal.SIGTERM


def test_one_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    ignore = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    log = tmp_path / "log"
    with Child([sys.executable, "-c", ignore], log=log) as child:
        child.wait_until(lambda: "deaf" in log.read_text())
        assert child.stop(timedelta(seconds=0.2)) == -signal.SIGKILL


def test_one_that_ends_before_it_is_ready_is_reported_with_its_last_words(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "print('no such table'); raise SystemExit(3)"]
    with (
        Child(words, log=tmp_path / "log") as child,
        pytest.raises(ChildError, match=r"ended with code 3[\s\S]*no such table"),
    ):
        child.wait_until(lambda: False)


def test_patience_ends(tmp_path: Path) -> None:
    with Child(_SLEEP, log=tmp_path / "log") as child, pytest.raises(ChildError, match="was not ready after"):
        child.wait_until(lambda: False, timedelta(seconds=0.1))


def test_a_child_has_the_environment_that_it_is_given_and_no_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = [
        sys.executable,
        "-c",
        "import os, sys; print(os.environ.get('FACT'), os.getsid(0) == os.getpid(), sys.stdin.read())",
    ]
    with Child(words, log=log, environment={"FACT": "42"}) as child:
        assert child.wait(timedelta(seconds=20)) == 0
    assert log.read_text() == "42 True \n"
