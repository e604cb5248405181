"""Hold workflows, and what executions ask for, back at the admission gate (50.2)."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.kinds import AuditAction, GateHoldKind

_holds = tables.gate_holds.c


def put_gate_hold(
    connection: sa.Connection,
    *,
    tenant_id: str,
    workflow_id: str,
    kind: GateHoldKind,
    actor_context: ActorContext,
    case_id: str | None = None,
    execution_id: str | None = None,
    decision_id: str | None = None,
) -> str | None:
    """Refuse runs from the caller's commit on; the new hold's id, None when there is one like it already.

    `execution_id` is of `block_dispatch`: the execution that may start nothing any more.
    """
    hold_id = connection.execute(
        insert(tables.gate_holds).on_conflict_do_nothing().returning(_holds.id),
        {
            "tenant_id": tenant_id,
            "workflow_id": workflow_id,
            "kind": kind,
            "case_id": case_id,
            "execution_id": execution_id,
            "created_by": actor_context.actor,
        },
    ).scalar()
    if hold_id is not None:
        _audit(connection, AuditAction.HOLD_AT_GATE, tenant_id, workflow_id, [kind], actor_context, decision_id)
    return hold_id


def release_gate_hold(
    connection: sa.Connection,
    *,
    tenant_id: str,
    workflow_id: str,
    actor_context: ActorContext,
    kind: GateHoldKind | None = None,
    case_id: str | None = None,
) -> int:
    """Let runs start again from the caller's commit on; how many holds that ended.

    Of all kinds unless one is named, of all cases unless one is.
    """
    chosen = [_holds.tenant_id == tenant_id, _holds.workflow_id == workflow_id, _holds.released_at.is_(None)]
    if kind is not None:
        chosen.append(_holds.kind == kind)
    if case_id is not None:
        chosen.append(_holds.case_id == case_id)
    ended = connection.execute(
        sa.update(tables.gate_holds)
        .where(*chosen)
        .values(released_at=sa.func.now(), released_by=actor_context.actor)
        .returning(_holds.kind)
    ).all()
    if ended:
        kinds = sorted({GateHoldKind(row.kind) for row in ended})
        _audit(connection, AuditAction.RELEASE_AT_GATE, tenant_id, workflow_id, kinds, actor_context, None)
    return len(ended)


def _audit(
    connection: sa.Connection,
    action: AuditAction,
    tenant_id: str,
    workflow_id: str,
    kinds: list[GateHoldKind],
    actor_context: ActorContext,
    decision_id: str | None,
) -> None:
    write_audit(
        connection,
        tenant_id=tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=action,
                resource_type="workflow",
                resource_id=workflow_id,
                decision_id=decision_id,
                metadata={"kinds": [kind.value for kind in kinds]},
            )
        ],
    )
