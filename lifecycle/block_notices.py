"""Who is told of a block, and what."""

from collections.abc import Sequence

import sqlalchemy as sa

from lifecycle.kinds import Severity, Template
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice
from lifecycle.recipients import client_recipients, on_call_recipients, ops_recipients
from lifecycle.storm import system_id
from lifecycle.systems import System, names_of
from lifecycle.texts import at_time, one_line
from lifecycle.versions import LockedVersion


def block_notices(
    connection: sa.Connection,
    version: LockedVersion,
    systems: Sequence[System],
    *,
    reason: str,
    task_count: int,
    episode_id: str,
    decision_id: str,
    options: LifecycleOptions,
) -> list[Notice]:
    """`automation_blocked` to the owner's contacts and operations, `credentials_failed_critical` to operations."""
    # Not the keys themselves: one that nobody listed may be anything.
    system_ids = sorted(system_id(system.key) for system in systems)
    context = {
        "automation_name": one_line(version.automation_name),
        "version": version.version,
        "tenant_name": one_line(version.tenant_name),
        "systems": [one_line(system.display_name) for system in systems],
        "system_ids": system_ids,
        "since": at_time(version.blocked_at or version.now),
    }
    cause = ",".join(system_ids)
    ops = ops_recipients(options)
    return [
        Notice(
            template=Template.AUTOMATION_BLOCKED,
            severity=Severity.CRITICAL,
            episode_id=episode_id,
            decision_id=decision_id,
            link=options.tasks_link(version.id),
            context={**context, "reason": reason},
            recipients=(
                *client_recipients(connection, version.tenant_id),
                *ops,
                *on_call_recipients(options),
            ),
            # So that it can be taken back when the provider turns out to be down, not the credentials (30.6).
            client_delay=options.guard.client_mail_delay,
            cause=cause,
        ),
        Notice(
            template=Template.CREDENTIALS_FAILED_CRITICAL,
            severity=Severity.CRITICAL,
            episode_id=episode_id,
            decision_id=decision_id,
            link=options.tasks_link(version.id),
            context={
                **context,
                "system_names": names_of(systems),
                "task_count": task_count,
            },
            recipients=ops,
            cause=cause,
        ),
    ]
