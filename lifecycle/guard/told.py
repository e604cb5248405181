"""Who hears of what the guard does: operations, by one task and one notice; clients, of nothing that was taken back."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.ids import stable_id
from lifecycle.kinds import (
    Audience,
    Channel,
    NotificationStatus,
    Priority,
    Severity,
    TaskContext,
    TaskKind,
    Template,
)
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import ops_recipients
from lifecycle.systems import find_systems
from lifecycle.task_closing import close_task
from lifecycle.texts import at_time, in_words, one_line

_notifications = tables.notifications.c
_tasks = tables.tasks.c


def tell_of_incident(
    connection: sa.Connection,
    incident_id: str,
    system_key: str,
    *,
    since: datetime,
    tenant_count: int,
    undone_count: int,
    decision_id: str,
    options: LifecycleOptions,
) -> None:
    """One task and one notice for operations; both are the platform's, since an incident is of no tenant."""
    (system,) = find_systems(connection, [system_key])
    name = one_line(system.display_name)
    connection.execute(
        insert(tables.tasks).on_conflict_do_nothing(),
        {
            "id": stable_id("provider_incident_task", incident_id),
            "tenant_id": None,
            "context_type": TaskContext.INTERNAL,
            "context_id": incident_id,
            "kind": TaskKind.GENERAL_TODO,
            "idempotency_key": f"provider_incident:{incident_id}",
            "system_key": system.key,
            "provider": system.provider,
            "title": one_line(f"{name[:1].upper()}{name[1:]} refuses the credentials of many tenants at once"),
            "description": (
                f"Within {in_words(options.guard.incident_window)} automations of {tenant_count} tenants would have"
                f" been blocked, since {name} refused their credentials. That looks like the provider's fault: the"
                " blocks were taken back, and further ones wait. The incident ends when nothing new fails for"
                f" {in_words(options.guard.quiet_after)}, or when you end it. {options.guard_link()}"
            ),
            "priority": Priority.CRITICAL,
            "created_by_system": True,
            "decision_id": decision_id,
        },
    )
    put_notices(
        connection,
        tenant_id=None,
        notices=[
            Notice(
                template=Template.PROVIDER_INCIDENT,
                severity=Severity.CRITICAL,
                episode_id=incident_id,
                decision_id=decision_id,
                link=options.guard_link(),
                context={
                    "system_name": name,
                    "tenant_count": tenant_count,
                    "undone_count": undone_count,
                    "since": at_time(since),
                },
                recipients=ops_recipients(options),
            )
        ],
    )


def tell_of_holds(connection: sa.Connection, *, limit: int, decision_id: str, options: LifecycleOptions) -> None:
    """Tell operations that decisions wait for approval; once in a budget's window, however many there are."""
    now = connection.execute(sa.select(sa.func.clock_timestamp(type_=sa.DateTime(timezone=True)))).scalar_one()
    window = int(now.timestamp() // options.guard.budget_window.total_seconds())
    put_notices(
        connection,
        tenant_id=None,
        notices=[
            Notice(
                template=Template.DECISIONS_HELD,
                severity=Severity.CRITICAL,
                episode_id=stable_id("decisions_held", str(window)),
                decision_id=decision_id,
                link=options.guard_link(),
                context={
                    "since": at_time(now),
                    "limit": limit,
                    "window": in_words(options.guard.budget_window),
                },
                recipients=ops_recipients(options),
            )
        ],
    )


def clients_heard(connection: sa.Connection, episode_id: str) -> bool:
    """Whether a client got a message of an episode; one in the console counts when it was read."""
    return (
        connection.execute(
            sa.select(_notifications.id)
            .where(
                _notifications.episode_id == episode_id,
                _notifications.audience == Audience.CLIENT,
                _notifications.status == NotificationStatus.DELIVERED,
                sa.or_(_notifications.channel != Channel.IN_APP, _notifications.read_at.is_not(None)),
            )
            .limit(1)
        ).first()
        is not None
    )


def take_back_client_notices(connection: sa.Connection, episode_id: str, *, of_the_end: bool) -> None:
    """Cancel what clients would be told of a block and have not seen; with `of_the_end` also that it is over."""
    templates = [Template.AUTOMATION_BLOCKED, *([Template.AUTOMATION_UNBLOCKED] if of_the_end else [])]
    connection.execute(
        sa.update(tables.notifications)
        .where(
            _notifications.episode_id == episode_id,
            _notifications.audience == Audience.CLIENT,
            _notifications.template.in_(templates),
            sa.or_(
                _notifications.status == NotificationStatus.PENDING,
                sa.and_(_notifications.channel == Channel.IN_APP, _notifications.read_at.is_(None)),
            ),
        )
        .values(status=NotificationStatus.CANCELLED)
    )


def close_incident_task(connection: sa.Connection, incident_id: str, *, actor_context: ActorContext) -> None:
    """Complete the task of an incident that is over, unless a person has."""
    close_task(
        connection,
        tenant_id=None,
        idempotency_key=f"provider_incident:{incident_id}",
        actor_context=actor_context,
    )
