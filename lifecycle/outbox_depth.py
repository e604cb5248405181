"""What was committed and has not left yet: how much, and for how long (80.4)."""

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import NotificationStatus
from lifecycle.outbox import EVENTS_QUEUE, NOTIFICATIONS_QUEUE

_notifications = tables.notifications.c
_events = tables.outbox_events.c


@dataclass(frozen=True, slots=True)
class Depth:
    """Of one queue."""

    waiting: int
    #: Since when the oldest might have left; zero when none waits.
    age: timedelta


def read_outbox_depth(connection: sa.Connection) -> dict[str, Depth]:
    """By queue. A notice that is kept back until a time counts from then on; two index scans over what waits."""
    due = sa.func.coalesce(_notifications.not_before, _notifications.created_at)
    return {
        NOTIFICATIONS_QUEUE: _depth(
            connection,
            due,
            _notifications.status == NotificationStatus.PENDING,
            due <= sa.func.clock_timestamp(),
        ),
        EVENTS_QUEUE: _depth(connection, _events.created_at, _events.published_at.is_(None)),
    }


def _depth(connection: sa.Connection, since: sa.ColumnElement[object], *waits: sa.ColumnElement[bool]) -> Depth:
    age = sa.func.greatest(sa.func.clock_timestamp() - sa.func.min(since), timedelta(0))
    row = connection.execute(sa.select(sa.func.count(), sa.func.coalesce(age, timedelta(0))).where(*waits)).one()
    return Depth(*row)
