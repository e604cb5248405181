"""Deliver notifications and publish events, and record it: what the outbox's jobs do.

A job may run twice. The row is locked while its message is under way, so two runs at once send once; a repeat is
possible only when the process dies between the server's acceptance and our commit, and then it bears the same
Message-ID, or event id.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog

from config.metrics import DELIVERIES
from lifecycle import tables
from lifecycle.emails import PERMANENT, DeliveryFault, Email, NotDeliveredError, Sender
from lifecycle.kinds import Channel, DeliveryOutcome, NotificationStatus, Severity, Template
from lifecycle.outbox import OutboxEvent

_log = structlog.get_logger(__name__)

_notifications = tables.notifications.c
_events = tables.outbox_events.c

Publisher = Callable[[OutboxEvent], None]
"""Publishes one event; it is durable at the broker when this returns."""


def deliver_notification(
    engine: sa.Engine, notification_id: str, send: Sender, *, attempt: int, last: bool
) -> DeliveryOutcome | None:
    """Try to deliver once, and record the try; None when there was nothing left to deliver.

    `last`: no further try follows a failure. Raises the database's errors, and then the try is not recorded.
    """
    with engine.begin() as connection:
        row = connection.execute(
            sa.select(tables.notifications).where(_notifications.id == notification_id).with_for_update()
        ).first()
        if row is None or row.status != NotificationStatus.PENDING:
            return None
        message_id, fault = _try(send, row)
        outcome = _outcome(fault, last=last)
        connection.execute(
            sa.insert(tables.deliveries).values(
                notification_id=notification_id,
                attempt=attempt,
                channel=Channel.EMAIL,
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
    DELIVERIES.labels(Channel.EMAIL, outcome).inc()
    return outcome


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


def oldest_pending(connection: sa.Connection) -> datetime | None:
    """When the oldest notification that still waits was written: the outbox's age."""
    return connection.execute(
        sa.select(sa.func.min(_notifications.created_at)).where(_notifications.status == NotificationStatus.PENDING)
    ).scalar()


def _try(send: Sender, row: sa.Row[Any]) -> tuple[str | None, DeliveryFault | None]:
    try:
        return send(_email(row)), None
    except NotDeliveredError as error:
        return None, error.fault
    except Exception as error:  # noqa: BLE001  (whatever it is, it counts as a try, or it would be tried for ever)
        # Its text may quote the message or the login.
        _log.error("mail_unsendable", notification_id=str(row.id), error=type(error).__name__)
        return None, DeliveryFault.UNSENDABLE


def _email(row: sa.Row[Any]) -> Email:
    return Email(
        notification_id=row.id,
        template=Template(row.template),
        severity=Severity(row.severity),
        recipient=row.recipient,
        title=row.title,
        body=row.body,
        context=row.context,
        created_at=row.created_at,
    )


def _outcome(fault: DeliveryFault | None, *, last: bool) -> DeliveryOutcome:
    if fault is None:
        return DeliveryOutcome.DELIVERED
    return DeliveryOutcome.FAILED if last or fault in PERMANENT else DeliveryOutcome.RETRY
