"""A command that is killed at any moment, started again, and runs to its end at last."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path


def run_through_kills(command_in: Callable[[Path], Sequence[str]], folder: Path, *, starts: int, seed: int) -> Path:
    """Start it, kill all its processes, so often; then let it end. Where it wrote, a folder within `folder`.

    The moments are parts of the time that it takes when nobody disturbs it, which a first run in another folder
    tells: how fast the machine is makes no difference. The earliest comes first, so that one kill at least is sure;
    where it ended before that all the same, the first run was the one disturbed, and it begins anew with half the time.
    """
    rng = random.Random(seed)
    parts = sorted(rng.uniform(0.4, 0.95) for _ in range(starts))
    whole = _seconds_of(command_in(_made(folder / "undisturbed")))
    for attempt in count():
        killed = _made(folder / f"killed-{attempt}")
        command = command_in(killed)
        if _kill(command, (part * whole for part in parts)):
            subprocess.run(command, check=True)
            return killed
        whole /= 2
    raise AssertionError("half of a time often enough is none")


def _kill(command: Sequence[str], moments: Iterable[float]) -> bool:
    """Whether it was killed once at least."""
    kills = 0
    for moment in moments:
        process = subprocess.Popen(command, start_new_session=True)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    return kills > 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _seconds_of(command: Sequence[str]) -> float:
    begin = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - begin
