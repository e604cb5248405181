"""Exactly once in effect: the process is killed between any two steps of a delivery, for each channel (30.3).

A child process delivers and kills itself (SIGKILL) at its n-th step (`killed_at_a_step`); n counts up until one lives
to the end. Steps are also the moments before and after the message is handed over.
Then the delivery is made again, twice, as the queue does with jobs of the dead.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli.embedded.smtp import SmtpSink
from config.settings import Settings, Smtp
from lifecycle import tables
from lifecycle.kinds import Channel
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.http_server import PostServer
from tests.lifecycle.killed_at_a_step import Steps, count_steps, deliver, lives, publish
from tests.lifecycle.test_channels import settings_to
from tests.lifecycle.worker import OPTIONS, given_block

#: More steps than any delivery has.
_MANY = 60


def given_one(engine: sa.Engine, channel: Channel) -> str:
    """A notification that waits on a channel."""
    given_world(engine)
    given_block(engine, options=replace(OPTIONS, channels=frozenset({channel})))
    wanted = {"recipient": "ada@acme.example"} if channel is Channel.EMAIL else {}
    return str(row(engine, tables.notifications, channel=channel, template="automation_blocked", **wanted)["id"])


def send_again(engine: sa.Engine, notification_id: str) -> None:
    """The same message as if it had never been delivered: for the next step."""
    with engine.begin() as connection:
        connection.execute(sa.delete(tables.deliveries))
        connection.execute(
            sa.update(tables.notifications)
            .where(tables.notifications.c.id == notification_id)
            .values(status="pending", delivered_at=None)
        )


@contextmanager
def receiver(channel: Channel) -> Iterator[tuple[Settings, Callable[[], list[str]]]]:
    """A real server of a channel: settings that lead to it, and the keys of what has arrived."""
    if channel is Channel.EMAIL:
        with SmtpSink() as sink:
            smtp = Smtp(host=sink.host, port=sink.port, sender="noreply@breakwater.example")
            yield settings_to(smtp), lambda: [str(mail.message["Message-ID"]) for mail in sink.mails]
        return
    with PostServer() as server:

        def keys() -> list[str]:
            return [
                post.headers.get("webhook-id") or post.json.get("dedup_key") or post.json["blocks"][0]["block_id"]
                for post in server.posts
            ]

        yield settings_to(**{channel.value: server}), keys  # type: ignore[arg-type]


@pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.SLACK, Channel.WEBHOOK, Channel.ON_CALL])
def test_killed_at_any_step_a_message_arrives_and_a_repeat_is_the_same_message(
    engine: sa.Engine, channel: Channel
) -> None:
    notification_id = given_one(engine, channel)
    steps_with_repeats = []
    for last in range(1, _MANY):
        send_again(engine, notification_id)
        with receiver(channel) as (settings, keys):
            lived = lives(engine.url, last, deliver, settings, notification_id)
            for _ in range(2):
                deliver(engine, Steps(None), settings, notification_id)
            arrived = keys()
        assert 1 <= len(arrived) <= 2
        assert len(set(arrived)) == 1
        if len(arrived) == 2:
            steps_with_repeats.append(last)
        assert row(engine, tables.notifications, id=notification_id)["status"] == "delivered"
        deliveries = rows(engine, tables.deliveries, notification_id=notification_id)
        assert [(d["attempt"], d["outcome"]) for d in deliveries] == [(1, "delivered")]
        if lived:
            break
    else:
        pytest.fail("a delivery has more steps than were tried")
    assert last > 15
    # Only between the server's acceptance and our commit, which are neighbouring steps.
    assert steps_with_repeats == list(range(steps_with_repeats[0], steps_with_repeats[-1] + 1))
    names = names_of_steps(engine, channel, notification_id)
    assert names[steps_with_repeats[0] - 1] == "after it is sent"
    assert names[steps_with_repeats[-1] - 1] == "commit begins"
    assert names[steps_with_repeats[-1] :] == ["transaction is over"]


def names_of_steps(engine: sa.Engine, channel: Channel, notification_id: str) -> list[str]:
    """What a whole delivery does, step by step."""
    send_again(engine, notification_id)
    with receiver(channel) as (settings, _):
        return count_steps(engine.url, None, deliver, settings, notification_id).names


def test_an_event_is_published_again_with_the_same_id_only_when_its_mark_was_not_committed(
    engine: sa.Engine, tmp_path: Path
) -> None:
    given_world(engine)
    given_block(engine)
    event_id = str(row(engine, tables.outbox_events, type="automation_status_changed")["event_id"])
    repeats = []
    for last in range(1, _MANY):
        topic = tmp_path / str(last)
        topic.touch()
        with engine.begin() as connection:
            connection.execute(sa.update(tables.outbox_events).values(published_at=None))
        lived = lives(engine.url, last, publish, event_id, topic)
        for _ in range(2):
            publish(engine, Steps(None), event_id, topic)
        arrived = topic.read_text().split()
        assert 1 <= len(arrived) <= 2
        assert set(arrived) == {event_id}
        repeats += [last] if len(arrived) == 2 else []
        if lived:
            break
    else:
        pytest.fail("publishing has more steps than were tried")
    assert repeats == list(range(repeats[0], repeats[-1] + 1))
    assert repeats[-1] == last - 2  # the commit's beginning; after it comes the transaction's end alone


def test_in_app_notices_are_there_with_the_commit_and_need_no_delivery(engine: sa.Engine) -> None:
    given_world(engine)
    given_block(engine)
    in_app = rows(engine, tables.notifications, channel="in_app")
    assert len(in_app) == 3
    assert {n["status"] for n in in_app} == {"delivered"}
    given_block(engine)
    assert len(rows(engine, tables.notifications, channel="in_app")) == 3
