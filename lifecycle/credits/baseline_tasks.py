"""The task that a proposed baseline waits for: somebody approves or rejects it (50.3)."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.credits.approved_baselines import Baseline, list_proposals
from lifecycle.ids import stable_id
from lifecycle.kinds import Priority, TaskContext, TaskKind, TaskStatus
from lifecycle.options import LifecycleOptions
from lifecycle.task_closing import close_task
from lifecycle.texts import one_line

_PREFIX = "approve_baseline:"

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


def proposals_of_tasks(connection: sa.Connection, keys: Iterable[str | None]) -> Mapping[str, Baseline]:
    """The baselines that wait for approval by tasks with these idempotency keys, by key."""
    wanted = {key.removeprefix(_PREFIX): key for key in keys if key is not None and key.startswith(_PREFIX)}
    return {wanted[one.id]: one for one in list_proposals(connection, wanted)} if wanted else {}


def close_approval_task(
    connection: sa.Connection, *, tenant_id: str, baseline_id: str, status: TaskStatus, actor_context: ActorContext
) -> None:
    """Its baseline was decided on (`complete`), or is none any more (`cancelled`)."""
    close_task(
        connection,
        tenant_id=tenant_id,
        idempotency_key=_key(baseline_id),
        actor_context=actor_context,
        status=status,
        operation="decide_baseline",
        baseline_id=baseline_id,
    )


def _key(baseline_id: str) -> str:
    return f"{_PREFIX}{baseline_id}"
