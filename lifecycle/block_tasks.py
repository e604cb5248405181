"""The tasks that a credential failure leaves behind."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.ids import stable_id
from lifecycle.kinds import OPEN_TASK_STATUSES, Priority, TaskContext, TaskKind
from lifecycle.systems import System
from lifecycle.texts import one_line
from lifecycle.versions import LockedVersion

_tasks = tables.tasks.c


def add_credentials_tasks(
    connection: sa.Connection,
    version: LockedVersion,
    systems: Sequence[System],
    *,
    episode_id: str,
    decision_id: str,
    link: str,
) -> tuple[str, ...]:
    """One open, high-priority task for each system; those that are open already stay as they are.

    Returns the ids of the new ones. Two systems that are not listed have the same title: their keys differ.
    """
    in_use = set(
        connection.execute(
            sa.select(_tasks.system_key)
            .where(
                _tasks.tenant_id == version.tenant_id,
                _tasks.automation_version_id == version.id,
                _tasks.kind == TaskKind.CREDENTIALS_ISSUE,
                _tasks.status.in_(OPEN_TASK_STATUSES),
            )
            .order_by(_tasks.id)
            .with_for_update()
        ).scalars()
    )
    rows = [
        {
            "id": stable_id("credentials_issue", episode_id, decision_id, system.key),
            "tenant_id": version.tenant_id,
            "project_id": version.project_id,
            "automation_version_id": version.id,
            "context_type": TaskContext.AUTOMATION_VERSION,
            "context_id": version.id,
            "kind": TaskKind.CREDENTIALS_ISSUE,
            "system_key": system.key,
            "provider": system.provider,
            "title": one_line(f"Renew the credentials for {system.display_name}"),
            "description": (
                f"“{one_line(version.automation_name)}” (version {version.version}) is blocked, since"
                f" {one_line(system.display_name)} no longer accepts its credentials."
                f" Renew them, check that they work, then complete this task. {link}"
            ),
            "priority": Priority.HIGH,
            "created_by_system": True,
            "episode_id": episode_id,
            "decision_id": decision_id,
        }
        for system in systems
        if system.key not in in_use
    ]
    if rows:
        connection.execute(insert(tables.tasks), rows)
    return tuple(str(row["id"]) for row in rows)


_SKIPPED = "block_skipped:"


def add_skipped_task(
    connection: sa.Connection, version: LockedVersion, system_names: str, *, decision_id: str
) -> str | None:
    """Tell operations that credentials fail where nothing is blocked; None when a task says so already.

    The caller's lock on the version makes looking and adding one step.
    """
    open_already = connection.execute(
        sa.select(_tasks.id).where(
            _tasks.tenant_id == version.tenant_id,
            _tasks.automation_version_id == version.id,
            _tasks.kind == TaskKind.GENERAL_TODO,
            _tasks.status.in_(OPEN_TASK_STATUSES),
            _tasks.idempotency_key.startswith(_SKIPPED, autoescape=True),
        )
    ).first()
    if open_already is not None:
        return None
    task_id = stable_id("block_skipped", decision_id)
    connection.execute(
        insert(tables.tasks),
        {
            "id": task_id,
            "tenant_id": version.tenant_id,
            "project_id": version.project_id,
            "automation_version_id": version.id,
            "context_type": TaskContext.AUTOMATION_VERSION,
            "context_id": version.id,
            "kind": TaskKind.GENERAL_TODO,
            "idempotency_key": f"{_SKIPPED}{decision_id}",
            "title": one_line(f"Credentials fail while the automation is {version.status}"),
            "description": (
                f"“{one_line(version.automation_name)}” (version {version.version}) was not blocked, since it is"
                f" {version.status}. The credentials for {one_line(system_names)} are invalid or have expired."
            ),
            "priority": Priority.MEDIUM,
            "created_by_system": True,
            "decision_id": decision_id,
        },
    )
    return task_id
