"""Decisions that wait: put on hold, listed, rejected. How one is released: `release.py` (30.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.capabilities import Capability
from lifecycle.control_events import ControlKind, put_control_event
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.ids import stable_id
from lifecycle.kinds import AuditAction, DecisionKind, DecisionOutcome, HoldKind, HoldStatus
from lifecycle.texts import typed_reason

_holds = tables.holds.c
MAX_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDecision:
    """What is needed to hold a decision, and to apply it later."""

    tenant_id: str
    automation_version_id: str | None
    workflow_id: str
    system_keys: Sequence[str]
    decision_id: str
    decision_kind: str
    #: The arguments of the request, as JSON.
    request: Mapping[str, Any]
    occurred_at: datetime


def put_on_hold(
    connection: sa.Connection,
    held: HeldDecision,
    *,
    kind: HoldKind,
    incident_id: str | None,
    actor_context: ActorContext,
    undone: bool = False,
) -> str | None:
    """Write a hold; None when one for the same automation and reason waits already, which then stands for both.

    The caller holds the guard's lock, so looking and adding are one step.
    """
    same = connection.execute(
        sa.select(_holds.id).where(
            _holds.tenant_id == held.tenant_id,
            _holds.workflow_id == held.workflow_id,
            _holds.decision_kind == held.decision_kind,
            _holds.kind == kind,
            _holds.incident_id.is_not_distinct_from(sa.cast(incident_id, _holds.incident_id.type)),
            _holds.status == HoldStatus.HELD,
        )
    ).first()
    if same is not None:
        return None
    hold_id = stable_id("hold", held.decision_id)
    connection.execute(
        insert(tables.holds).on_conflict_do_nothing(),
        {
            "id": hold_id,
            "kind": kind,
            "tenant_id": held.tenant_id,
            "automation_version_id": held.automation_version_id,
            "workflow_id": held.workflow_id,
            "system_keys": list(held.system_keys),
            "incident_id": incident_id,
            "decision_id": held.decision_id,
            "decision_kind": held.decision_kind,
            "request": dict(held.request),
            "undone": undone,
            "occurred_at": held.occurred_at,
        },
    )
    write_audit(
        connection,
        tenant_id=held.tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.HOLD_DECISION,
                resource_type="hold",
                resource_id=hold_id,
                decision_id=held.decision_id,
                metadata={
                    "kind": kind,
                    "incident_id": incident_id,
                    "automation_version_id": held.automation_version_id,
                    "workflow_id": held.workflow_id,
                    "system_keys": list(held.system_keys),
                    "undone": undone,
                },
            )
        ],
    )
    return hold_id


def find_hold(connection: sa.Connection, hold_id: str) -> sa.Row[Any]:
    """A hold that this transaction has written."""
    return connection.execute(sa.select(tables.holds).where(_holds.id == hold_id)).one()


def lock_hold(connection: sa.Connection, hold_id: str, actor_context: ActorContext) -> sa.Row[Any]:
    """The hold, locked; `LifecycleError` when there is none, or the asking one may not decide on it."""
    row = connection.execute(sa.select(tables.holds).where(_holds.id == hold_id).with_for_update()).first()
    if row is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such hold.")
    if Capability.HOLDS not in actor_context.capabilities:
        raise LifecycleError(ErrorCode.FORBIDDEN, "Holds are released and rejected by operations' admins.")
    return row


def reject_hold(connection: sa.Connection, *, hold_id: str, actor_context: ActorContext, reason: str) -> bool:
    """Say no to a decision that waits; False when that was said already. The transaction is the caller's.

    `LifecycleError`: `not_found`, `forbidden`, `reason_required`, or `concurrency_conflict` when it no longer waits.
    """
    row = lock_hold(connection, hold_id, actor_context)
    if row.status == HoldStatus.REJECTED:
        return False
    if row.status != HoldStatus.HELD:
        raise no_longer_waits()
    if typed_reason(reason) is None:
        raise LifecycleError(ErrorCode.REASON_REQUIRED, "Say why the decision is rejected.")
    end_hold(connection, row, HoldStatus.REJECTED, actor_context=actor_context, reason=reason)
    set_decision_outcome(connection, row.decision_id, DecisionOutcome.REFUSED, "rejected")
    if row.decision_kind == DecisionKind.BLACKLIST_WORKFLOW:
        # The detector takes the workflow for blacklisted, and would say nothing of it any more.
        put_control_event(
            connection,
            kind=ControlKind.WORKFLOW_RELEASED,
            cause=row.id,
            tenant_id=row.tenant_id,
            workflow_id=row.workflow_id,
            occurred_at=connection.execute(
                sa.select(sa.func.clock_timestamp(type_=_holds.occurred_at.type))
            ).scalar_one(),
            fields={},
        )
    return True


def end_hold(
    connection: sa.Connection,
    row: sa.Row[Any],
    status: HoldStatus,
    *,
    actor_context: ActorContext,
    reason: str | None,
) -> None:
    """Write how a hold ended."""
    connection.execute(
        sa.update(tables.holds)
        .where(_holds.id == row.id)
        .values(
            status=status,
            ended_at=sa.func.clock_timestamp(),
            ended_by=actor_context.actor,
            reason=typed_reason(reason, MAX_REASON),
        )
    )
    write_audit(
        connection,
        tenant_id=row.tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.END_HOLD,
                resource_type="hold",
                resource_id=row.id,
                decision_id=row.decision_id,
                metadata={"status": status, "kind": row.kind, "incident_id": row.incident_id},
            )
        ],
    )


def set_decision_outcome(
    connection: sa.Connection, decision_id: str, outcome: DecisionOutcome, outcome_reason: str
) -> None:
    """Say on a decision's row what became of it in the end."""
    connection.execute(
        sa.update(tables.decisions)
        .where(tables.decisions.c.decision_id == decision_id)
        .values(outcome=outcome, outcome_reason=outcome_reason)
    )


def no_longer_waits() -> LifecycleError:
    """Somebody else has decided on it, or its incident is over."""
    return LifecycleError(ErrorCode.CONCURRENCY_CONFLICT, "This decision no longer waits; load it again.")
