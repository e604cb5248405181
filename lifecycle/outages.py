"""Leave a channel alone that keeps failing, and say so on the others: a circuit breaker per channel (60.5).

It is kept in the database: all workers share it, and an outage is told once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.ids import stable_id
from lifecycle.kinds import Channel, Severity, Template
from lifecycle.messages import DeliveryFault
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import on_call_recipients, ops_recipients
from lifecycle.texts import at_time

_outages = tables.channel_outages.c
_now = sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a channel is left alone, and for how long."""

    #: Faults of the channel, one after another.
    failures: int = 5
    #: Twice as long after each message that tried it in vain.
    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(minutes=15)

    def pause_after(self, failures: int) -> timedelta:
        """How long to leave alone a channel that has failed so often in a row; nothing below the limit."""
        if failures < self.failures:
            return timedelta(0)
        return min(self.longest, self.first * 2.0 ** min(failures - self.failures, 32))


def wait_for_channel(connection: sa.Connection, channel: Channel, breaker: Breaker) -> timedelta | None:
    """None when a message may be tried; else how long the channel is left alone yet.

    When the pause is over one message tries it: whoever asks first. The others wait for what becomes of that one.
    Commit before trying.
    """
    row = connection.execute(
        sa.select(_outages.failures, _outages.left_alone_until, _now.label("now")).where(_outages.channel == channel)
    ).first()
    if row is None or row.left_alone_until is None:
        return None
    if row.left_alone_until > row.now:
        return timedelta(seconds=(row.left_alone_until - row.now).total_seconds())
    pause = breaker.pause_after(row.failures)
    probes = connection.execute(
        sa.update(tables.channel_outages)
        .where(_outages.channel == channel, _outages.left_alone_until == row.left_alone_until)
        .values(left_alone_until=_now + pause)
        .returning(_outages.channel)
    ).first()
    return None if probes is not None else pause


def note_success(connection: sa.Connection, channel: Channel) -> None:
    """The channel works: an outage is over."""
    known = connection.execute(sa.select(_outages.channel).where(_outages.channel == channel)).first()
    if known is not None:
        connection.execute(sa.delete(tables.channel_outages).where(_outages.channel == channel))


def note_failure(
    connection: sa.Connection, channel: Channel, fault: DeliveryFault, breaker: Breaker, options: LifecycleOptions
) -> None:
    """Count a fault of the channel; from the limit on it is left alone, and operations are told, once an outage."""
    row = connection.execute(
        insert(tables.channel_outages)
        .values(channel=channel, failures=1, failing_since=_now)
        .on_conflict_do_update(index_elements=["channel"], set_={"failures": _outages.failures + 1})
        .returning(_outages.failures, _outages.failing_since, _outages.left_alone_until)
    ).one()
    pause = breaker.pause_after(row.failures)
    if not pause:
        return
    connection.execute(
        sa.update(tables.channel_outages)
        .where(_outages.channel == channel)
        .values(left_alone_until=sa.func.greatest(_outages.left_alone_until, _now + pause))
    )
    put_notices(connection, tenant_id=None, notices=[_notice(channel, fault, row.failing_since, options)])


def list_outages(connection: sa.Connection) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """The channels whose last deliveries failed, with `name`, `failures` and `failing_since`; of the platform."""
    names = sa.case(_NAMES, value=_outages.channel).label("name")
    return connection.execute(
        sa.select(names, _outages.failures, _outages.failing_since).order_by(_outages.failing_since, _outages.channel)
    ).all()


def _notice(channel: Channel, fault: DeliveryFault, since: datetime, options: LifecycleOptions) -> Notice:
    everywhere = (*ops_recipients(options), *on_call_recipients(options))
    return Notice(
        template=Template.CHANNEL_FAILING,
        severity=Severity.CRITICAL,
        episode_id=stable_id("channel_failing", channel, since.isoformat()),
        decision_id=None,
        link=options.health_link(),
        context={"channel": _NAMES[channel], "fault": fault.replace("_", " "), "since": at_time(since)},
        recipients=tuple(recipient for recipient in everywhere if recipient.channel is not channel),
    )


_NAMES = {
    Channel.EMAIL: "email",
    Channel.IN_APP: "in-app notices",
    Channel.SLACK: "Slack",
    Channel.WEBHOOK: "webhook",
    Channel.ON_CALL: "the pager",
}
