"""What must reach somebody after the commit, written inside the transaction (30.3).

A notification or event is a row of its own, unique by what it says to whom; a job of the queue, deferred on the
same connection, delivers it. So both exist after the commit or neither does, and a repeat adds nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import procrastinate
import sqlalchemy as sa
from procrastinate.types import JSONValue
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.ids import stable_id
from lifecycle.kinds import Audience, Channel, NotificationStatus, Severity, Template
from lifecycle.storm import cause_id
from lifecycle.texts import render_body, render_title

NOTIFICATIONS_QUEUE = "notifications"
EVENTS_QUEUE = "events"
SCHEDULES_QUEUE = "schedules"
DELIVER_NOTIFICATION = "deliver_notification"
PUBLISH_EVENT = "publish_event"

#: Defers only, always on the caller's connection; it has no pool and is never opened.
_queue = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One person or group on one channel."""

    channel: Channel
    audience: Audience
    #: An email address; for in-app a client's user id, or `ops` or `platform_admin`. A user may be called `ops`:
    #: who an in-app address means takes its audience too.
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message to all who shall have it, once in an episode."""

    template: Template
    severity: Severity
    #: What it is about: a block, a blacklisting. A second notice of the same episode is not sent.
    episode_id: str
    decision_id: str | None
    link: str
    context: Mapping[str, Any]
    recipients: tuple[Recipient, ...]
    #: How long what clients are told waits, so that it can be taken back; others are told at once.
    client_delay: timedelta = timedelta(0)
    #: What it is about, in a word of ours or an id: notices of one tenant that say the same of it may be told as one.
    cause: str | None = None


def put_notices(connection: sa.Connection, *, tenant_id: str | None, notices: list[Notice]) -> int:
    """Write notifications and the jobs that deliver them; returns how many are new.

    In-app rows that don't wait are their own delivery and need no job. One that is cancelled before its job comes
    is not delivered.
    """
    rows = sorted(
        (row for notice in notices for row in _rows(tenant_id, notice)),
        key=lambda row: row["dedup_key"],  # one order for everybody: two transactions can't wait for each other
    )
    if not rows:
        return 0
    new = connection.execute(_PUT_NOTIFICATIONS, rows).all()
    waiting: dict[datetime | None, list[dict[str, JSONValue]]] = {}
    for row in sorted(new, key=lambda row: str(row.id)):
        if row.status == NotificationStatus.PENDING:
            waiting.setdefault(row.not_before, []).append({"notification_id": row.id})
    for not_before, jobs in waiting.items():
        _queue.configure_task(
            DELIVER_NOTIFICATION,
            queue=NOTIFICATIONS_QUEUE,
            schedule_at=not_before,
            connection=_driver_connection(connection),
        ).batch_defer(*jobs)
    return len(new)


def _rows(tenant_id: str | None, notice: Notice) -> list[dict[str, Any]]:
    context = {**notice.context, "link": notice.link}
    title = render_title(notice.template, context)
    context["title"] = title
    body = render_body(notice.template, context)
    cause = cause_id(tenant_id, notice.template, notice.cause)
    rows = {}
    for recipient in notice.recipients:
        key = f"{notice.episode_id}:{notice.template}:{_destination(recipient)}"
        delay = notice.client_delay if recipient.audience is Audience.CLIENT else timedelta(0)
        at_once = recipient.channel is Channel.IN_APP and not delay
        rows[key] = {
            "id": stable_id("notification", key),
            "tenant_id": tenant_id,
            "template": notice.template,
            "channel": recipient.channel,
            "audience": recipient.audience,
            "severity": notice.severity,
            "recipient": recipient.address,
            "dedup_key": key,
            "episode_id": notice.episode_id,
            "decision_id": notice.decision_id,
            "title": title,
            "body": body,
            "context": context,
            "link": notice.link,
            "cause": cause,
            "status": NotificationStatus.DELIVERED if at_once else NotificationStatus.PENDING,
            "at_once": at_once,
            "delay": delay or None,
        }
    return list(rows.values())


def _destination(recipient: Recipient) -> str:
    """The recipient in a deduplication key: a mailbox is one whoever is meant, a user id is not a group's name."""
    if recipient.channel is Channel.IN_APP:
        return f"{recipient.channel}:{recipient.audience}:{recipient.address}"
    return f"{recipient.channel}:{recipient.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEvent:
    """Something that happened, for other systems and for the monitor itself."""

    event_id: str
    #: The topic that it goes to, and the type that it has.
    type: str
    tenant_id: str | None
    #: Events of one subject are published one after another, in the order of their commits.
    subject: str
    #: The workflow: it decides the partition.
    message_key: str
    occurred_at: datetime
    payload: Mapping[str, Any]


def put_event(connection: sa.Connection, event: OutboxEvent) -> None:
    """Write an event and the job that publishes it; the same id again adds nothing.

    The caller holds the subject's row lock, so the jobs' order is the order of the commits.
    """
    new = connection.execute(
        _PUT_EVENT,
        {
            "event_id": event.event_id,
            "type": event.type,
            "tenant_id": event.tenant_id,
            "subject": event.subject,
            "message_key": event.message_key,
            "occurred_at": event.occurred_at,
            "payload": dict(event.payload),
        },
    ).first()
    if new is not None:
        _queue.configure_task(
            PUBLISH_EVENT,
            queue=EVENTS_QUEUE,
            lock=f"events:{event.subject}",
            connection=_driver_connection(connection),
        ).defer(event_id=event.event_id)


def put_job(connection: sa.Connection, *, name: str, queue: str, lock: str) -> None:
    """Have the worker do something after the commit that takes no arguments; one at a time of those with a lock."""
    _queue.configure_task(name, queue=queue, lock=lock, connection=_driver_connection(connection)).defer()


def _driver_connection(connection: sa.Connection) -> Any:
    """The psycopg connection under a SQLAlchemy one: the job is part of its transaction."""
    return connection.connection.driver_connection


_PUT_NOTIFICATIONS = (
    insert(tables.notifications)
    .values(
        delivered_at=sa.case((sa.bindparam("at_once", type_=sa.Boolean), sa.func.now())),
        not_before=sa.func.clock_timestamp() + sa.bindparam("delay", type_=sa.Interval),
    )
    .on_conflict_do_nothing(index_elements=["dedup_key"])
    .returning(tables.notifications.c.id, tables.notifications.c.status, tables.notifications.c.not_before)
)
_PUT_EVENT = (
    insert(tables.outbox_events)
    .on_conflict_do_nothing(index_elements=["event_id"])
    .returning(tables.outbox_events.c.event_id)
)
