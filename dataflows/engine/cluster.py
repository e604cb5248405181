"""Running a flow: one process, or a cluster of them on this machine (spec 80.1, 80.3)."""

import ctypes
import fcntl
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from dataflows.engine.restarts import RestartBudget
from dataflows.engine.state_files import UnusableStoreError

#: Files of a recovery store: fixed when it is made, and the limit of processes that write one together.
RECOVERY_PARTITIONS = 8

#: Exit code of a command that was used wrongly: it would end so again.
MISUSED = 2

#: Longer names are cut off, and told apart by their sum: a file system takes 255 bytes, and a letter may need nine.
MAX_FOLDER_NAME = 160


def open_recovery(directory: Path) -> None:
    """Make a recovery store, if there is none. Code runs from what is in it: only its owner may write it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = directory / "made"
    with (directory / "making").open("w") as making:
        # The processes of a cluster may all find that there is none.
        fcntl.flock(making, fcntl.LOCK_EX)
        if made.exists():
            return
        # What is there was begun and not ended, and no flow has written to it: bytewax refuses a store in part.
        for part in directory.glob("part-*.sqlite3*"):
            part.unlink()
        shutil.rmtree(directory / "lanes", ignore_errors=True)
        init_db_dir(directory, RECOVERY_PARTITIONS)  # type: ignore[no-untyped-call]
        made.touch()


def lane_folder(recovery: Path, lane: str) -> Path:
    """Where a lane keeps its state, within a recovery store."""
    name = quote(lane, safe=" ")
    if len(name) > MAX_FOLDER_NAME:
        name = f"{name[:MAX_FOLDER_NAME]}-{sha256(lane.encode()).hexdigest()}"
    return recovery / "lanes" / name


def run_process(
    flow: Dataflow,
    *,
    recovery: Path | None,
    snapshot_interval: timedelta,
    process: int,
    addresses: Sequence[str],
) -> None:
    """Run a flow to its end, as process number `process` of those at `addresses`; alone when there are none.

    The cluster's port takes pickles from whoever connects: loopback or a private network only. `UnusableStoreError`
    when the recovery store can't be read.
    """
    try:
        cli_main(  # type: ignore[no-untyped-call]
            flow,
            process_id=process if addresses else None,
            addresses=list(addresses) if addresses else None,
            epoch_interval=snapshot_interval,
            # No backups of the store are taken, so old epochs need not wait for one.
            recovery_config=None if recovery is None else _recovery_config(recovery),
        )
    except BytewaxRuntimeError as error:
        if isinstance(error.__cause__, UnusableStoreError):
            raise error.__cause__ from None
        raise


def _recovery_config(directory: Path) -> RecoveryConfig:
    return RecoveryConfig(str(directory), timedelta(0))  # type: ignore[no-untyped-call]


def run_cluster(command: Sequence[str], processes: int) -> int:
    """Run `command` once for each process and start all again when one dies; the exit code.

    `--process N --addresses A;B` is added to the command. bytewax ends all processes when one is gone, and the
    recovery store has what they knew. A cluster that keeps failing is left to whoever supervises this process.
    """
    #: Signals that asked for the end.
    wishes: list[int] = []
    restarts = RestartBudget()
    children: list[subprocess.Popen[bytes]] = []

    def stop(number: int, frame: object) -> None:  # noqa: ARG001  (signal's signature)
        wishes.append(number)
        _terminate(children)

    for wish in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wish, stop)
    code = 0
    while not wishes:
        children.clear()
        addresses = ";".join(f"127.0.0.1:{port}" for port in _free_ports(processes))
        for number in range(processes):
            # A signal may come at any line of this.
            if wishes:
                break
            children.append(
                subprocess.Popen(  # noqa: S603  (our own command line)
                    [*command, "--process", str(number), "--addresses", addresses],
                    preexec_fn=_die_with_parent,  # noqa: PLW1509  (this process has no other thread)
                )
            )
        if wishes:
            _terminate(children)
        code = _wait(children) if children else code
        pause = None if wishes or code in (0, MISUSED) else restarts.ask(time.monotonic())
        if pause is None:
            break
        go_on = time.monotonic() + pause
        while not wishes and time.monotonic() < go_on:
            time.sleep(0.05)
    return code


def _terminate(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.send_signal(signal.SIGTERM)


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait until all have ended; when one fails, see to it that the others do."""
    while True:
        codes = [child.poll() for child in children]
        failed = next((code for code in codes if code), None)
        if failed is not None:
            for child in children:
                child.kill()
                child.wait()
            return 1 if failed < 0 else failed
        if all(code == 0 for code in codes):
            return 0
        time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _die_with_parent() -> None:
    """A cluster without its supervisor must not go on, whatever ended it (Linux only; elsewhere it does)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
