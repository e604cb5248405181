"""A storm of notices: what is alike is told as one, what is silenced or told elsewhere is not (60.5)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import tables
from lifecycle.delivery import Delivering, Tried, deliver_notification
from lifecycle.kinds import Audience, Channel, Severity, Template
from lifecycle.messages import DeliveryFault, Message, NotDeliveredError
from lifecycle.options import LifecycleOptions
from lifecycle.outages import Breaker
from lifecycle.outbox import Notice, Recipient, put_notices
from lifecycle.slack import build_payload
from lifecycle.storm import StormPolicy, cause_id, system_id, wait_for_room
from lifecycle.texts import MAX_LISTED, render_html, told_together
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.test_slack_credits import CONTEXT
from tests.lifecycle.worker import PATIENT, jobs, run_jobs

INTERVAL = timedelta(minutes=5)
CHANNEL = {"channel": "Slack", "fault": "busy", "since": "now"}


class Inbox:
    """Takes messages as a sender does, for every channel; `faults` are used up first."""

    def __init__(self, *faults: DeliveryFault) -> None:
        """Empty."""
        self.taken: list[Message] = []
        self._faults = list(faults)

    def __call__(self, message: Message) -> str:
        """Take it."""
        if self._faults:
            raise NotDeliveredError(self._faults.pop(0))
        self.taken.append(message)
        return message.notification_id


def put(
    engine: sa.Engine,
    episode: str,
    *,
    cause: str | None = "crm",
    tenant_id: str = "t1",
    template: Template = Template.WORKFLOW_BLACKLISTED,
    severity: Severity = Severity.WARNING,
    channel: Channel = Channel.EMAIL,
    address: str = "ops@breakwater.example",
    audience: Audience = Audience.OPS,
    context: dict[str, Any] | None = None,
) -> str:
    """Write one notice; its id."""
    known = {"workflow_name": f"Sync {episode}", "tenant_name": "Acme", "stuck_count": 5, "window": "24 hours"}
    episode_id = f"00000000-0000-5000-8000-{int(episode):012}"
    with engine.begin() as connection:
        put_notices(
            connection,
            tenant_id=tenant_id,
            notices=[
                Notice(
                    template=template,
                    severity=severity,
                    episode_id=episode_id,
                    decision_id=None,
                    link="https://bw.example/console",
                    context={**known, **(context or {})},
                    recipients=(Recipient(channel=channel, audience=audience, address=address),),
                    cause=cause,
                )
            ],
        )
    return str(row(engine, tables.notifications, episode_id=episode_id)["id"])


def deliver(engine: sa.Engine, inbox: Inbox, *ids: str, policy: StormPolicy | None = None) -> list[Tried | None]:
    """One try of each, in order."""
    delivering = Delivering(
        engine=engine,
        senders=dict.fromkeys(Channel, inbox),
        options=LifecycleOptions(),
        breaker=Breaker(failures=1000),
        tries=5,
        storm=policy or StormPolicy(),
    )
    return [deliver_notification(delivering, id_) for id_ in ids]


def let_pass(engine: sa.Engine, time: timedelta = INTERVAL) -> None:
    """As if all that was told had been told so much earlier."""
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.notifications).values(delivered_at=tables.notifications.c.delivered_at - time)
        )


def statuses(engine: sa.Engine) -> list[str]:
    """Of all notices, as they were written."""
    with engine.connect() as connection:
        found = tables.notifications.c
        return list(connection.execute(sa.select(found.status).order_by(found.episode_id)).scalars())


def test_the_first_of_a_cause_is_told_at_once_and_the_others_as_one(engine: sa.Engine) -> None:
    """When the interval is over; the one says how many there are, and names them."""
    given_world(engine)
    inbox = Inbox()
    ids = [put(engine, str(number)) for number in range(6)]
    first, *others = deliver(engine, inbox, *ids)
    assert first is not None
    assert first.outcome == "delivered"
    for held in others:
        assert held is not None
        assert held.outcome is None
        assert held.wait is not None
        assert timedelta(0) < held.wait <= INTERVAL
    let_pass(engine)
    deliver(engine, inbox, *ids)
    _, digest = inbox.taken
    assert digest.title.endswith(", and 4 more")
    assert [f"Sync {number}" in digest.body for number in range(6)] == [False, True, True, True, True, True]
    assert statuses(engine) == ["delivered", "delivered", *4 * ["folded"]]
    assert {one["folded_into"] for one in rows(engine, tables.notifications, status="folded")} == {ids[1]}
    assert len(rows(engine, tables.deliveries)) == 2


def test_a_worker_leaves_what_waits_until_its_time(engine: sa.Engine) -> None:
    """The queue has its job, and no try of it was recorded."""
    given_world(engine)
    inbox = Inbox()
    for number in range(3):
        put(engine, str(number))
    run_jobs(engine, {Channel.EMAIL: inbox}, timing=PATIENT)
    assert len(inbox.taken) == 1
    assert sorted(jobs(engine, "deliver_notification")) == ["succeeded", "todo", "todo"]
    assert len(rows(engine, tables.deliveries)) == 1
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")
    let_pass(engine)
    run_jobs(engine, {Channel.EMAIL: inbox}, timing=PATIENT)
    assert [len(message.others) for message in inbox.taken] == [0, 1]
    assert jobs(engine, "deliver_notification") == 3 * ["succeeded"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"cause": "mail"}, id="another cause"),
        pytest.param({"cause": None}, id="nothing that it shares with others"),
        pytest.param({"tenant_id": "t2"}, id="another tenant"),
        pytest.param({"template": Template.CHANNEL_FAILING, "context": CHANNEL}, id="other words"),
        pytest.param({"severity": Severity.CRITICAL}, id="another severity"),
        pytest.param({"address": "second@breakwater.example"}, id="another recipient"),
        pytest.param({"channel": Channel.SLACK}, id="another channel"),
    ],
)
def test_what_is_not_alike_is_told_by_itself(engine: sa.Engine, other: dict[str, Any]) -> None:
    """At once."""
    given_world(engine)
    inbox = Inbox()
    deliver(engine, inbox, put(engine, "1"), put(engine, "2", **other))
    assert len(inbox.taken) == 2


@pytest.mark.parametrize("channel", [Channel.WEBHOOK, Channel.ON_CALL])
def test_machines_are_told_everything(engine: sa.Engine, channel: Channel) -> None:
    """They group by themselves, and a pager must hear of an end."""
    given_world(engine)
    inbox = Inbox()
    deliver(engine, inbox, *(put(engine, str(number), channel=channel) for number in range(3)))
    assert len(inbox.taken) == 3


def test_more_than_ten_credit_cases_become_one_summary(engine: sa.Engine) -> None:
    """Whatever tenants and scenarios they are of; the eleventh begins it."""
    given_world(engine)
    inbox = Inbox()
    ids = [
        put(
            engine,
            str(number),
            cause=f"scenario {number}",
            tenant_id=f"t{number % 2 + 1}",
            template=Template.CREDIT_CASE,
            channel=Channel.SLACK,
            address="ops",
            context={**CONTEXT, "headline": f"SEV1 · Credit spike · Export {number}"},
        )
        for number in range(14)
    ]
    deliver(engine, inbox, *ids)
    assert [message.others for message in inbox.taken] == 10 * [()]
    let_pass(engine)
    deliver(engine, inbox, *ids)
    assert len(inbox.taken) == 11
    summary = build_payload(inbox.taken[-1])
    assert summary["blocks"][0]["text"]["text"].endswith("Export 10 · Acme, and 3 more")
    assert all(f"Export {number}" in summary["blocks"][1]["text"]["text"] for number in range(11, 14))


def test_a_tenant_is_not_told_of_without_end(engine: sa.Engine) -> None:
    """Beyond its cap notices of all kinds wait together; other tenants are not touched."""
    given_world(engine)
    inbox, policy = Inbox(), StormPolicy(of_a_tenant=3)
    ids = [put(engine, str(number), cause=None) for number in range(8)]
    deliver(engine, inbox, *ids, put(engine, "99", cause=None, tenant_id="t2"), policy=policy)
    assert len(inbox.taken) == 4
    let_pass(engine)
    deliver(engine, inbox, *ids, policy=policy)
    assert len(inbox.taken[-1].others) == 4
    assert statuses(engine).count("folded") == 4


def test_many_workers_tell_one_of_a_cause(engine: sa.Engine) -> None:
    """They judge notices that are alike one after another."""
    given_world(engine)
    inbox = Inbox()
    ids = [put(engine, str(number)) for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda id_: deliver(engine, inbox, id_), ids))
    assert len(inbox.taken) == 1
    let_pass(engine)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda id_: deliver(engine, inbox, id_), ids))
    assert [len(message.others) for message in inbox.taken] == [0, 10]


def test_a_summary_that_is_not_taken_has_told_nobody(engine: sa.Engine) -> None:
    """Those that it would have told of are told by the next try, with what came meanwhile."""
    given_world(engine)
    inbox = Inbox()
    ids = [put(engine, str(number)) for number in range(3)]
    deliver(engine, inbox, *ids)
    let_pass(engine)
    broken = Inbox(DeliveryFault.BUSY)
    deliver(engine, broken, ids[1])
    assert statuses(engine) == ["delivered", "pending", "pending"]
    deliver(engine, inbox, ids[1])
    assert [len(message.others) for message in inbox.taken] == [0, 1]


def silence(engine: sa.Engine, expires: timedelta = timedelta(hours=1), **matcher: str) -> str:
    """A silence of what matches."""
    with engine.begin() as connection:
        return str(
            connection.execute(
                sa.insert(tables.notice_silences)
                .values(
                    reason="Maintenance",
                    created_by="u9",
                    created_at=sa.func.now() - timedelta(days=1),
                    expires_at=sa.func.now() + expires,
                    **matcher,
                )
                .returning(tables.notice_silences.c.id)
            ).scalar_one()
        )


@pytest.mark.parametrize(
    ("matcher", "told"),
    [
        pytest.param({"tenant_id": "t1"}, False, id="of its tenant"),
        pytest.param({"template": "workflow_blacklisted"}, False, id="of what it says"),
        pytest.param({"channel": "email"}, False, id="of its channel"),
        pytest.param({"severity": "warning"}, False, id="of its severity"),
        pytest.param({"tenant_id": "t1", "severity": "warning"}, False, id="of all that it names"),
        pytest.param({"tenant_id": "t1", "severity": "critical"}, True, id="of one thing that it names alone"),
        pytest.param({"tenant_id": "t2"}, True, id="of another tenant"),
        pytest.param({"channel": "slack"}, True, id="of another channel"),
    ],
)
def test_a_silence_mutes_what_matches_all_that_it_names(engine: sa.Engine, matcher: dict[str, str], told: bool) -> None:
    """And the notice says which one it was."""
    given_world(engine)
    inbox = Inbox()
    silence_id = silence(engine, **matcher)
    deliver(engine, inbox, put(engine, "1"))
    assert bool(inbox.taken) == told
    if not told:
        assert row(engine, tables.notifications)["silence_id"] == silence_id
        assert statuses(engine) == ["muted"]


def test_a_silence_that_is_over_mutes_nothing(engine: sa.Engine) -> None:
    """Expired or ended."""
    given_world(engine)
    inbox = Inbox()
    silence(engine, expires=-timedelta(minutes=1), tenant_id="t1")
    ended = silence(engine, tenant_id="t1")
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.notice_silences)
            .where(tables.notice_silences.c.id == ended)
            .values(ended_at=sa.func.now(), ended_by="u9")
        )
    deliver(engine, inbox, put(engine, "1"))
    assert len(inbox.taken) == 1


def given_incident(engine: sa.Engine, system_key: str) -> str:
    """A provider's incident that is open."""
    with engine.begin() as connection:
        return str(
            connection.execute(
                sa.insert(tables.provider_incidents)
                .values(system_key=system_key, began_at=sa.func.now(), last_failure_at=sa.func.now(), tenant_count=5)
                .returning(tables.provider_incidents.c.id)
            ).scalar_one()
        )


@pytest.mark.parametrize(
    ("systems", "audience", "told"),
    [
        pytest.param(["crm"], Audience.OPS, False, id="of its system alone: muted"),
        pytest.param(["crm", "mail"], Audience.OPS, True, id="of another system too: told"),
        pytest.param(["mail"], Audience.OPS, True, id="of another system: told"),
        pytest.param([], Audience.OPS, True, id="of no system, by hand: told"),
        pytest.param(["crm"], Audience.CLIENT, True, id="to clients: the guard decides"),
    ],
)
def test_children_of_a_providers_incident_are_muted_and_linked(
    engine: sa.Engine, systems: list[str], audience: Audience, told: bool
) -> None:
    """The incident itself was told."""
    given_world(engine)
    inbox = Inbox()
    incident_id = given_incident(engine, "crm")
    blocked = put(
        engine,
        "1",
        template=Template.AUTOMATION_BLOCKED,
        audience=audience,
        cause=None,
        context={
            "system_ids": [system_id(key) for key in systems],
            "systems": systems,
            "automation_name": "Sync",
            "version": 1,
            "since": "now",
            "reason": "x",
        },
    )
    deliver(engine, inbox, blocked)
    assert bool(inbox.taken) == told
    assert row(engine, tables.notifications)["incident_id"] == (None if told else incident_id)


NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes", "limit", "wait"),
    [
        pytest.param([], 1, None, id="nothing was told"),
        pytest.param([1], 1, 4, id="one was told a minute ago"),
        pytest.param([5], 1, None, id="one was told just so long ago"),
        pytest.param([1, 2], 3, None, id="there is room for a third"),
        pytest.param([1, 2, 4], 3, 1, id="the oldest makes room first"),
        pytest.param([1, 2, 3, 4], 2, 3, id="more than the limit were told"),
    ],
)
def test_how_long_until_there_is_room(minutes: list[int], limit: int, wait: int | None) -> None:
    """As if each of those told left the interval in turn."""
    told = [NOW - timedelta(minutes=minute) for minute in minutes]
    expected = None if wait is None else timedelta(minutes=wait)
    assert wait_for_room(told, limit, INTERVAL, NOW) == expected


@given(st.lists(st.timedeltas(timedelta(0), timedelta(minutes=20)), max_size=30), st.integers(1, 10))
def test_after_the_wait_there_is_room_and_not_before(ages: list[timedelta], limit: int) -> None:
    """For one more within the interval."""

    def within(moment: datetime) -> int:
        return sum(NOW - age > moment - INTERVAL for age in ages)

    wait = wait_for_room([NOW - age for age in ages], limit, INTERVAL, NOW)
    if wait is None:
        assert within(NOW) < limit
    else:
        assert within(NOW + wait) < limit <= within(NOW + wait - timedelta(microseconds=1))


@given(st.text(max_size=300), st.lists(st.text(max_size=300), max_size=40))
def test_a_summary_is_bounded_and_says_how_many(title: str, others: list[str]) -> None:
    """However long the titles are."""
    told, body = told_together(title, "x\n", tuple(others))
    if others:
        assert len(told) <= 200
        assert told.endswith(f"and {len(others)} more")
        assert body.count("\n- ") == min(len(others), MAX_LISTED + 1)
    else:
        assert (told, body) == (title, "x\n")


def test_a_summary_is_listed_in_html_and_names_are_escaped() -> None:
    """As in the text."""
    known = {"workflow_name": "Sync", "tenant_name": "Acme", "stuck_count": 5, "window": "24 hours"}
    context = {**known, "link": "https://bw.example", "title": "x", "others": ["<b>Sync 2</b>"]}
    assert "<li>&lt;b&gt;Sync 2&lt;/b&gt;</li>" in render_html(Template.WORKFLOW_BLACKLISTED, context)


def test_causes_of_tenants_and_templates_are_apart() -> None:
    """And what has no cause is alone."""
    made: list[Callable[[], str | None]] = [
        lambda: cause_id("t1", Template.SILENCE, "crm"),
        lambda: cause_id("t2", Template.SILENCE, "crm"),
        lambda: cause_id(None, Template.SILENCE, "crm"),
        lambda: cause_id("t1", Template.ARCHIVED, "crm"),
    ]
    assert len({make() for make in made}) == len(made)
    assert cause_id("t1", Template.SILENCE, None) is None
