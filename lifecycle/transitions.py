"""Move a locked version: the version's row, its history, the audit row and the event, together (30.2)."""

from functools import cache

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.ids import stable_id
from lifecycle.kinds import AuditAction
from lifecycle.moves import Move
from lifecycle.notices import notices_of_move
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import OutboxEvent, put_event_and_notices
from lifecycle.statuses import DELIVERY_STATUSES, Status, find_transition
from lifecycle.versions import LockedVersion

#: Type and topic of the event.
STATUS_CHANGED = "automation_status_changed"


class ForbiddenTransitionError(Exception):
    """The caller asked for a move that the table of transitions does not have: a bug, since it should have asked."""


def move_version(
    connection: sa.Connection,
    version: LockedVersion,
    move: Move,
    *,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> None:
    """Write the move, and what people are told of it. The caller holds the version's locks and has checked the
    prerequisites.
    """
    back = version.status is Status.BLOCKED and move.target is version.blocked_from_status
    if find_transition(move.operation, version.status, None if back else move.target) is None:
        raise ForbiddenTransitionError(f"{move.operation}: {version.status} to {move.target}")
    changed = {
        "status": move.target,
        "status_changed_at": version.now,
        "status_changed_by_user_id": actor_context.user_id,
        "updated_at": version.now,
        **move.columns,
    }
    expressions = {name: value for name, value in changed.items() if isinstance(value, sa.ColumnElement)}
    update = _update_of(frozenset(changed.keys() - expressions.keys()))
    connection.execute(
        update.values(expressions) if expressions else update,
        {"this_tenant": version.tenant_id, "this_version": version.id}
        | {name: value for name, value in changed.items() if name not in expressions},
    )
    if version.project_id is not None and move.target in DELIVERY_STATUSES:
        connection.execute(
            sa.update(tables.projects)
            .where(tables.projects.c.tenant_id == version.tenant_id, tables.projects.c.id == version.project_id)
            .values(status=move.target, delivery_phase=move.target, updated_at=version.now)
        )
    history = {
        "from_status": version.status,
        "to_status": move.target,
        "operation": move.operation,
        "actor": actor_context.actor,
        "system_initiated": actor_context.system_initiated,
        "reason_code": move.reason_code,
        "episode_id": move.episode_id,
        "decision_id": move.decision_id,
        "changed_at": version.now,
    }
    connection.execute(
        _PUT_HISTORY,
        {"tenant_id": version.tenant_id, "automation_version_id": version.id, **history},
    )
    update_status = AuditEntry(
        action=AuditAction.UPDATE_STATUS,
        resource_type="automation_version",
        resource_id=version.id,
        episode_id=move.episode_id,
        decision_id=move.decision_id,
        metadata={
            "from_status": version.status,
            "to_status": move.target,
            "project_id": version.project_id,
            "quote_id": None if version.quote is None else version.quote.id,
            "blocked_reason": move.columns.get("blocked_reason"),
            "reason_code": move.reason_code,
            "system_initiated": actor_context.system_initiated,
        },
    )
    write_audit(
        connection,
        tenant_id=version.tenant_id,
        actor_context=actor_context,
        entries=[update_status, *move.audit],
    )
    put_event_and_notices(
        connection,
        _status_changed(version, move, actor_context),
        notices_of_move(connection, version, move, actor_context=actor_context, options=options),
    )


@cache
def _update_of(columns: frozenset[str]) -> sa.Update:
    """The update of a version that sets these columns. There are few such sets, and each is compiled once."""
    table = tables.automation_versions
    return (
        sa.update(table)
        .where(table.c.tenant_id == sa.bindparam("this_tenant"), table.c.id == sa.bindparam("this_version"))
        .values({name: sa.bindparam(name, type_=table.c[name].type) for name in sorted(columns)})
    )


_PUT_HISTORY = sa.insert(tables.automation_versions_status_history)


def _status_changed(version: LockedVersion, move: Move, actor_context: ActorContext) -> OutboxEvent:
    # `updated_at` grows with every change of a version, so it tells one step from the next.
    event_id = stable_id(STATUS_CHANGED, version.tenant_id, version.id, version.now.isoformat())
    return OutboxEvent(
        event_id=event_id,
        type=STATUS_CHANGED,
        tenant_id=version.tenant_id,
        subject=version.id,
        message_key=version.workflow_id,
        occurred_at=version.now,
        payload={
            "event_id": event_id,
            "tenant_id": version.tenant_id,
            "automation_id": version.automation_id,
            "version_id": version.id,
            "workflow_id": version.workflow_id,
            "from": version.status,
            "to": move.target,
            "actor": actor_context.actor,
            "reason_code": move.reason_code,
            "occurred_at": version.now.isoformat(),
            "metadata": {"episode_id": move.episode_id, "decision_id": move.decision_id},
        },
    )
