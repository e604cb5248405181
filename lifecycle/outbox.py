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
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.sql.dml import ReturningInsert

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


def put_notices(connection: sa.Connection, *, tenant_id: str | None, notices: list[Notice]) -> int:
    """Write notifications and the jobs that deliver them; returns how many are new.

    In-app rows that don't wait are their own delivery and need no job. One that is cancelled before its job comes
    is not delivered.
    """
    new, jobs = _write_notices(connection, tenant_id, notices)
    _defer(connection, jobs)
    return new


def cancel_waiting(connection: sa.Connection, episode_id: str) -> None:
    """Cancel what was to be told of an episode and has not left, as there is more to tell now.

    A notice that is being delivered at this moment is left alone: nobody waits for a server here.
    """
    notifications = tables.notifications.c
    waiting = (
        sa.select(notifications.id)
        .where(notifications.episode_id == episode_id, notifications.status == NotificationStatus.PENDING)
        .with_for_update(skip_locked=True)
    )
    connection.execute(
        sa.update(tables.notifications).where(notifications.id.in_(waiting)).values(status=NotificationStatus.CANCELLED)
    )


def put_event_and_notices(connection: sa.Connection, event: OutboxEvent, notices: list[Notice]) -> None:
    """Both of `put_event` and `put_notices`, of the event's tenant; their jobs are deferred together."""
    jobs = _write_event(connection, event)
    _defer(connection, [*jobs, *_write_notices(connection, event.tenant_id, notices)[1]])


def _write_notices(
    connection: sa.Connection, tenant_id: str | None, notices: list[Notice]
) -> tuple[int, list[procrastinate.jobs.Job]]:
    """How many are new, and the jobs that deliver them."""
    rows = sorted(
        (row for notice in notices for row in _rows(tenant_id, notice)),
        key=lambda row: row["dedup_key"],  # one order for everybody: two transactions can't wait for each other
    )
    if not rows:
        return 0, []
    new = connection.execute(_PUT_NOTIFICATIONS, {"rows": rows}).all()
    jobs = [
        _queue.configure_task(DELIVER_NOTIFICATION, queue=NOTIFICATIONS_QUEUE, schedule_at=row.not_before).make_new_job(
            notification_id=row.id
        )
        for row in sorted(new, key=lambda row: str(row.id))
        if row.status == NotificationStatus.PENDING
    ]
    return len(new), jobs


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
            "delay": delay.total_seconds() or None,
        }
    return list(rows.values())


def _destination(recipient: Recipient) -> str:
    """The recipient in a deduplication key: a mailbox is one whoever is meant, a user id is not a group's name."""
    if recipient.channel is Channel.IN_APP:
        return f"{recipient.channel}:{recipient.audience}:{recipient.address}"
    return f"{recipient.channel}:{recipient.address}"


def put_event(connection: sa.Connection, event: OutboxEvent) -> None:
    """Write an event and the job that publishes it; the same id again adds nothing.

    The caller holds the subject's row lock, so the jobs' order is the order of the commits.
    """
    _defer(connection, _write_event(connection, event))


def _write_event(connection: sa.Connection, event: OutboxEvent) -> list[procrastinate.jobs.Job]:
    """The job that publishes it; none when it was there before."""
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
    if new is None:
        return []
    publish = _queue.configure_task(PUBLISH_EVENT, queue=EVENTS_QUEUE, lock=f"events:{event.subject}")
    return [publish.make_new_job(event_id=event.event_id)]


def _defer(connection: sa.Connection, jobs: list[procrastinate.jobs.Job]) -> None:
    if jobs:
        _queue.job_manager.batch_defer_jobs(jobs, connection=_driver_connection(connection))


def put_job(connection: sa.Connection, *, name: str, queue: str, lock: str) -> None:
    """Have the worker do something after the commit that takes no arguments; one at a time of those with a lock."""
    _queue.configure_task(name, queue=queue, lock=lock, connection=_driver_connection(connection)).defer()


def _driver_connection(connection: sa.Connection) -> Any:
    """The psycopg connection under a SQLAlchemy one: the job is part of its transaction."""
    return connection.connection.driver_connection


def _put_notifications() -> ReturningInsert[*tuple[Any, ...]]:
    """One statement, and one parameter, for any number of rows: the driver makes neither anew."""
    table = tables.notifications.c
    names = (
        "id", "tenant_id", "template", "channel", "audience", "severity", "recipient", "dedup_key", "episode_id",
        "decision_id", "title", "body", "context", "link", "cause", "status",
    )  # fmt: skip
    rows = (
        sa.func.jsonb_to_recordset(sa.bindparam("rows", type_=JSONB))
        .table_valued(
            *(sa.column(name, table[name].type) for name in names),
            sa.column("at_once", sa.Boolean),
            sa.column("delay", sa.Double),
        )
        .render_derived(name="row", with_types=True)
        .c
    )
    return (
        insert(tables.notifications)
        .from_select(
            [*names, "delivered_at", "not_before"],
            sa.select(
                *(rows[name] for name in names),
                sa.case((rows.at_once, sa.func.now())),
                sa.func.clock_timestamp() + rows.delay * sa.cast("1 second", sa.Interval),
            ),
        )
        .on_conflict_do_nothing(index_elements=["dedup_key"])
        .returning(table.id, table.status, table.not_before)
    )


_PUT_NOTIFICATIONS = _put_notifications()
_PUT_EVENT = (
    insert(tables.outbox_events)
    .on_conflict_do_nothing(index_elements=["event_id"])
    .returning(tables.outbox_events.c.event_id)
)
