"""Deliver notifications and publish events, and record it: what the outbox's jobs do.

A job may run twice. The row is locked while its message is under way, so two runs at once send once; a repeat is
possible only when the process dies between the server's acceptance and our commit, and then it bears the same
Message-ID, or event id.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from config.metrics import DELIVERIES
from lifecycle import tables
from lifecycle.channels import Senders
from lifecycle.kinds import Audience, Channel, DeliveryOutcome, NotificationStatus, Severity, Template
from lifecycle.messages import OF_THE_CHANNEL, PERMANENT, DeliveryFault, Message, NotDeliveredError, Sender
from lifecycle.options import LifecycleOptions
from lifecycle.outages import Breaker, note_failure, note_success, wait_for_channel
from lifecycle.outbox import OutboxEvent
from lifecycle.storm import Hold, Mute, StormPolicy, judge, line_up, mute, note_told_together
from lifecycle.texts import told_together

_log = structlog.get_logger(__name__)

_notifications = tables.notifications.c
_events = tables.outbox_events.c

Publisher = Callable[[OutboxEvent], None]
"""Publishes one event; it is durable at the broker when this returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    """What deliveries are made with."""

    engine: sa.Engine
    senders: Senders
    options: LifecycleOptions
    breaker: Breaker
    #: So often a message is tried.
    tries: int
    storm: StormPolicy = field(default_factory=StormPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one run of a delivery's job came to."""

    #: None when it was not tried: it is too early, or its channel is left alone.
    outcome: DeliveryOutcome | None
    #: Which try it was or will be, from 1.
    attempt: int
    #: How long to wait at least, as the server asked, or until the message may be tried.
    wait: timedelta | None = None


def deliver_notification(delivering: Delivering, notification_id: str) -> Tried | None:
    """Try to deliver once, and record the try; None when there was nothing left to deliver, or it is not told.

    The recorded tries count, not the job's runs. Raises the database's errors, and then the try is not recorded.
    """
    with delivering.engine.begin() as connection:
        waits = _wait(connection, notification_id, delivering.breaker)
    if waits is not None:
        return waits
    with delivering.engine.begin() as connection:
        line_up(connection, notification_id)
        row = connection.execute(
            sa.select(tables.notifications).where(_notifications.id == notification_id).with_for_update()
        ).first()
        if row is None or row.status != NotificationStatus.PENDING:
            return None
        channel = Channel(row.channel)
        attempt = 1 + connection.execute(_COUNT_TRIES, {"notification": notification_id}).scalar_one()
        verdict = judge(connection, row, delivering.storm)
        if isinstance(verdict, Mute):
            mute(connection, notification_id, verdict)
            return None
        if isinstance(verdict, Hold):
            return Tried(outcome=None, attempt=attempt, wait=verdict.wait)
        others = tuple(other.title for other in verdict.others)
        message_id, failure = _try(delivering.senders.get(channel), row, others)
        fault = None if failure is None else failure.fault
        outcome = _outcome(fault, last=attempt >= delivering.tries)
        connection.execute(
            sa.insert(tables.deliveries).values(
                notification_id=notification_id,
                attempt=attempt,
                channel=channel,
                outcome=outcome,
                error_code=fault,
                message_id=message_id,
            )
        )
        if outcome is not DeliveryOutcome.RETRY:
            delivered = outcome is DeliveryOutcome.DELIVERED
            connection.execute(
                sa.update(tables.notifications)
                .where(_notifications.id == notification_id)
                .values(
                    status=NotificationStatus.DELIVERED if delivered else NotificationStatus.FAILED,
                    delivered_at=sa.func.clock_timestamp() if delivered else None,
                )
            )
        if outcome is DeliveryOutcome.DELIVERED:
            note_told_together(connection, notification_id, verdict.others)
        # Last: all deliveries of a channel that fails share its row.
        if fault in OF_THE_CHANNEL:
            note_failure(connection, channel, fault, delivering.breaker, delivering.options)
        elif fault is None:
            note_success(connection, channel)
    DELIVERIES.labels(channel, outcome).inc()
    return Tried(outcome=outcome, attempt=attempt, wait=None if failure is None else failure.retry_after)


def _wait(connection: sa.Connection, notification_id: str, breaker: Breaker) -> Tried | None:
    row = connection.execute(_MAY_BE_TRIED, {"notification": notification_id}).first()
    if row is None or row.status != NotificationStatus.PENDING:
        return None
    wait = row.early
    if wait is None or wait <= timedelta(0):
        wait = wait_for_channel(connection, Channel(row.channel), breaker)
    return None if wait is None else Tried(outcome=None, attempt=row.tries + 1, wait=wait)


def publish_event(engine: sa.Engine, event_id: str, publish: Publisher) -> None:
    """Publish an event and mark it published; one that is already is left alone."""
    with engine.begin() as connection:
        row = connection.execute(
            sa.select(tables.outbox_events).where(_events.event_id == event_id).with_for_update()
        ).first()
        if row is None or row.published_at is not None:
            return
        publish(
            OutboxEvent(
                event_id=row.event_id,
                type=row.type,
                tenant_id=row.tenant_id,
                subject=row.subject,
                message_key=row.message_key,
                occurred_at=row.occurred_at,
                payload=row.payload,
            )
        )
        connection.execute(
            sa.update(tables.outbox_events)
            .where(_events.event_id == event_id)
            .values(published_at=sa.func.clock_timestamp())
        )


def _try(send: Sender | None, row: sa.Row[Any], others: tuple[str, ...]) -> tuple[str | None, NotDeliveredError | None]:
    if send is None:
        return None, NotDeliveredError(DeliveryFault.NOT_SET_UP)
    try:
        return send(_message(row, others)), None
    except NotDeliveredError as error:
        return None, error
    except Exception as error:  # noqa: BLE001  (whatever it is, it counts as a try, or it would be tried for ever)
        # Its text may quote the message or the login.
        _log.error("message_unsendable", notification_id=str(row.id), error=type(error).__name__)
        return None, NotDeliveredError(DeliveryFault.UNSENDABLE)


def _message(row: sa.Row[Any], others: tuple[str, ...]) -> Message:
    title, body = told_together(row.title, row.body, others)
    return Message(
        notification_id=row.id,
        tenant_id=row.tenant_id,
        episode_id=row.episode_id,
        template=Template(row.template),
        audience=Audience(row.audience),
        severity=Severity(row.severity),
        recipient=row.recipient,
        title=title,
        body=body,
        link=row.link,
        context={**row.context, "title": title, "others": list(others)} if others else row.context,
        created_at=row.created_at,
        others=others,
    )


def _outcome(fault: DeliveryFault | None, *, last: bool) -> DeliveryOutcome:
    if fault is None:
        return DeliveryOutcome.DELIVERED
    return DeliveryOutcome.FAILED if last or fault in PERMANENT else DeliveryOutcome.RETRY


_COUNT_TRIES = (
    sa.select(sa.func.count())
    .select_from(tables.deliveries)
    .where(tables.deliveries.c.notification_id == sa.bindparam("notification"))
)
_MAY_BE_TRIED = sa.select(
    _notifications.status,
    _notifications.channel,
    (_notifications.not_before - sa.func.clock_timestamp()).label("early"),
    _COUNT_TRIES.scalar_subquery().label("tries"),
).where(_notifications.id == sa.bindparam("notification"))
