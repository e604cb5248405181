"""Credit cases in Slack: what is shown, which channel it goes to, and servers that misbehave (50.5)."""

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from config.settings import Settings, Slack, SlackAddresses
from lifecycle import tables
from lifecycle.channels import make_senders
from lifecycle.credits.slack_alert import build_case_payload
from lifecycle.delivery import Tried
from lifecycle.jobs import Backoff, WorkerTiming
from lifecycle.kinds import Audience, Channel, DeliveryOutcome, Severity, Template
from lifecycle.messages import Message, NotDeliveredError
from lifecycle.slack import build_payload, slack_sender
from tests.lifecycle.cases_given import WITH_SLACK, apply, incident
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.http_server import Answer, PostServer
from tests.lifecycle.ledger_given import entry, spend
from tests.lifecycle.worker import NEVER_LEFT_ALONE, run_jobs

CONTEXT = {
    "headline": "SEV1 · Credit spike · Binder Export",
    "tenant_name": "Acme",
    "case_id": "CASE-20260302-ABC123",
    "severity": "SEV1",
    "scenario": "Binder Export",
    "job_type": "BINDER_EXPORT",
    "credits": "2,500",
    "baseline": "500",
    "multiplier": "5.00",
    "likelihood": "High",
    "flags": "retry_loop, unbounded_iterator",
    "execution_id": "RUN-1",
    "at": "2026-03-02 08:00:00 UTC",
    "acknowledge_by": "2026-03-02 09:00:00 UTC",
    "run_link": "https://bw.example/console/decisions/d1",
    "artifacts_link": None,
    "done": ["the workflow waits until the case is acknowledged"],
    "not_done": [],
}
MESSAGE = Message(
    notification_id="00000000-0000-5000-8000-000000000001",
    tenant_id="t1",
    episode_id="00000000-0000-5000-8000-000000000002",
    template=Template.CREDIT_CASE,
    audience=Audience.OPS,
    severity=Severity.CRITICAL,
    recipient="ops",
    title="SEV1 · Credit spike · Binder Export",
    body="A run cost much.\n",
    link="https://bw.example/console/cases/CASE-20260302-ABC123",
    context=CONTEXT,
    created_at=datetime(2026, 3, 2, 8, tzinfo=UTC),
)


def message(**changes: Any) -> Message:
    """The message, with another context."""
    return replace(MESSAGE, context={**CONTEXT, **changes})


def test_a_case_is_shown_with_its_numbers() -> None:
    """Header, six fields, two buttons, one line of what was done."""
    payload = build_payload(MESSAGE)
    header, section, actions, about = payload["blocks"]
    assert header["text"] == {
        "type": "plain_text",
        "emoji": True,
        "text": "\N{LARGE RED CIRCLE} SEV1 · Credit spike · Binder Export",
    }
    assert [field["text"] for field in section["fields"]] == [
        "*Credits:*\n2,500 (Baseline 500) → 5.00×",
        "*Job Type:*\nBINDER_EXPORT",
        "*Misconfig Likelihood:*\nHigh",
        "*Risk Flags:*\nretry loop, unbounded iterator",
        "*Run ID:*\nRUN-1",
        "*Time:*\n2026-03-02 08:00:00 UTC",
    ]
    assert [(button["text"]["text"], button["url"]) for button in actions["elements"]] == [
        ("Open case", MESSAGE.link),
        ("View run", CONTEXT["run_link"]),
    ]
    assert about["elements"][0]["text"] == (
        "CASE-20260302-ABC123 · Acme · Done: the workflow waits until the case is acknowledged"
    )


@pytest.mark.parametrize(
    ("severity", "sign", "style"),
    [
        pytest.param("SEV0", "\N{FIRE}", "danger", id="SEV0 burns"),
        pytest.param("SEV1", "\N{LARGE RED CIRCLE}", None, id="SEV1 is red"),
        pytest.param("SEV2", "\N{LARGE YELLOW CIRCLE}", None, id="SEV2 is yellow"),
    ],
)
def test_only_the_worst_has_a_button_of_danger(severity: str, sign: str, style: str | None) -> None:
    """And each severity its sign."""
    header, _, actions, _ = build_case_payload(message(severity=severity, headline=f"{severity} · x"))["blocks"]
    assert header["text"]["text"] == f"{sign} {severity} · x"
    assert [button.get("style") for button in actions["elements"]] == [style, None]


def test_artifacts_have_a_button_only_with_a_link() -> None:
    """And it is the last one."""
    actions = build_case_payload(message(artifacts_link="https://files.example/a"))["blocks"][2]
    assert [button["text"]["text"] for button in actions["elements"]] == ["Open case", "View run", "Artifacts"]


@pytest.mark.parametrize(
    ("done", "not_done", "said"),
    [
        pytest.param([], [], "No automatic actions taken", id="nothing"),
        pytest.param(["a", "b"], [], "Done: a / b", id="two things"),
        pytest.param(["a"], ["c"], "Done: a · Not done: c", id="one was not to be done"),
        pytest.param([], ["c"], "No automatic actions taken · Not done: c", id="the only one was not to be done"),
    ],
)
def test_the_last_line_says_what_was_done_and_no_more(done: list[str], not_done: list[str], said: str) -> None:
    """Of what is planned it says nothing."""
    about = build_case_payload(message(done=done, not_done=not_done))["blocks"][3]
    assert about["elements"][0]["text"] == f"CASE-20260302-ABC123 · Acme · {said}"


def test_without_a_baseline_nothing_is_compared() -> None:
    """It says so."""
    fields = build_case_payload(message(baseline=None, multiplier=None))["blocks"][1]["fields"]
    assert fields[0]["text"] == "*Credits:*\n2,500 (Baseline N/A)"


@given(
    name=st.text(max_size=400),
    link=st.none() | st.text(min_size=1, max_size=4000),
    done=st.lists(st.text(max_size=300), max_size=4),
)
def test_whatever_a_sender_says_slack_can_take_it_and_nobody_is_mentioned(
    name: str, link: str | None, done: list[str]
) -> None:
    """Limits hold, and there is no `<` that Slack would read."""
    payload = build_case_payload(
        replace(
            message(headline=name, job_type=name, execution_id=name, flags=name, done=done, artifacts_link=link),
            link=link,
        )
    )
    header, section, *_ = payload["blocks"]
    assert 1 <= len(header["text"]["text"]) <= 150
    assert all(1 <= len(field["text"]) <= 2000 and field["verbatim"] for field in section["fields"])
    assert not any("<" in field["text"] for field in section["fields"])
    assert "<" not in payload["text"]


ADDRESSES = {name: SecretStr(f"https://hooks.example/{name}") for name in ("MAIN", "DEFAULT", "SEV0", "SEV1", "SEV2")}


def addresses(*names: str) -> SlackAddresses | None:
    """Those of settings that have these."""
    variables = {f"SLACK_WEBHOOK_URL_{name}": ADDRESSES[name] for name in names if name != "MAIN"}
    return Settings(slack=Slack(url=ADDRESSES["MAIN"] if "MAIN" in names else None), **variables).slack_addresses  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "severity", "goes_to"),
    [
        pytest.param(["MAIN", "DEFAULT", "SEV0"], "SEV0", "SEV0", id="each severity has its own"),
        pytest.param(["MAIN", "DEFAULT", "SEV0"], "SEV1", "DEFAULT", id="one without its own falls back"),
        pytest.param(["MAIN", "DEFAULT", "SEV2"], "SEV2", "SEV2", id="SEV2 may have its own"),
        pytest.param(["MAIN", "DEFAULT"], "SEV2", "DEFAULT", id="SEV2 falls back"),
        pytest.param(["MAIN"], "SEV0", "MAIN", id="without any there is the one of all notices"),
        pytest.param(["DEFAULT"], "SEV1", "DEFAULT", id="the default is enough"),
        pytest.param(["MAIN", "DEFAULT", "SEV0", "SEV1", "SEV2"], None, "DEFAULT", id="what has no severity"),
    ],
)
def test_a_severity_finds_its_channel(names: list[str], severity: str | None, goes_to: str) -> None:
    """Its own, else the default, else that of all notices."""
    found = addresses(*names)
    assert found is not None
    assert found.of_credits(severity) == ADDRESSES[goes_to]


def test_without_an_address_there_is_no_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing is not set."""
    assert addresses() is None
    monkeypatch.setenv("SLACK_WEBHOOK_URL_DEFAULT", "")
    assert Settings().slack_addresses is None
    monkeypatch.setenv("SLACK_WEBHOOK_URL_DEFAULT", "https://hooks.example/DEFAULT")
    assert Channel.SLACK in make_senders(Settings())


def test_addresses_of_severities_alone_are_refused_and_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nowhere to fall back to."""
    monkeypatch.setenv("SLACK_WEBHOOK_URL_SEV0", "https://hooks.example/SEV0")
    with pytest.raises(ValidationError, match="SLACK_WEBHOOK_URL_DEFAULT") as refused:
        Settings()
    assert "hooks.example" not in str(refused.value)


def test_other_notices_go_to_the_main_channel() -> None:
    """Credits alone are routed."""
    with PostServer() as main, PostServer() as credit, PostServer() as sev1:
        send = slack_sender(
            SlackAddresses(
                main=SecretStr(main.url), credits=SecretStr(credit.url), by_severity={"SEV1": SecretStr(sev1.url)}
            )
        )
        send(MESSAGE)
        send(message(severity="SEV2"))
        send(replace(MESSAGE, template=Template.CREDIT_HEALTH, context={}))
        send(replace(MESSAGE, template=Template.SILENCE, context={}))
    assert [len(server.posts) for server in (main, credit, sev1)] == [1, 2, 1]


@contextmanager
def misbehaving(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that takes one connection after another and does something else than HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    held: list[socket.socket] = []

    def serve() -> None:
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            behave(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/services/T0/B0/s3cr3t"
    finally:
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in held:
            connection.close()


def reset(connection: socket.socket) -> None:
    """Break off with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def garbage(connection: socket.socket) -> None:
    """Answer with what is no HTTP."""
    connection.recv(100_000)
    connection.sendall(b"\x16\x03\x01 no HTTP\r\n\x00garbage\r\n\r\n")
    connection.close()


def half(connection: socket.socket) -> None:
    """Promise more than comes."""
    connection.recv(100_000)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\no")
    connection.close()


def hang(_: socket.socket) -> None:
    """Say nothing, ever."""


@pytest.mark.parametrize("behave", [reset, garbage, half, hang], ids=["resets", "sends garbage", "breaks off", "hangs"])
def test_a_server_that_misbehaves_is_unreachable_and_its_address_is_not_told(
    behave: Callable[[socket.socket], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error and no log quotes it, however much is logged."""
    monkeypatch.setattr("lifecycle.slack.TIMEOUT", timedelta(seconds=0.2))
    with caplog.at_level(logging.DEBUG), misbehaving(behave) as url:
        secret = SecretStr(url)
        send = slack_sender(SlackAddresses(main=secret, credits=secret, by_severity={}))
        with pytest.raises(NotDeliveredError) as refused:
            send(MESSAGE)
    assert refused.value.fault == "unreachable"
    assert refused.value.__cause__ is None
    assert "s3cr3t" not in f"{refused.value!r} {caplog.text}"


def endless(connection: socket.socket) -> None:
    """Take the message, and never end the answer."""
    connection.recv(100_000)
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"o" * 10_000)


def slow(connection: socket.socket) -> None:
    """Take the message, and answer a byte at a time, each soon enough."""
    connection.recv(100_000)
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        for _ in range(1_000_000):
            connection.sendall(b"o")
            threading.Event().wait(0.02)


@pytest.mark.parametrize("behave", [endless, slow], ids=["is endless", "comes a byte at a time"])
def test_an_answer_that_does_not_end_holds_nobody_up(
    behave: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken is not sent again."""
    monkeypatch.setattr("lifecycle.posts.TIMEOUT", timedelta(seconds=0.2))
    with misbehaving(behave) as url:
        send = slack_sender(SlackAddresses(main=SecretStr(url), credits=SecretStr(url), by_severity={}))
        assert send(MESSAGE) == MESSAGE.notification_id


def test_a_case_gives_one_message_for_each_step_of_its_severity(engine: sa.Engine) -> None:
    """Not one for each run; the outcome of each delivery is kept."""
    given_world(engine)
    apply(engine, *(incident("SEV2", f"RUN-{n}", at=n) for n in range(4)), options=WITH_SLACK)
    apply(engine, *(incident("SEV1", f"RUN-{n}", at=n) for n in range(4, 8)), options=WITH_SLACK)
    with PostServer(Answer(500), Answer(429, {"retry-after": "0"})) as slack:
        url = SecretStr(slack.url)
        senders = make_senders(Settings(slack=Slack(url=url)))
        timing = WorkerTiming(
            breaker=NEVER_LEFT_ALONE, notifications=Backoff(tries=4, first=timedelta(0), longest=timedelta(0))
        )
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "DELETE FROM procrastinate_jobs j USING notifications n"
                " WHERE n.id::text = j.args->>'notification_id' AND n.channel <> 'slack'"
            )
        run_jobs(engine, {Channel.SLACK: senders[Channel.SLACK]}, timing=timing, options=WITH_SLACK)
    taken = {json.loads(post.body)["blocks"][0]["block_id"]: post.json for post in slack.posts}
    assert sorted(payload["blocks"][0]["text"]["text"] for payload in taken.values()) == [
        "\N{LARGE RED CIRCLE} SEV1 · Credit spike · BINDER_EXPORT",
        "\N{LARGE YELLOW CIRCLE} SEV2 · Credit spike · BINDER_EXPORT",
    ]
    outcomes = sorted(one["outcome"] for one in rows(engine, tables.deliveries))
    assert outcomes == ["delivered", "delivered", "retry", "retry"]


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        pytest.param("https://files.example/a?b=1", "https://files.example/a?b=1", id="a link"),
        pytest.param("javascript:alert(1)", None, id="no link to a page"),
        pytest.param("https://user:pass@files.example/a", None, id="a link with a login"),
        pytest.param(None, None, id="none"),
    ],
)
def test_the_link_to_artifacts_is_that_of_the_ledger(engine: sa.Engine, link: str | None, shown: str | None) -> None:
    """If it is a plain one."""
    given_world(engine)
    spend(engine, [entry(MESSAGE.created_at, 2480, execution_id="RUN-1", workflow_id="wf1", artifacts_link=link)])
    apply(engine, incident("SEV1"), options=WITH_SLACK)
    notice = row(engine, tables.notifications, channel="slack")
    assert notice["context"]["artifacts_link"] == shown
    assert notice["context"]["run_link"].startswith(f"{WITH_SLACK.public_url}/console/decisions/")


def test_a_run_that_the_ledger_does_not_have_yet_has_no_link(engine: sa.Engine) -> None:
    """The case does not wait for it."""
    given_world(engine)
    apply(engine, incident("SEV1"), options=WITH_SLACK)
    assert row(engine, tables.notifications, channel="slack")["context"]["artifacts_link"] is None


def test_tries_follow_after_five_ten_and_twenty_seconds() -> None:
    """Or when the server says, if that is later."""
    backoff = WorkerTiming().notifications
    waits = [
        backoff.wait_after(Tried(outcome=DeliveryOutcome.RETRY, attempt=attempt)) // timedelta(seconds=1)
        for attempt in range(1, 5)
    ]
    assert waits == [5, 10, 20, 40]
    asked = Tried(outcome=DeliveryOutcome.RETRY, attempt=1, wait=timedelta(minutes=3))
    assert backoff.wait_after(asked) == timedelta(minutes=3)
