"""From the outbox to the people: real jobs, a real SMTP server, retries, rescue (30.3)."""

import asyncio
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from cli.embedded.smtp import SmtpSink
from config.settings import Kafka, Smtp
from lifecycle import tables
from lifecycle.delivery import Publisher
from lifecycle.emails import SmtpSender
from lifecycle.jobs import Backoff, WorkerEndedError, WorkerTiming, build_app, conninfo_of, run_worker
from lifecycle.kinds import Channel
from lifecycle.messages import Sender
from lifecycle.outbox import OutboxEvent, put_event
from lifecycle.transitions import STATUS_CHANGED
from sinks.events import EventPublisher
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.worker import NEVER_LEFT_ALONE, OPTIONS, PATIENT, given_block, jobs, run_jobs

#: The tries are one job run each: a failed job is due again in an hour.
ONE_TRY_A_RUN = WorkerTiming(
    breaker=NEVER_LEFT_ALONE,
    notifications=Backoff(tries=3, first=timedelta(hours=1), longest=timedelta(hours=1)),
)

CLIENT_MAILS = {"ada@acme.example", "bob@acme.example"}


def smtp(server: SmtpSink) -> Smtp:
    """Settings for the test's server."""
    return Smtp(host=server.host, port=server.port, sender="Breakwater <noreply@breakwater.example>")


@contextmanager
def by_email(settings: Smtp) -> Iterator[dict[Channel, Sender]]:
    """Email alone."""
    sender = SmtpSender(settings)
    try:
        yield {Channel.EMAIL: sender}
    finally:
        sender.close()


def work(
    engine: sa.Engine, settings: Smtp, *, publish: Publisher | None = None, timing: WorkerTiming = PATIENT
) -> None:
    """Run workers that send email until nothing is due."""
    with by_email(settings) as senders:
        run_jobs(engine, senders, publish=publish, timing=timing)


def test_every_email_of_a_block_arrives_once_with_text_and_html(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    given_block(engine)
    work(engine, smtp(smtp_server))
    work(engine, smtp(smtp_server))
    mails = {(mail.message["To"], mail.message["Subject"]): mail for mail in smtp_server.mails}
    assert len(smtp_server.mails) == 4
    assert set(mails) == {
        ("ada@acme.example", "Blocked: Acme, “Invoice sync”"),
        ("bob@acme.example", "Blocked: Acme, “Invoice sync”"),
        ("ops@breakwater.example", "Blocked: Acme, “Invoice sync”"),
        ("ops@breakwater.example", "Credentials failed: Acme, “Invoice sync”"),
    }
    mail = mails["ada@acme.example", "Blocked: Acme, “Invoice sync”"]
    assert mail.recipients == ("ada@acme.example",)
    text, html = mail.message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    for part in (text, html):
        content = part.get_content()
        assert "The credentials for Gmail and Salesforce are invalid or have expired." in content
        assert "https://bw.example/console/tasks?automation_version_id=v1" in content
    assert mail.message["Importance"] == "high"
    assert mail.message["Auto-Submitted"] == "auto-generated"

    notification = row(engine, tables.notifications, recipient="ada@acme.example")
    assert mail.message["Message-ID"] == f"<{notification['id']}@breakwater.example>"
    assert notification["status"] == "delivered"
    assert notification["delivered_at"] is not None
    delivery = row(engine, tables.deliveries, notification_id=notification["id"])
    assert (delivery["attempt"], delivery["outcome"], delivery["error_code"]) == (1, "delivered", None)
    assert delivery["message_id"] == mail.message["Message-ID"]
    assert {n["status"] for n in rows(engine, tables.notifications)} == {"delivered"}


def test_another_tenants_contacts_learn_nothing(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    given_block(engine)
    work(engine, smtp(smtp_server))
    assert {address for mail in smtp_server.mails for address in mail.recipients} == {
        *CLIENT_MAILS,
        "ops@breakwater.example",
    }


def test_a_job_that_runs_again_sends_nothing_again(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    given_block(engine)
    work(engine, smtp(smtp_server))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE procrastinate_jobs SET status = 'todo'")
    work(engine, smtp(smtp_server))
    assert len(smtp_server.mails) == 4
    assert len(rows(engine, tables.deliveries)) == 4


def test_a_server_that_is_away_is_tried_again_and_gets_the_same_message(
    engine: sa.Engine, smtp_server: SmtpSink
) -> None:
    given_world(engine)
    given_block(engine)
    away = smtp(smtp_server).model_copy(update={"port": 1})
    work(engine, away, timing=ONE_TRY_A_RUN)
    assert {n["status"] for n in rows(engine, tables.notifications, channel="email")} == {"pending"}
    assert jobs(engine, "deliver_notification") == ["todo"] * 4
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE procrastinate_jobs SET scheduled_at = NULL")
    work(engine, smtp(smtp_server), timing=ONE_TRY_A_RUN)
    assert len(smtp_server.mails) == 4
    notification = row(engine, tables.notifications, recipient="ada@acme.example")
    assert [
        (d["attempt"], d["outcome"], d["error_code"])
        for d in rows(engine, tables.deliveries, notification_id=notification["id"])
    ] == [(1, "retry", "unreachable"), (2, "delivered", None)]


def test_after_the_last_try_a_notification_is_failed_and_its_job_is_kept(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine)
    work(engine, Smtp(port=1))
    emails = rows(engine, tables.notifications, channel="email")
    assert {n["status"] for n in emails} == {"failed"}
    assert jobs(engine, "deliver_notification") == ["failed"] * 4
    for email in emails:
        assert [(d["attempt"], d["outcome"]) for d in rows(engine, tables.deliveries, notification_id=email["id"])] == [
            (1, "retry"),
            (2, "retry"),
            (3, "failed"),
        ]


@contextmanager
def scripted_smtp(**answers: str) -> Iterator[Smtp]:
    """A server that answers a command with what the script says, and with 250 otherwise."""

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say(answers.get("hello", "220 scripted"))
            for line in self.rfile:
                command = line.decode().split()[0].upper().rstrip(":")
                if command == "QUIT":
                    self.say("221 bye")
                    return
                self.say(answers.get(command.lower(), "354 go on" if command == "DATA" else "250 fine"))
                if command == "DATA" and "data" not in answers:
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    self.say(answers.get("end", "250 taken"))

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Session) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Smtp(host="127.0.0.1", port=server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        pytest.param({"rcpt": "550 no such user"}, [("failed", "recipient_refused")], id="no such recipient"),
        pytest.param({"data": "554 no"}, [("failed", "message_refused")], id="data refused"),
        pytest.param({"end": "552 too big"}, [("failed", "message_refused")], id="message refused"),
        pytest.param(
            {"mail": "530 5.7.0 authentication required"},
            [("retry", "login_refused"), ("retry", "login_refused"), ("failed", "login_refused")],
            id="a login is needed",
        ),
        pytest.param(
            {"rcpt": "530 5.7.0 authentication required"},
            [("retry", "login_refused"), ("retry", "login_refused"), ("failed", "login_refused")],
            id="a login is needed, said late",
        ),
        pytest.param(
            {"mail": "550 not from you"},
            [("retry", "sender_refused"), ("retry", "sender_refused"), ("failed", "sender_refused")],
            id="sender refused",
        ),
        pytest.param(
            {"rcpt": "451 greylisted"}, [("retry", "busy"), ("retry", "busy"), ("failed", "busy")], id="later, thrice"
        ),
        pytest.param(
            {"hello": "421 too many"}, [("retry", "busy"), ("retry", "busy"), ("failed", "busy")], id="no session"
        ),
    ],
)
def test_what_a_server_answers_decides_whether_to_try_again(
    engine: sa.Engine, answers: dict[str, str], outcomes: list[tuple[str, str]]
) -> None:
    given_world(engine)
    given_block(engine)
    with scripted_smtp(**answers) as settings:
        work(engine, settings)
    notification = row(engine, tables.notifications, recipient="ada@acme.example")
    assert notification["status"] == "failed"
    assert [
        (d["outcome"], d["error_code"]) for d in rows(engine, tables.deliveries, notification_id=notification["id"])
    ] == outcomes


def test_a_server_that_cannot_encrypt_is_tried_again(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    given_block(engine)
    encrypted = smtp(smtp_server).model_copy(update={"starttls": True})
    work(engine, encrypted, timing=ONE_TRY_A_RUN)
    assert {(d["outcome"], d["error_code"]) for d in rows(engine, tables.deliveries)} == {("retry", "not_supported")}
    assert jobs(engine, "deliver_notification") == ["todo"] * 4


def test_a_try_that_the_database_could_not_record_is_not_the_last(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    given_block(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE deliveries RENAME TO away")
    last_at_once = WorkerTiming(notifications=Backoff(tries=1, first=timedelta(hours=1), longest=timedelta(hours=1)))
    work(engine, smtp(smtp_server), timing=last_at_once)
    assert {n["status"] for n in rows(engine, tables.notifications, channel="email")} == {"pending"}
    assert jobs(engine, "deliver_notification") == ["todo"] * 4
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO deliveries")
        connection.exec_driver_sql("UPDATE procrastinate_jobs SET scheduled_at = NULL")
    work(engine, Smtp(port=1), timing=last_at_once)
    assert {n["status"] for n in rows(engine, tables.notifications, channel="email")} == {"failed"}
    assert jobs(engine, "deliver_notification") == ["failed"] * 4


def test_a_fault_that_nobody_foresaw_is_tried_as_often_as_others(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    given_block(engine)
    with engine.begin() as connection:
        connection.execute(sa.update(tables.notifications).values(context={}))
    work(engine, smtp(smtp_server))
    assert smtp_server.mails == []
    assert jobs(engine, "deliver_notification") == ["failed"] * 4
    notification = row(engine, tables.notifications, recipient="ada@acme.example")
    assert notification["status"] == "failed"
    assert [
        (d["attempt"], d["outcome"], d["error_code"])
        for d in rows(engine, tables.deliveries, notification_id=notification["id"])
    ] == [(1, "retry", "unsendable"), (2, "retry", "unsendable"), (3, "failed", "unsendable")]


@pytest.mark.parametrize("address", ["nobody", "a@b@c", "", "x@y.example, z@y.example", "x@y.example\r\nBcc: z@y"])
def test_an_address_that_is_none_fails_at_once_and_reaches_nobody(
    engine: sa.Engine, smtp_server: SmtpSink, address: str
) -> None:
    given_world(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.contacts).where(tables.contacts.c.email == "ada@acme.example").values(email=address)
        )
    given_block(engine)
    work(engine, smtp(smtp_server))
    (failed,) = rows(engine, tables.notifications, status="failed")
    assert failed["recipient"] == address
    assert row(engine, tables.deliveries, notification_id=failed["id"])["error_code"] == "bad_address"
    assert {address for mail in smtp_server.mails for address in mail.recipients} == {
        "bob@acme.example",
        "ops@breakwater.example",
    }


def test_a_name_with_html_and_line_ends_is_shown_as_text(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    name = "<b>Sync</b>\r\nBcc: eve@globex.example"
    with engine.begin() as connection:
        connection.execute(sa.update(tables.automations).where(tables.automations.c.id == "a1").values(name=name))
        connection.execute(sa.update(tables.tenants).where(tables.tenants.c.id == "t1").values(name="A\nCc: eve@x.y"))
    given_block(engine)
    work(engine, smtp(smtp_server))
    mail = next(mail for mail in smtp_server.mails if mail.recipients == ("ada@acme.example",))
    assert mail.message["Subject"] == "Blocked: A Cc: eve@x.y, “<b>Sync</b> Bcc: eve@globex.example”"
    assert mail.message["Bcc"] is mail.message["Cc"] is None
    _, html = mail.message.iter_parts()
    assert "<b>" not in html.get_content()
    assert "&lt;b&gt;Sync" in html.get_content()


class Published(list[OutboxEvent]):
    """Keeps events, and fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self._failures = failures

    def __call__(self, event: OutboxEvent) -> None:
        if self._failures:
            self._failures -= 1
            raise ConnectionError
        self.append(event)


def test_events_are_published_once_and_tried_again_without_an_end(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine, ("t1", "v1"), ("t2", "v2"))
    published = Published(failures=7)
    work(engine, Smtp(port=1), publish=published)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE procrastinate_jobs SET status = 'todo' WHERE task_name = 'publish_event'")
    work(engine, Smtp(port=1), publish=published)
    assert sorted((e.subject, e.message_key, e.payload["from"], e.payload["to"]) for e in published) == [
        ("v1", "wf1", "Live", "Blocked"),
        ("v2", "wf2", "Live", "Blocked"),
    ]
    assert all(e["published_at"] is not None for e in rows(engine, tables.outbox_events))


def test_a_worker_without_kafka_leaves_events_where_they_are(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    given_block(engine)
    work(engine, smtp(smtp_server))
    assert jobs(engine, "publish_event") == ["todo"]
    assert row(engine, tables.outbox_events)["published_at"] is None


def test_a_broker_that_is_away_does_not_hold_up_the_mail(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    given_events(engine, 8)
    given_block(engine)
    url = engine.url.render_as_string(hide_password=False)
    timing = WorkerTiming()
    away = EventPublisher(Kafka(bootstrap_servers="127.0.0.1:1"))
    sender = SmtpSender(smtp(smtp_server))
    app = build_app(conninfo_of(url), engine, {Channel.EMAIL: sender}, away, timing, OPTIONS)

    async def until_all_arrived() -> None:
        working = asyncio.create_task(run_worker(app, timing, with_events=True))
        await asyncio.to_thread(smtp_server.wait_for, 4, timedelta(seconds=60))
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    with closing(sender):
        asyncio.run(until_all_arrived())
    assert len(smtp_server.mails) == 4
    assert {event["published_at"] for event in rows(engine, tables.outbox_events)} == {None}


def test_a_worker_whose_heartbeat_fails_says_that_it_did_not_end_well(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE UPDATE ON procrastinate_workers FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    timing = WorkerTiming(heartbeat=timedelta(milliseconds=50))
    url = engine.url.render_as_string(hide_password=False)
    sender = SmtpSender(smtp(smtp_server))
    app = build_app(conninfo_of(url), engine, {Channel.EMAIL: sender}, None, timing, OPTIONS)
    with pytest.raises(WorkerEndedError):
        asyncio.run(run_worker(app, timing, with_events=False))


def given_events(engine: sa.Engine, count: int) -> None:
    """Events that wait, each of its own subject."""
    with engine.begin() as connection:
        for number in range(count):
            put_event(
                connection,
                OutboxEvent(
                    event_id=f"00000000-0000-5000-8000-{number:012}",
                    type=STATUS_CHANGED,
                    tenant_id="t1",
                    subject=f"s{number}",
                    message_key="wf1",
                    occurred_at=datetime.now(UTC),
                    payload={"from": "Live", "to": "Blocked"},
                ),
            )


def test_a_user_who_is_called_ops_does_not_take_operations_notice(engine: sa.Engine) -> None:
    user = {"id": "ops", "email": "olga@acme.example", "display_name": "Olga"}
    contact = {"tenant_id": "t1", "name": "Olga", "email": "olga@acme.example", "user_id": "ops"}
    given_world(engine, users=[user], contacts=[contact])
    given_block(engine)
    told = rows(engine, tables.notifications, channel="in_app", template="automation_blocked", recipient="ops")
    assert sorted(notice["audience"] for notice in told) == ["client", "ops"]


def test_the_job_of_a_worker_that_died_is_another_ones(engine: sa.Engine, smtp_server: SmtpSink) -> None:
    given_world(engine)
    with engine.begin() as connection:
        worker: Any = connection.exec_driver_sql(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '5 minutes') RETURNING id"
        ).scalar_one()
        # It died in two jobs of the clock, whose next ones wait already.
        for often in ("sync_notion", "sweep_intents"):
            connection.execute(
                sa.text(
                    "INSERT INTO procrastinate_jobs (task_name, queue_name, queueing_lock, status, worker_id)"
                    " SELECT name, 'elsewhere', name, status::procrastinate_job_status, worker FROM (VALUES"
                    " (CAST(:often AS text), 'doing', CAST(:worker AS bigint)), (:often, 'todo', NULL))"
                    " AS periodic (name, status, worker)"
                ),
                {"often": often, "worker": worker},
            )
    given_block(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker"
                " WHERE task_name = 'deliver_notification'"
            ),
            {"worker": worker},
        )
    url = engine.url.render_as_string(hide_password=False)
    timing = WorkerTiming(stalled_after=timedelta(seconds=3), heartbeat=timedelta(seconds=1))
    sender = SmtpSender(smtp(smtp_server))
    app = build_app(conninfo_of(url), engine, {Channel.EMAIL: sender}, None, timing, OPTIONS)

    async def until_all_arrived() -> None:
        working = asyncio.create_task(run_worker(app, timing, with_events=False))
        await asyncio.to_thread(smtp_server.wait_for, 4, timedelta(seconds=30))
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    with closing(sender):
        asyncio.run(until_all_arrived())
    assert len(smtp_server.mails) == 4
    assert jobs(engine, "sync_notion") == ["todo"]
