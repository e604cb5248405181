"""Put workflows on the blacklist by hand, and take them off it (40.2, 40.4).

Both are safe to repeat and to do at once: the partial unique index of active rows lets one addition in, the lock of
that row one removal. A removed row stays as history; adding the workflow again makes a new one.

A removal is told to the detector with the database's time of the removal, `workflow_released`; executions that got
stuck later than that, by the clocks of their producers, count again. So where a producer's clock is behind by a
minute, what gets stuck in the first minute after a release is not counted; where it is ahead, what got stuck in the
last minute before is. Decisions about the time before a removal that come after it are refused
(`lifecycle.guard.gate`). An addition by hand is not told: a detector that trips on what still runs finds the workflow
on the list, and begins afresh with the removal like any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.breaker.invalidation import announce
from lifecycle.control_events import ControlKind, put_control_event
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.ids import stable_id
from lifecycle.kinds import (
    OPEN_TASK_STATUSES,
    AuditAction,
    BlacklistSource,
    Severity,
    TaskStatus,
    Template,
)
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import name_of_actor, platform_recipients, tenant_name
from lifecycle.refusals import Refusal
from lifecycle.texts import in_words, masked, one_line
from lifecycle.workflows import find_workflow

MAX_NOTE = 500
#: How often an addition tries again when the row that was in its way is taken off meanwhile.
_TRIES = 10

_blacklist = tables.workflow_blacklist.c
_tasks = tables.tasks.c


@dataclass(frozen=True, slots=True)
class Addition:
    """A workflow that is on the blacklist now."""

    blacklist_id: str
    #: False: it was there already, and nothing was written.
    is_new: bool


def add_to_blacklist(
    connection: sa.Connection,
    *,
    tenant_id: str,
    workflow_id: str,
    reason: str,
    actor_context: ActorContext,
) -> Addition:
    """Put a workflow on the blacklist for a reason of 1 to 500 characters; what looks like a secret is masked.

    `LifecycleError`: `not_found` for a workflow that is not the tenant's, `reason_required`. The transaction is the
    caller's.
    """
    note = masked(reason)[:MAX_NOTE]
    if not note:
        raise LifecycleError(ErrorCode.REASON_REQUIRED, "Say why the workflow may not start any more.")
    workflow = find_workflow(connection, tenant_id, workflow_id, None)
    if isinstance(workflow, Refusal):
        raise unknown_workflow()
    for _ in range(_TRIES):
        new = connection.execute(
            _ADD,
            {
                "tenant_id": tenant_id,
                "workflow_id": workflow_id,
                "workflow_name": workflow.name,
                "source": BlacklistSource.MANUAL,
                "reason": f"manual:{note}",
                "blacklisted_by": actor_context.actor,
            },
        ).scalar()
        if new is not None:
            break
        there = connection.execute(_ACTIVE, {"tenant": tenant_id, "workflow": workflow_id}).scalar()
        if there is not None:
            return Addition(there, is_new=False)
    else:
        raise LifecycleError(ErrorCode.CONCURRENCY_CONFLICT, "Somebody changes this too; load it again, then decide.")
    announce(connection, tenant_id, workflow_id)
    write_audit(
        connection,
        tenant_id=tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.BLACKLIST_WORKFLOW,
                resource_type="workflow",
                resource_id=workflow_id,
                episode_id=new,
                metadata={"source": BlacklistSource.MANUAL},
            )
        ],
    )
    return Addition(new, is_new=True)


def remove_from_blacklist(
    connection: sa.Connection,
    *,
    tenant_id: str,
    workflow_id: str,
    note: str | None,
    actor_context: ActorContext,
    options: LifecycleOptions,
    source: BlacklistSource = BlacklistSource.MANUAL,
) -> str:
    """Take a workflow off the blacklist, for good reasons that `note` may tell; returns the row's id.

    The count begins afresh, the gates and the monitor are told, the platform's admins too, and the task to find out
    why is cancelled. `LifecycleError` `not_found` when it is not on the list. The transaction is the caller's.
    """
    row = connection.execute(_LOCK, {"tenant": tenant_id, "workflow": workflow_id}).first()
    if row is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "This workflow is not on the blacklist.")
    told = masked(note or "")[:MAX_NOTE]
    # After the lock: whoever waited for somebody else's change comes later than that.
    now = connection.execute(_NOW).scalar_one()
    connection.execute(
        sa.update(tables.workflow_blacklist)
        .where(_blacklist.id == row.id)
        .values(removed_at=now, removed_by=actor_context.actor, removal_note=told or None, removal_source=source)
    )
    announce(connection, tenant_id, workflow_id)
    write_audit(
        connection,
        tenant_id=tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.RELEASE_WORKFLOW,
                resource_type="workflow",
                resource_id=workflow_id,
                episode_id=row.id,
                decision_id=row.decision_id,
                metadata={"source": source, "was": row.source},
            ),
            *_cancel_review(connection, tenant_id, row.id),
        ],
    )
    put_control_event(
        connection,
        kind=ControlKind.WORKFLOW_RELEASED,
        cause=row.id,
        tenant_id=tenant_id,
        workflow_id=workflow_id,
        occurred_at=now,
        fields={},
    )
    context = _told(connection, row, now, told, actor_context)
    put_notices(
        connection,
        tenant_id=tenant_id,
        notices=[
            Notice(
                template=Template.WORKFLOW_RELEASED,
                severity=Severity.INFO,
                episode_id=row.id,
                decision_id=row.decision_id,
                link=options.blacklist_link(),
                context=context,
                recipients=platform_recipients(options),
            )
        ],
    )
    released: str = row.id
    return released


def unknown_workflow() -> LifecycleError:
    """There is no such workflow, or it is another tenant's."""
    return LifecycleError(
        ErrorCode.NOT_FOUND,
        "There is no such workflow.",
        [Detail("workflow_not_found", "workflow_id", "It must be a workflow of the tenant.")],
    )


def _cancel_review(connection: sa.Connection, tenant_id: str, blacklist_id: str) -> list[AuditEntry]:
    """Nobody has to find out any more why it got stuck, unless somebody has."""
    cancelled = connection.execute(
        sa.update(tables.tasks)
        .where(
            _tasks.tenant_id == tenant_id,
            _tasks.id == stable_id("blacklist_review", blacklist_id),
            _tasks.status.in_(OPEN_TASK_STATUSES),
        )
        .values(status=TaskStatus.CANCELLED, updated_at=sa.func.now(), version=_tasks.version + 1)
        .returning(_tasks.id, _tasks.version)
    ).first()
    if cancelled is None:
        return []
    return [
        AuditEntry(
            action=AuditAction.UPDATE_TASK,
            resource_type="task",
            resource_id=cancelled.id,
            episode_id=blacklist_id,
            metadata={"operation": "cancel", "to_status": TaskStatus.CANCELLED, "version": cancelled.version},
        )
    ]


def _told(
    connection: sa.Connection, row: sa.Row[Any], now: datetime, note: str, actor_context: ActorContext
) -> Mapping[str, Any]:
    return {
        "workflow_name": one_line(row.workflow_name),
        "tenant_name": one_line(tenant_name(connection, row.tenant_id)),
        "by": name_of_actor(connection, actor_context),
        "blacklisted_for": in_words(_rounded(now - row.blacklisted_at)),
        "reason": why_in_words(row.reason, row.stuck_count, row.window_seconds),
        "note": note,
    }


def why_in_words(reason: str, stuck_count: int | None, window_seconds: int | None) -> str:
    """Why a workflow is on the list, for people."""
    if stuck_count is not None and window_seconds is not None:
        return f"stuck {stuck_count} times within {in_words(timedelta(seconds=window_seconds))}"
    return one_line(reason.removeprefix("manual:"))


def _rounded(duration: timedelta) -> timedelta:
    """Whole hours from two hours on, else whole minutes, at least one."""
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    return duration // hour * hour if duration >= 2 * hour else max(duration // minute, 1) * minute


_of_the_workflow = sa.and_(
    _blacklist.tenant_id == sa.bindparam("tenant"),
    _blacklist.workflow_id == sa.bindparam("workflow"),
    _blacklist.removed_at.is_(None),
)
_ADD = (
    insert(tables.workflow_blacklist)
    .values(blacklisted_at=sa.func.clock_timestamp())
    .on_conflict_do_nothing(index_elements=["tenant_id", "workflow_id"], index_where=sa.text("removed_at IS NULL"))
    .returning(_blacklist.id)
)
_ACTIVE = sa.select(_blacklist.id).where(_of_the_workflow)
_LOCK = sa.select(tables.workflow_blacklist).where(_of_the_workflow).with_for_update()
_NOW = sa.select(sa.func.clock_timestamp(type_=_blacklist.removed_at.type))
