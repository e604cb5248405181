"""Put a workflow on the blacklist that kept getting stuck (40.2). By hand, and off it: `blacklist_changes.py`.

Many may trip at once: the partial unique index of active rows lets one in, and only that one goes on to write
the audit row, the review task and the notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.breaker.half_open import HalfOpenPolicy, begin_cool_down
from lifecycle.breaker.invalidation import announce
from lifecycle.ids import stable_id
from lifecycle.kinds import AuditAction, BlacklistSource, Priority, Severity, TaskContext, TaskKind, Template
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import platform_recipients, tenant_name
from lifecycle.texts import in_words, one_line
from lifecycle.workflows import Workflow

MAX_EXECUTION_IDS = 20
_NOW = sa.select(sa.func.clock_timestamp(type_=tables.workflow_blacklist.c.blacklisted_at.type))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """What the circuit breaker saw when it tripped."""

    stuck_count: int
    threshold: int
    window: timedelta
    execution_ids: Sequence[str]
    automation_version_id: str | None
    #: None: only a person takes the workflow off the list again.
    half_open: HalfOpenPolicy | None = None


def blacklist_tripped(
    connection: sa.Connection,
    workflow: Workflow,
    trip: Trip,
    *,
    actor_context: ActorContext,
    decision_id: str,
    options: LifecycleOptions,
) -> str | None:
    """Blacklist a workflow whose breaker has tripped; the new row's id, None when it is on the list already.

    The transaction is the caller's.
    """
    blacklist_id = stable_id("blacklist", decision_id)
    reason = f"auto:stuck:{trip.stuck_count}"
    won = connection.execute(
        insert(tables.workflow_blacklist)
        .on_conflict_do_nothing(index_elements=["tenant_id", "workflow_id"], index_where=sa.text("removed_at IS NULL"))
        .returning(tables.workflow_blacklist.c.id),
        {
            "id": blacklist_id,
            "tenant_id": workflow.tenant_id,
            "workflow_id": workflow.workflow_id,
            "workflow_name": workflow.name,
            "source": BlacklistSource.AUTO,
            "reason": reason,
            "stuck_count": trip.stuck_count,
            "threshold": trip.threshold,
            "window_seconds": round(trip.window.total_seconds()),
            "execution_ids": list(trip.execution_ids[:MAX_EXECUTION_IDS]),
            "decision_id": decision_id,
            "blacklisted_by": actor_context.actor,
        },
    ).first()
    if won is None:
        return None
    announce(connection, workflow.tenant_id, workflow.workflow_id)
    if trip.half_open is not None:
        begin_cool_down(
            connection,
            tenant_id=workflow.tenant_id,
            workflow_id=workflow.workflow_id,
            blacklist_id=blacklist_id,
            policy=trip.half_open,
            now=connection.execute(_NOW).scalar_one(),
        )
    write_audit(
        connection,
        tenant_id=workflow.tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.BLACKLIST_WORKFLOW,
                resource_type="workflow",
                resource_id=workflow.workflow_id,
                episode_id=blacklist_id,
                decision_id=decision_id,
                metadata={
                    "source": BlacklistSource.AUTO,
                    "reason": reason,
                    "stuck_count": trip.stuck_count,
                    "threshold": trip.threshold,
                    "window_seconds": round(trip.window.total_seconds()),
                },
            )
        ],
    )
    _add_review_task(connection, workflow, trip, blacklist_id, decision_id, options)
    put_notices(
        connection,
        tenant_id=workflow.tenant_id,
        notices=[
            Notice(
                template=Template.WORKFLOW_BLACKLISTED,
                severity=Severity.WARNING,
                episode_id=blacklist_id,
                decision_id=decision_id,
                link=options.blacklist_link(),
                context={
                    "workflow_name": one_line(workflow.name),
                    "tenant_name": one_line(tenant_name(connection, workflow.tenant_id)),
                    "stuck_count": trip.stuck_count,
                    "window": in_words(trip.window),
                },
                recipients=platform_recipients(options),
                cause=workflow.workflow_id,
            )
        ],
    )
    return blacklist_id


def _add_review_task(
    connection: sa.Connection,
    workflow: Workflow,
    trip: Trip,
    blacklist_id: str,
    decision_id: str,
    options: LifecycleOptions,
) -> None:
    name = one_line(workflow.name)
    connection.execute(
        insert(tables.tasks),
        {
            "id": stable_id("blacklist_review", blacklist_id),
            "tenant_id": workflow.tenant_id,
            "automation_version_id": trip.automation_version_id,
            "context_type": TaskContext.WORKFLOW,
            "context_id": workflow.workflow_id,
            "kind": TaskKind.BLACKLIST_REVIEW,
            "idempotency_key": f"blacklist_review:{blacklist_id}",
            "title": one_line(f"Find out why “{name}” keeps getting stuck"),
            "description": (
                f"“{name}” got stuck {trip.stuck_count} times within {in_words(trip.window)} and is on the blacklist."
                f" It is not started again until somebody takes it off. {options.blacklist_link()}"
            ),
            "priority": Priority.HIGH,
            "created_by_system": True,
            "episode_id": blacklist_id,
            "decision_id": decision_id,
        },
    )
