"""`breakwater migrate` and `breakwater worker` as processes."""

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
import sqlalchemy as sa

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.smtp import SmtpSink
from tests.lifecycle.given import given_world
from tests.lifecycle.test_delivery import given_block

BREAKWATER = [sys.executable, "-m", "cli"]


def test_migrate_says_where_it_is_and_does_nothing_twice(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("empty")
    for _ in range(2):
        done = subprocess.run(
            [*BREAKWATER, "migrate", "--url", postgres.url("empty")], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("at revision ")
    postgres.drop_database("empty")


def test_migrate_without_a_database_is_an_error_that_shows_no_password() -> None:
    url = "postgresql://breakwater:hunter2@127.0.0.1:1/none"
    done = subprocess.run([*BREAKWATER, "migrate", "--url", url], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "can't be reached" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_delivers_and_ends_when_it_is_told(
    engine: sa.Engine, database_url: str, smtp_server: SmtpSink, ending: signal.Signals
) -> None:
    given_world(engine)
    given_block(engine)
    worker = subprocess.Popen(
        [*BREAKWATER, "worker", "--no-events"],
        env={
            **os.environ,
            "BREAKWATER_POSTGRES__URL": database_url,
            "BREAKWATER_SMTP__HOST": smtp_server.host,
            "BREAKWATER_SMTP__PORT": str(smtp_server.port),
        },
    )
    try:
        smtp_server.wait_for(4, timedelta(seconds=30))
        worker.send_signal(ending)
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.wait(10)


def test_what_a_killed_worker_left_is_delivered_by_the_next(
    engine: sa.Engine, database_url: str, smtp_server: SmtpSink
) -> None:
    given_world(engine)
    given_block(engine)
    environment = {
        **os.environ,
        "BREAKWATER_POSTGRES__URL": database_url,
        "BREAKWATER_SMTP__HOST": smtp_server.host,
        "BREAKWATER_SMTP__PORT": str(smtp_server.port),
    }
    first = subprocess.Popen([*BREAKWATER, "worker", "--no-events"], env=environment)
    smtp_server.wait_for(1, timedelta(seconds=30))
    first.kill()
    first.wait(10)
    # The queue judges a worker by its heartbeat; that minute is made to pass.
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '5 minutes'")
    second = subprocess.Popen([*BREAKWATER, "worker", "--no-events"], env=environment)
    try:
        # A mail that was accepted and not yet recorded may come again, as the same message.
        wanted = {f"<{id_}@localhost>" for id_ in _email_ids(engine)}
        mails = list(smtp_server.mails)
        while (arrived := {mail.message["Message-ID"] for mail in mails}) != wanted:
            assert arrived < wanted
            mails = smtp_server.wait_for(len(mails) + 1, timedelta(seconds=60))
    finally:
        second.terminate()
        assert second.wait(30) == 0


def _email_ids(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT id::text FROM notifications WHERE channel = 'email'").scalars())
