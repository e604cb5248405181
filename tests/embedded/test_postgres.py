"""The embedded PostgreSQL server starts by itself, keeps what it should, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.embedded.postgres import AlreadyRunningError, EmbeddedPostgres
from cli.embedded.process import command_line

_OWN_A_SERVER = """
import sys, time
from pathlib import Path
from cli.embedded.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]) if sys.argv[1:] else None)
server.start()
print(server.port, server._password, flush=True)
time.sleep(600)
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder to be made, in a place that the server of root reaches; pytest's own places are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "data"


def connect(server: EmbeddedPostgres, database: str = "postgres") -> psycopg.Connection:
    """A session with the server."""
    return psycopg.connect(server.url(database).replace("+psycopg", ""), autocommit=True)


def wait_until_ended(process: int) -> None:
    """Return when there is no such process; fail after 20 s."""
    give_up = time.monotonic() + 20
    while command_line(process):
        assert time.monotonic() < give_up, f"process {process} is still there"
        time.sleep(0.02)


def test_data_is_kept_between_two_starts(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        kept = server.url().rsplit("@", 1)[0]
        with connect(server) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    with EmbeddedPostgres(data_dir) as server:
        assert server.url().rsplit("@", 1)[0] == kept
        with connect(server) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_temporary_data_goes_with_the_server(postgres: EmbeddedPostgres) -> None:
    with EmbeddedPostgres(fast=True) as server:
        with connect(server) as connection:
            row = connection.execute("SELECT current_setting('data_directory'), current_setting('fsync')").fetchone()
        assert row is not None
        folder = Path(row[0])
        assert (folder.is_dir(), row[1]) == (True, "off")
    assert not folder.parent.exists()


def test_a_copy_of_a_template_has_its_tables_and_is_another_database(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("pattern")
    with connect(postgres, "pattern") as connection:
        connection.execute("CREATE TABLE thing (name text)")
    postgres.create_database("copy", template="pattern")
    with connect(postgres, "copy") as connection:
        connection.execute("INSERT INTO thing VALUES ('only here')")
    with connect(postgres, "pattern") as connection:
        assert connection.execute("SELECT count(*) FROM thing").fetchall() == [(0,)]
    postgres.drop_database("copy")
    postgres.drop_database("pattern")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(postgres, "copy")


def test_it_asks_for_a_password_and_listens_on_loopback_alone(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password"):
        psycopg.connect(host="127.0.0.1", port=postgres.port, user="breakwater", password="guessed", dbname="postgres")
    with connect(postgres) as connection:
        row = connection.execute(
            "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')"
        ).fetchone()
    assert row == ("127.0.0.1", "")


def test_a_second_server_on_the_same_data_is_refused(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as first:
        with pytest.raises(AlreadyRunningError):
            EmbeddedPostgres(data_dir).start()
        with connect(first) as connection:
            assert connection.execute("SELECT 1").fetchall() == [(1,)]


def killed_owner(*data_dir: Path) -> tuple[int, Path]:
    """The server's process id and its data, after its owner was killed."""
    words = [sys.executable, "-c", _OWN_A_SERVER, *data_dir]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            port, password = owner.stdout.readline().split()
            with psycopg.connect(
                host="127.0.0.1", port=port, user="breakwater", password=password, dbname="postgres"
            ) as connection:
                row = connection.execute(
                    "SELECT pg_read_file('postmaster.pid'), current_setting('data_directory')"
                ).fetchone()
            assert row is not None
            return int(row[0].splitlines()[0]), Path(row[1])
        finally:
            os.kill(owner.pid, signal.SIGKILL)


def test_it_ends_when_its_owner_is_killed_and_its_data_can_be_used_again(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server, connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    process, _ = killed_owner(data_dir)
    wait_until_ended(process)
    with EmbeddedPostgres(data_dir) as server, connect(server) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_a_start_right_after_a_kill_waits_for_the_predecessor(data_dir: Path) -> None:
    for _ in range(3):
        killed_owner(data_dir)
    with EmbeddedPostgres(data_dir) as server, connect(server) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_the_leftovers_of_a_killed_owner_go_with_the_next_start() -> None:
    process, cluster = killed_owner()
    wait_until_ended(process)
    assert cluster.is_dir()
    with EmbeddedPostgres():
        assert not cluster.parent.exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("999999999\n/gone\n", id="the id of no process"),
        pytest.param(f"{os.getpid()}\n/gone\n", id="an id that another program has now"),
        pytest.param("", id="nothing, after a full disk"),
    ],
)
def test_a_stale_pid_file_is_no_obstacle(data_dir: Path, content: str) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    (data_dir / "cluster" / "postmaster.pid").write_text(content)
    with EmbeddedPostgres(data_dir) as server, connect(server) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another user")
def test_a_private_folder_of_root_stays_private_and_the_server_runs_elsewhere(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with EmbeddedPostgres(tmp_path / "data") as server, connect(server) as connection:
        row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        assert row is not None
        assert not Path(row[0]).is_relative_to(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert not Path(row[0]).exists()


def test_a_killed_server_comes_back_with_what_was_committed_on_the_same_port() -> None:
    with EmbeddedPostgres() as server:
        address = server.url().replace("+psycopg", "")
        with psycopg.connect(address) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        with psycopg.connect(address) as idle:
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                idle.execute("SELECT 1")
            server.restart()
        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]
