"""Let a decision that waits go on, because a person says so (30.6)."""

from datetime import timedelta

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.blacklist import Trip, blacklist_tripped
from lifecycle.blocking import BlockOutcome, request_block_for_credentials
from lifecycle.breaker.half_open import HalfOpenPolicy
from lifecycle.guard.counts import take_guard_lock
from lifecycle.guard.holds import end_hold, lock_hold, no_longer_waits, set_decision_outcome
from lifecycle.kinds import DecisionKind, DecisionOutcome, HoldStatus
from lifecycle.options import LifecycleOptions
from lifecycle.refusals import Refusal
from lifecycle.workflows import find_workflow


def release_hold(
    connection: sa.Connection,
    *,
    hold_id: str,
    actor_context: ActorContext,
    reason: str | None,
    options: LifecycleOptions,
) -> bool:
    """Apply a decision that waits, as its releaser's own act; False when it was released already.

    What it asks for may be refused by now, or be so already; the decision's row says what became of it.
    `LifecycleError`: `not_found`, `forbidden`, or `concurrency_conflict` when it no longer waits. The transaction is
    the caller's.
    """
    take_guard_lock(connection)
    row = lock_hold(connection, hold_id, actor_context)
    if row.status == HoldStatus.RELEASED:
        return False
    if row.status != HoldStatus.HELD:
        raise no_longer_waits()
    end_hold(connection, row, HoldStatus.RELEASED, actor_context=actor_context, reason=reason)
    if row.decision_kind == DecisionKind.BLACKLIST_WORKFLOW:
        outcome, became = _blacklist(connection, row, actor_context, options)
    else:
        outcome, became = _block(connection, row, actor_context, options)
    set_decision_outcome(connection, row.decision_id, outcome, became)
    return True


def _block(
    connection: sa.Connection, row: sa.Row[tuple[object, ...]], actor_context: ActorContext, options: LifecycleOptions
) -> tuple[DecisionOutcome, str]:
    # The decision's row knows the policy, also where the block had been done and was taken back.
    policy_id = connection.execute(
        sa.select(tables.decisions.c.policy_id).where(tables.decisions.c.decision_id == row.decision_id)
    ).scalar_one()
    result = request_block_for_credentials(
        connection,
        tenant_id=row.tenant_id,
        automation_version_id=row.automation_version_id,
        actor_context=actor_context,
        failed_systems=row.request["failed_systems"],
        policy_id=policy_id,
        decision_id=row.decision_id,
        occurred_at=row.occurred_at,
        again=row.id if row.undone else None,
        options=options,
    )
    if result.outcome is BlockOutcome.REFUSED:
        return DecisionOutcome.REFUSED, str(result.refusal)
    return DecisionOutcome.APPLIED, result.outcome


def _blacklist(
    connection: sa.Connection, row: sa.Row[tuple[object, ...]], actor_context: ActorContext, options: LifecycleOptions
) -> tuple[DecisionOutcome, str]:
    workflow = find_workflow(connection, row.tenant_id, row.workflow_id, row.automation_version_id)
    if isinstance(workflow, Refusal):
        return DecisionOutcome.REFUSED, workflow
    trip = Trip(
        stuck_count=row.request["stuck_count"],
        threshold=row.request["threshold"],
        window=timedelta(seconds=row.request["window_seconds"]),
        execution_ids=row.request["execution_ids"],
        automation_version_id=row.automation_version_id,
        half_open=HalfOpenPolicy.of_fields(row.request),
    )
    won = blacklist_tripped(
        connection, workflow, trip, actor_context=actor_context, decision_id=row.decision_id, options=options
    )
    return DecisionOutcome.APPLIED, "already_applied" if won is None else "blacklisted"
