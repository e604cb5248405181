"""Slack, signed webhooks and the pager: what goes out, what answers mean, and channels that fail (60.5)."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from config.settings import OnCall, Settings, Slack, Smtp, Webhook
from lifecycle import tables
from lifecycle.channels import Senders, close_senders, make_senders
from lifecycle.jobs import Backoff, WorkerTiming
from lifecycle.kinds import Audience, Channel, Severity, Template
from lifecycle.messages import DeliveryFault, Message
from lifecycle.on_call import build_event
from lifecycle.outages import Breaker
from lifecycle.posts import LONGEST_WAIT, fault_of, retry_after
from lifecycle.slack import build_payload
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.http_server import Answer, PostServer
from tests.lifecycle.worker import NEVER_LEFT_ALONE, OPTIONS, given_block, jobs, run_jobs

NEW_SECRET, OLD_SECRET, STRANGE_SECRET = (
    f"whsec_{b64encode(f'{name} secret of the tests, long enough'.encode()).decode()}" for name in ("new", "old", "no")
)
ROUTING_KEY = "r0ut1ng"
EVERYTHING = replace(OPTIONS, channels=frozenset({Channel.SLACK, Channel.WEBHOOK, Channel.ON_CALL}))
MESSAGE = Message(
    notification_id="00000000-0000-5000-8000-000000000001",
    tenant_id="t1",
    episode_id="00000000-0000-5000-8000-000000000002",
    template=Template.AUTOMATION_BLOCKED,
    audience=Audience.OPS,
    severity=Severity.CRITICAL,
    recipient="ops",
    title="“Sync” is blocked",
    body="The credentials for Gmail are invalid.\n",
    link="https://bw.example/console/tasks?a=1&b=2",
    context={},
    created_at=datetime(2026, 3, 2, 8, tzinfo=UTC),
)


def settings_to(smtp: Smtp | None = None, **servers: PostServer) -> Settings:
    """Settings in which only the named channels are set up."""
    return Settings(
        smtp=smtp or Smtp(port=1),
        slack=Slack(url=SecretStr(servers["slack"].url)) if "slack" in servers else Slack(),
        webhook=Webhook(url=SecretStr(servers["webhook"].url), secrets=[SecretStr(NEW_SECRET), SecretStr(OLD_SECRET)])
        if "webhook" in servers
        else Webhook(),
        on_call=OnCall(url=servers["on_call"].url, routing_key=SecretStr(ROUTING_KEY))
        if "on_call" in servers
        else OnCall(),
    )


@contextmanager
def senders_to(smtp: Smtp | None = None, **servers: PostServer) -> Iterator[Senders]:
    """Senders as the worker makes them; only the named channels are set up."""
    senders = make_senders(settings_to(smtp, **servers))
    try:
        yield senders
    finally:
        close_senders(senders)


def timing(tries: int = 3, breaker: Breaker = NEVER_LEFT_ALONE, first: timedelta = timedelta(0)) -> WorkerTiming:
    """Tries that follow one another at once."""
    return WorkerTiming(breaker=breaker, notifications=Backoff(tries=tries, first=first, longest=first))


def tries_of(engine: sa.Engine, notification_id: str) -> list[tuple[str, str | None]]:
    """Outcome and fault of each try."""
    return [(d["outcome"], d["error_code"]) for d in rows(engine, tables.deliveries, notification_id=notification_id)]


def test_a_block_goes_to_slack_webhook_and_pager_once(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine, options=EVERYTHING)
    with PostServer() as slack, PostServer() as webhook, PostServer() as pager:
        for _ in range(2):
            with senders_to(slack=slack, webhook=webhook, on_call=pager) as senders:
                run_jobs(engine, senders, timing=timing(tries=1), options=EVERYTHING)
            with engine.begin() as connection:
                connection.exec_driver_sql("UPDATE procrastinate_jobs SET status = 'todo'")
    blocked, failed = (
        row(engine, tables.notifications, channel="webhook", template=template)
        for template in ("automation_blocked", "credentials_failed_critical")
    )
    assert sorted(post.json["type"] for post in webhook.posts) == [
        "notification.automation_blocked",
        "notification.credentials_failed_critical",
    ]
    for post in webhook.posts:
        for secret in (NEW_SECRET, OLD_SECRET):
            assert Verifier(secret).verify(post.body, post.headers) == post.json
        with pytest.raises(WebhookVerificationError):
            Verifier(STRANGE_SECRET).verify(post.body, post.headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(NEW_SECRET).verify(post.body.replace(b"Acme", b"Evil") + b" ", post.headers)
        assert post.json["data"]["tenant_id"] == "t1"
        assert post.json["data"]["audience"] == "ops"
    assert {post.headers["webhook-id"] for post in webhook.posts} == {blocked["id"], failed["id"]}
    assert len(slack.posts) == 2
    (page,) = pager.posts
    assert page.json["event_action"] == "trigger"
    assert page.json["dedup_key"] == blocked["episode_id"]
    assert page.json["routing_key"] == ROUTING_KEY
    told = rows(engine, tables.notifications)
    assert {n["status"] for n in told if n["channel"] != "email"} == {"delivered"}
    assert ROUTING_KEY not in str([*told, *rows(engine, tables.deliveries)])


def test_the_pager_ends_what_a_block_began() -> None:
    begun = build_event(MESSAGE, ROUTING_KEY)
    assert begun["payload"]["severity"] == "critical"
    assert begun["payload"]["summary"] == MESSAGE.title
    assert begun["links"] == [{"href": MESSAGE.link, "text": "Open in Breakwater"}]
    ended = build_event(replace(MESSAGE, template=Template.AUTOMATION_UNBLOCKED), ROUTING_KEY)
    assert ended == {"routing_key": ROUTING_KEY, "event_action": "resolve", "dedup_key": begun["dedup_key"]}


def test_slack_gets_blocks_with_a_link_and_no_name_can_mention_anybody() -> None:
    payload = build_payload(replace(MESSAGE, title="<!channel> & *Sync*", body="*x* <https://evil.example|here>"))
    header, section, actions, about = payload["blocks"]
    assert [block["type"] for block in payload["blocks"]] == ["header", "section", "actions", "context"]
    assert header["block_id"] == MESSAGE.notification_id
    for text in (header["text"], section["text"], *about["elements"]):
        assert (text["type"], text["emoji"]) == ("plain_text", False)
    assert actions["elements"][0]["url"] == MESSAGE.link
    assert "&lt;!channel&gt; &amp; *Sync*" in payload["text"]
    assert "<" not in payload["text"]


@given(
    title=st.text(max_size=400),
    body=st.text(max_size=4000),
    severity=st.sampled_from(Severity),
    link=st.none() | st.text(min_size=1, max_size=4000),
)
def test_whatever_a_notice_says_slack_can_take_it(title: str, body: str, severity: Severity, link: str | None) -> None:
    payload = build_payload(replace(MESSAGE, title=title, body=body, severity=severity, link=link))
    for block in payload["blocks"]:
        if block["type"] in ("header", "section"):
            assert 1 <= len(block["text"]["text"]) <= (150 if block["type"] == "header" else 3000)
        assert len(block.get("block_id", "")) <= 255
    assert 1 <= len(payload["blocks"]) <= 50


REFUSALS = [
    pytest.param(Answer(429, {"retry-after": "0"}), [("retry", "busy"), ("delivered", None)], id="too many: again"),
    pytest.param(Answer(500), [("retry", "busy"), ("delivered", None)], id="broken: again"),
    pytest.param(Answer(403), [("retry", "login_refused"), ("delivered", None)], id="forbidden: to be mended"),
    pytest.param(Answer(404), [("retry", "endpoint_gone"), ("delivered", None)], id="gone: an operator may mend it"),
    pytest.param(
        Answer(302, {"location": "http://127.0.0.1:1/"}),
        [("retry", "endpoint_gone"), ("delivered", None)],
        id="elsewhere: not followed",
    ),
    pytest.param(Answer(400, body=b"invalid_payload"), [("failed", "message_refused")], id="refused: for ever"),
]


@pytest.mark.parametrize("channel", [Channel.SLACK, Channel.WEBHOOK, Channel.ON_CALL])
@pytest.mark.parametrize(("answer", "outcomes"), REFUSALS)
def test_an_answer_decides_whether_to_try_again_with_the_same_id(
    engine: sa.Engine, channel: Channel, answer: Answer, outcomes: list[tuple[str, str | None]]
) -> None:
    given_world(engine)
    given_block(engine, options=replace(OPTIONS, channels=frozenset({channel})))
    notification = row(engine, tables.notifications, channel=channel, template="automation_blocked")
    with engine.begin() as connection:
        connection.execute(
            sa.text("DELETE FROM procrastinate_jobs WHERE args->>'notification_id' IS DISTINCT FROM :id"),
            {"id": notification["id"]},
        )
    with PostServer(answer) as server, senders_to(**{channel.value: server}) as senders:  # type: ignore[arg-type]
        run_jobs(engine, senders, timing=timing())
    assert tries_of(engine, notification["id"]) == outcomes
    assert len(server.posts) == len(outcomes)
    keys: list[Any] = [
        post.headers.get("webhook-id") or post.json.get("dedup_key") or post.json["blocks"][0]["block_id"]
        for post in server.posts
    ]
    assert len(set(keys)) == 1
    assert "invalid_payload" not in str([*rows(engine, tables.deliveries), *rows(engine, tables.notifications)])


def test_a_server_that_names_a_time_is_left_alone_until_then(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine, options=replace(OPTIONS, channels=frozenset({Channel.ON_CALL})))
    with PostServer(Answer(429, {"retry-after": "1800"})) as server, senders_to(on_call=server) as senders:
        run_jobs(engine, senders, timing=timing(tries=1000, first=timedelta(seconds=1)))
    with engine.connect() as connection:
        wait = connection.exec_driver_sql(
            "SELECT scheduled_at - now() FROM procrastinate_jobs j JOIN notifications n"
            " ON n.id::text = j.args->>'notification_id' WHERE n.channel = 'on_call'"
        ).scalar_one()
    assert timedelta(minutes=29) < wait <= timedelta(minutes=30)


def test_a_channel_that_is_no_longer_set_up_is_tried_until_the_last(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine, options=EVERYTHING)
    with senders_to() as senders:
        run_jobs(engine, senders, timing=timing(tries=2))
    page = row(engine, tables.notifications, channel="on_call")
    assert page["status"] == "failed"
    assert tries_of(engine, page["id"]) == [("retry", "not_set_up"), ("failed", "not_set_up")]


def test_a_channel_that_keeps_failing_is_left_alone_and_reported_once_on_others(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine, ("t1", "v1"), ("t2", "v2"), options=EVERYTHING)
    breaker = Breaker(failures=3, first=timedelta(hours=1), longest=timedelta(hours=1))
    with PostServer(*[Answer(500)] * 99) as slack, PostServer() as webhook, PostServer() as pager:
        with senders_to(slack=slack, webhook=webhook, on_call=pager) as senders:
            one_by_one(engine, senders, breaker, Channel.SLACK)
            assert len(slack.posts) == 3
            (outage,) = rows(engine, tables.channel_outages, channel="slack")
            assert (outage["channel"], outage["failures"]) == ("slack", 3)
            reports = rows(engine, tables.notifications, template="channel_failing")
            assert sorted((n["channel"], n["status"]) for n in reports) == [
                ("email", "pending"),
                ("in_app", "delivered"),
                ("on_call", "delivered"),
                ("webhook", "delivered"),
            ]
            assert {n["title"] for n in reports} == {"Notifications by Slack fail"}
            # The pause is over: one message tries it, in vain, and the outage is the same.
            end_pause(engine)
            one_by_one(engine, senders, breaker, Channel.SLACK)
            assert len(slack.posts) == 4
            assert len(rows(engine, tables.notifications, template="channel_failing")) == 4
        with PostServer() as works, senders_to(slack=works) as senders:
            end_pause(engine)
            one_by_one(engine, senders, breaker, Channel.SLACK)
            assert len(works.posts) == 4
    assert rows(engine, tables.channel_outages, channel="slack") == []
    assert {n["status"] for n in rows(engine, tables.notifications, channel="slack")} == {"delivered"}


def one_by_one(engine: sa.Engine, senders: Senders, breaker: Breaker, channel: Channel) -> None:
    """Run the jobs of a channel, each once."""
    with engine.begin() as connection:
        ids = connection.execute(
            sa.text(
                "SELECT j.id FROM procrastinate_jobs j JOIN notifications n ON n.id::text = j.args->>'notification_id'"
                " WHERE n.channel = :channel AND j.status = 'todo' ORDER BY j.id"
            ),
            {"channel": channel},
        ).scalars()
        own = list(ids)
        connection.exec_driver_sql("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 day'")
    for id_ in own:
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE id = :id"), {"id": id_})
        run_jobs(engine, senders, timing=timing(99, breaker, timedelta(hours=2)), options=EVERYTHING)


def end_pause(engine: sa.Engine) -> None:
    """The time has come to try the channel again."""
    with engine.begin() as connection:
        connection.execute(sa.update(tables.channel_outages).values(left_alone_until=sa.func.now()))


def test_a_message_that_is_refused_says_nothing_of_its_channel(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine, options=EVERYTHING)
    breaker = Breaker(failures=1, first=timedelta(hours=1))
    with PostServer(*[Answer(400)] * 99) as slack, senders_to(slack=slack) as senders:
        one_by_one(engine, senders, breaker, Channel.SLACK)
    assert rows(engine, tables.channel_outages) == []
    assert len(slack.posts) == 2


def test_a_pause_grows_to_its_limit() -> None:
    breaker = Breaker(failures=3, first=timedelta(seconds=30), longest=timedelta(minutes=15))
    pauses = [breaker.pause_after(failures) // timedelta(seconds=1) for failures in range(10)]
    assert pauses == [0, 0, 0, 30, 60, 120, 240, 480, 900, 900]


def test_what_was_cancelled_is_not_sent_and_what_is_early_waits(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine, options=replace(OPTIONS, channels=frozenset({Channel.SLACK, Channel.ON_CALL})))
    with engine.begin() as connection:
        notices = sa.update(tables.notifications)
        is_slack = tables.notifications.c.channel == Channel.SLACK
        connection.execute(notices.where(is_slack).values(status="cancelled"))
        later = sa.func.clock_timestamp() + timedelta(hours=1)
        connection.execute(notices.where(~is_slack).values(not_before=later))
    with PostServer() as slack, PostServer() as pager, senders_to(slack=slack, on_call=pager) as senders:
        run_jobs(engine, senders, timing=timing())
    assert slack.posts == pager.posts == []
    assert {n["status"] for n in rows(engine, tables.notifications, channel="slack")} == {"cancelled"}
    assert rows(engine, tables.deliveries) == []
    assert sorted(jobs(engine, "deliver_notification")) == ["succeeded"] * 2 + ["todo"] * 5


def test_an_in_app_notice_that_waited_is_delivered_by_its_job(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.notifications)
            .where(tables.notifications.c.channel == "email", tables.notifications.c.audience == "client")
            .values(channel="in_app", status="pending", delivered_at=None)
        )
    with senders_to() as senders:
        run_jobs(engine, senders, timing=timing(tries=1))
    waited = rows(engine, tables.notifications, channel="in_app", audience="client")
    assert {n["status"] for n in waited} == {"delivered"}
    assert None not in {n["delivered_at"] for n in waited}


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("120", timedelta(minutes=2), id="seconds"),
        pytest.param("99999999999999", LONGEST_WAIT, id="for ever"),
        pytest.param("Mon, 02 Mar 2026 08:00:30 GMT", timedelta(seconds=30), id="a date"),
        pytest.param("Mon, 02 Mar 2026 07:00:00 GMT", timedelta(0), id="a date that is past"),
        pytest.param("Mon, 02 Mar 2036 07:00:00 GMT", LONGEST_WAIT, id="a date that is far"),
        pytest.param("soon", None, id="no time at all"),
        pytest.param("-5", None, id="less than nothing"),
        pytest.param("²", None, id="a strange digit"),
        pytest.param("Mon, 02 Mar 9999999999999 08:00:00 GMT", None, id="a year beyond all numbers"),
        pytest.param("Mon, 02 Mar 2026 08:00:00 +99999999999999", None, id="a time zone beyond all numbers"),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone(value: str | None, wait: timedelta | None) -> None:
    assert retry_after(value, datetime(2026, 3, 2, 8, tzinfo=UTC)) == wait


@given(st.text())
def test_any_retry_after_is_a_bounded_wait_or_none(value: str) -> None:
    wait = retry_after(value, datetime(2026, 3, 2, 8, tzinfo=UTC))
    assert wait is None or timedelta(0) <= wait <= LONGEST_WAIT


@given(st.integers(100, 599))
def test_every_status_is_taken_or_a_fault(status: int) -> None:
    fault = fault_of(status)
    assert (fault is None) == (200 <= status < 300)
    if status >= 500 or status == 429:
        assert fault is DeliveryFault.BUSY


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Slack(url=SecretStr("http://hooks.example/x")), id="Slack without encryption"),
        pytest.param(lambda: Slack(url=SecretStr("https:///x")), id="an address without a host"),
        pytest.param(lambda: OnCall(url="ftp://pager.example"), id="a pager by another protocol"),
        pytest.param(lambda: Webhook(url=SecretStr("https://a.example")), id="a webhook without a secret"),
        pytest.param(lambda: Webhook(secrets=[SecretStr("whsec_c2hvcnQ=")]), id="a short secret"),
        pytest.param(lambda: Webhook(secrets=[SecretStr("whsec_no base64 at all, it is")]), id="a secret that is none"),
    ],
)
def test_settings_that_are_not_safe_are_refused_without_quoting_secrets(make: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        make()
    assert "hooks.example" not in str(refused.value)
    assert "c2hvcnQ" not in str(refused.value)
