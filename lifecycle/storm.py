"""Keep a storm of notices from people: tell what is alike as one, and not what is silenced or told elsewhere (60.5).

Judged where a notice is about to leave, not where it is written: the decision's transaction waits for nobody. It counts
for email and Slack, which people read. The pager and the webhook's receiver do this themselves, and the console has
every notice anyway; of those only the pager and the webhook can be silenced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.ids import stable_id
from lifecycle.kinds import Audience, Channel, NotificationStatus, StormRule, Template
from lifecycle.turns import wait_for_turn

#: What people read, one after another.
_READ_BY_PEOPLE = frozenset({Channel.EMAIL, Channel.SLACK})

#: What a provider's incident tells of, too.
_OF_AN_INCIDENT = frozenset({Template.AUTOMATION_BLOCKED, Template.CREDENTIALS_FAILED_CRITICAL})

_notifications = tables.notifications.c
_silences = tables.notice_silences.c
_incidents = tables.provider_incidents.c
_now = sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))

Row = sa.Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StormPolicy:
    """How many notices of a severity one recipient is told by themselves, on one channel, within the interval."""

    group_interval: timedelta = timedelta(minutes=5)
    #: Of one cause.
    of_a_cause: int = 1
    #: Of all credit cases.
    credit_cases: int = 10
    #: Of one tenant, whatever they say.
    of_a_tenant: int = 20

    def limit(self, rule: StormRule) -> int:
        """So many go by themselves; further ones wait."""
        return {
            StormRule.CAUSE: self.of_a_cause,
            StormRule.CREDIT_CASES: self.credit_cases,
            StormRule.TENANT: self.of_a_tenant,
        }[rule]


@dataclass(frozen=True, slots=True)
class Tell:
    """It goes out, and tells of these others too."""

    others: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Hold:
    """It waits, so that others can be told with it."""

    rule: StormRule
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Mute:
    """It is not told: because of one of these."""

    silence_id: str | None = None
    incident_id: str | None = None


def cause_id(tenant_id: str | None, template: Template, cause: str | None) -> str | None:
    """What notices of one cause share: whose it is, what is said, and what it is about."""
    return None if cause is None else stable_id("cause", tenant_id or "", template, cause)


def system_id(system_key: str) -> str:
    """A system in the context of a notice, without its key."""
    return stable_id("system", system_key)


def wait_for_room(told: Sequence[datetime], limit: int, interval: timedelta, now: datetime) -> timedelta | None:
    """How long until fewer than `limit` were told within the interval; None when it is so now. Pure.

    `told`: the times of the last ones, at least the newest `limit` of them, in any order.
    """
    within = sorted(moment for moment in told if moment > now - interval)
    return within[-limit] + interval - now if len(within) >= limit else None


def line_up(connection: sa.Connection, notification_id: str) -> None:
    """Wait until no other notice of the recipient that it could be told with is under way; lasts until the commit.

    To be asked before the notification is locked: one that waits here may be told by the one that it waits for.
    """
    row = connection.execute(sa.select(tables.notifications).where(_notifications.id == notification_id)).first()
    if row is None or row.status != NotificationStatus.PENDING or row.channel not in _READ_BY_PEOPLE:
        return
    for key in sorted(stable_id(rule, row.channel, row.recipient, _group(row, rule)) for rule in _rules(row)):
        wait_for_turn(connection, key)


def judge(connection: sa.Connection, row: Row, policy: StormPolicy) -> Tell | Hold | Mute:
    """Whether a notification that is about to leave does. It was lined up, and the caller holds its lock."""
    silence_id = connection.execute(_SILENCE, _matched(row)).scalar()
    if silence_id is not None:
        return Mute(silence_id=silence_id)
    if row.channel not in _READ_BY_PEOPLE:
        return Tell(())
    incident_id = _incident(connection, row)
    if incident_id is not None:
        return Mute(incident_id=incident_id)
    rules = _rules(row)
    now = connection.execute(sa.select(_now)).scalar_one()
    waits = [
        (wait, rule)
        for rule in rules
        if (wait := wait_for_room(_told(connection, row, rule, policy), policy.limit(rule), policy.group_interval, now))
    ]
    if waits:
        wait, rule = max(waits, key=lambda one: one[0])
        connection.execute(sa.update(tables.notifications).where(_notifications.id == row.id).values(held_by=rule))
        return Hold(rule, wait)
    return Tell(() if row.held_by is None else _held_like(connection, row, StormRule(row.held_by)))


def note_told_together(connection: sa.Connection, leader_id: str, others: Sequence[Row]) -> None:
    """A notice has left that told of these: none of them leaves by itself."""
    if others:
        connection.execute(
            sa.update(tables.notifications)
            .where(_notifications.id.in_([other.id for other in others]))
            .values(status=NotificationStatus.FOLDED, folded_into=leader_id)
        )


def mute(connection: sa.Connection, notification_id: str, verdict: Mute) -> None:
    """Keep that it is not told, and why."""
    connection.execute(
        sa.update(tables.notifications)
        .where(_notifications.id == notification_id)
        .values(status=NotificationStatus.MUTED, silence_id=verdict.silence_id, incident_id=verdict.incident_id)
    )


def _incident(connection: sa.Connection, row: Row) -> str | None:
    """The incident that tells of it, when all its systems have one. What clients are told the guard decides."""
    systems = set(row.context.get("system_ids") or ())
    if row.template not in _OF_AN_INCIDENT or row.audience == Audience.CLIENT or not systems:
        return None
    found = connection.execute(
        sa.select(_incidents.system_key, _incidents.id)
        .where(_incidents.closed_at.is_(None))
        .order_by(_incidents.opened_at)
    ).all()
    incidents: dict[str, str] = {system_id(one.system_key): one.id for one in found}
    return next(id_ for system, id_ in incidents.items() if system in systems) if systems <= incidents.keys() else None


def _rules(row: Row) -> list[StormRule]:
    rules = []
    if row.cause is not None:
        rules.append(StormRule.CAUSE)
    if row.template == Template.CREDIT_CASE:
        rules.append(StormRule.CREDIT_CASES)
    if row.tenant_id is not None:
        rules.append(StormRule.TENANT)
    return rules


def _group(row: Row, rule: StormRule) -> str:
    group: str = {StormRule.CAUSE: row.cause, StormRule.CREDIT_CASES: "", StormRule.TENANT: row.tenant_id}[rule]
    return group


def _alike(row: Row, rule: StormRule) -> sa.ColumnElement[bool]:
    alike = {
        StormRule.CAUSE: _notifications.cause == row.cause,
        StormRule.CREDIT_CASES: _notifications.template == Template.CREDIT_CASE,
        StormRule.TENANT: _notifications.tenant_id == row.tenant_id,
    }[rule]
    return sa.and_(
        _notifications.channel == row.channel,
        _notifications.recipient == row.recipient,
        _notifications.id != row.id,
        # What is grave is not told by what is less so, nor in the channel of another severity.
        _notifications.severity == row.severity,
        _notifications.context["severity"].astext.is_not_distinct_from(row.context.get("severity")),
        alike,
    )


def _told(connection: sa.Connection, row: Row, rule: StormRule, policy: StormPolicy) -> Sequence[datetime]:
    return (
        connection.execute(
            sa.select(_notifications.delivered_at)
            .where(
                _alike(row, rule),
                _notifications.status == NotificationStatus.DELIVERED,
                _notifications.delivered_at > _now - policy.group_interval,
            )
            .order_by(_notifications.delivered_at.desc())
            .limit(policy.limit(rule))
        )
        .scalars()
        .all()
    )


def _held_like(connection: sa.Connection, row: Row, rule: StormRule) -> Sequence[Row]:
    """Others that wait by the same rule; one that another job has in hand is left to it."""
    return connection.execute(
        sa.select(_notifications.id, _notifications.title)
        .where(
            _alike(row, rule),
            _notifications.status == NotificationStatus.PENDING,
            _notifications.held_by == rule,
        )
        .order_by(_notifications.created_at, _notifications.id)
        .with_for_update(skip_locked=True)
    ).all()


def _matched(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("tenant_id", "template", "channel", "severity")}


_SILENCE = (
    sa.select(_silences.id)
    .where(
        _silences.ended_at.is_(None),
        _silences.expires_at > _now,
        *(
            sa.or_(column.is_(None), column == sa.bindparam(column.name, type_=sa.Text))
            for column in (_silences.tenant_id, _silences.template, _silences.channel, _silences.severity)
        ),
    )
    .order_by(_silences.expires_at.desc())
    .limit(1)
)
