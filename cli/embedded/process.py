"""A process that belongs to this one: it ends when it is told to, and when its owner ends, however that ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType

_LEASH = Path(__file__).with_name("leash.py")
_POLL_SECONDS = 0.01


class ChildError(Exception):
    """A process did not start, or ended when it should not have; the text ends with the last lines of its log."""


class Child:
    """A running child process, in a session of its own so that a terminal's Ctrl-C reaches its owner alone.

    Start it from the main thread: on Linux it ends with the thread that started it.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        user: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals | None = None,
        by_kernel: bool = sys.platform == "linux",
    ) -> None:
        """Start `command` (its first word a full path); both its outputs are appended to `log`.

        `folder`: where it works, if not where its owner does. `user`: run as this user and group, for an owner who is
        root. `stop_signal`: what ends it cleanly; it gets that from `stop`, and at its owner's death unless
        `death_signal` is another. `by_kernel`: false uses the way for systems other than Linux.
        """
        self.name = Path(command[0]).name
        self._log = log
        self._stop_signal = stop_signal
        at_death = (stop_signal if death_signal is None else death_signal).value
        wanted = str(at_death) if by_kernel else f"@{at_death}"
        owner, become = str(os.getpid()), "-" if user is None else str(user)
        leash: list[str | Path] = [sys.executable, "-I", "-S", _LEASH, owner, become, wanted]
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  (no shell, no words from outside)
                [*leash, *command],
                stdin=subprocess.DEVNULL if by_kernel else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], patience: timedelta = timedelta(seconds=30)) -> None:
        """Return once `ready()`; `ChildError` when the process ends first or the patience does."""
        give_up = time.monotonic() + patience.total_seconds()
        while not ready():
            code = self.exit_code()
            if code is not None:
                raise ChildError(f"{self.name} ended with code {code}{self._last_words()}")
            if time.monotonic() > give_up:
                raise ChildError(f"{self.name} was not ready after {patience}{self._last_words()}")
            time.sleep(_POLL_SECONDS)

    def stop(self, patience: timedelta = timedelta(seconds=10)) -> int:
        """End it: by its stop signal, by force when the patience ends. Its exit code; again: the same."""
        self.signal()
        return self.wait(patience)

    def signal(self) -> None:
        """Send the stop signal and don't wait."""
        if self.exit_code() is None:
            self._process.send_signal(self._stop_signal)

    def wait(self, patience: timedelta) -> int:
        """Its exit code once it has ended; killed when the patience does."""
        try:
            code = self._process.wait(patience.total_seconds())
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-8:]
        return "".join(f"\n  {line}" for line in [f"({self._log})", *lines])


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now; somebody may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """True when something on loopback takes connections at `port`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def command_line(process: int) -> str:
    """How a process was started; empty when there is none."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    words = ["/bin/ps", "-ww", "-o", "command=", "-p", str(process)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout  # noqa: S603  (a number)
