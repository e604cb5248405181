"""A command that is killed at any moment, started again, and runs to its end at last."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def run_through_kills(command_in: Callable[[Path], Sequence[str]], folder: Path, *, starts: int, seed: int) -> Path:
    """Start it, kill all its processes, so often; then let it end. Where it wrote, a folder within `folder`.

    The moments are parts of the time that it takes when nobody disturbs it, which a first run in another folder
    tells: how fast the machine is makes no difference. The earliest comes first, so that one kill at least is sure.
    """
    whole = _seconds_of(command_in(_made(folder / "undisturbed")))
    killed = _made(folder / "killed")
    command = command_in(killed)
    rng, kills = random.Random(seed), 0
    for part in sorted(rng.uniform(0.4, 0.95) for _ in range(starts)):
        process = subprocess.Popen(command, start_new_session=True)
        try:
            process.wait(timeout=part * whole)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    subprocess.run(command, check=True)
    assert kills > 0
    return killed


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _seconds_of(command: Sequence[str]) -> float:
    begin = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - begin
