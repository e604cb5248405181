"""The task that a proposed baseline waits for: somebody approves or rejects it (50.3)."""

from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.ids import stable_id
from lifecycle.kinds import OPEN_TASK_STATUSES, Priority, TaskContext, TaskKind, TaskStatus
from lifecycle.options import LifecycleOptions
from lifecycle.texts import one_line

_tasks = tables.tasks.c


def add_approval_task(
    connection: sa.Connection,
    *,
    tenant_id: str,
    baseline_id: str,
    scenario: str,
    before: Decimal,
    after: Decimal,
    options: LifecycleOptions,
) -> None:
    """Ask for somebody's word. Completing the task is not that: approving or rejecting the baseline completes it."""
    connection.execute(
        insert(tables.tasks),
        {
            "id": stable_id("approve_baseline_task", baseline_id),
            "tenant_id": tenant_id,
            "context_type": TaskContext.INTERNAL,
            "context_id": baseline_id,
            "kind": TaskKind.APPROVAL,
            "idempotency_key": _key(baseline_id),
            "title": one_line(f"Approve the baseline of “{scenario}”: {before:,f} → {after:,f} credits"),
            "description": (
                "What its healthy runs cost has changed by more than half. Find out why, then approve or reject the new"
                f" baseline; until then runs are compared with the old one. {options.credits_link()}"
            ),
            "priority": Priority.MEDIUM,
            "created_by_system": True,
        },
    )


def close_approval_task(connection: sa.Connection, *, tenant_id: str, baseline_id: str, status: TaskStatus) -> None:
    """Its baseline was decided on (`complete`), or is none any more (`cancelled`)."""
    connection.execute(
        sa.update(tables.tasks)
        .where(
            _tasks.tenant_id == tenant_id,
            _tasks.idempotency_key == _key(baseline_id),
            _tasks.status.in_(OPEN_TASK_STATUSES),
        )
        .values(
            status=status,
            completed_at=sa.func.now() if status is TaskStatus.COMPLETE else None,
            updated_at=sa.func.now(),
            version=_tasks.version + 1,
        )
    )


def _key(baseline_id: str) -> str:
    return f"approve_baseline:{baseline_id}"
