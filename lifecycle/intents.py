"""What was asked of the platform: written before it is asked, ended when both sides agree (30.5).

An intent that nobody ends, since its process died or the platform did not answer, is ended by the sweeper
(`sweep.py`): it makes the platform what the bindings say.
"""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.ids import stable_id
from lifecycle.kinds import BindingStatus, IntentKind, IntentStatus
from lifecycle.platform import Platform, WorkflowState
from lifecycle.statuses import Status
from lifecycle.versions import LockedVersion, lock_version

#: How long the one who opened an intent has for it alone: longer than all tries of one call.
GRACE = timedelta(minutes=2)

OPEN = (IntentStatus.OPEN, IntentStatus.COMPENSATING)

_intents = tables.platform_intents.c
_bindings = tables.workflow_bindings.c
_versions = tables.automation_versions.c


def open_intent(
    connection: sa.Connection,
    version: LockedVersion,
    kind: IntentKind,
    *,
    actor_context: ActorContext,
    wait: timedelta = GRACE,
) -> str:
    """Write what is about to be asked for a locked version with a workflow; the intent's id.

    `LifecycleError` `concurrency_conflict` while another one of the version, or of its workflow, is open.
    """
    assert version.binding is not None and version.binding.wrk_workflow_id is not None  # noqa: PT018  (checked before)
    of_version = _intents.automation_version_id == version.id
    if not claim_workflow(connection, version.tenant_id, version.binding.wrk_workflow_id) or _is_open(
        connection, version.tenant_id, of_version
    ):
        raise LifecycleError(
            ErrorCode.CONCURRENCY_CONFLICT, "The platform is being asked about this workflow already; wait for it."
        )
    intent_id = stable_id("intent", kind, version.tenant_id, version.id, version.now.isoformat())
    connection.execute(
        sa.insert(tables.platform_intents).values(
            id=intent_id,
            tenant_id=version.tenant_id,
            automation_version_id=version.id,
            kind=kind,
            wrk_workflow_id=version.binding.wrk_workflow_id,
            idempotency_key=f"{kind}:{intent_id}",
            actor=actor_context.actor,
            next_attempt_at=version.now + wait,
        )
    )
    return intent_id


def claim_workflow(connection: sa.Connection, tenant_id: str, workflow_id: str) -> bool:
    """Keep everybody else from asking for a workflow until the transaction ends; False when somebody does already.

    Versions may share a workflow: what is taken back for one must not meet what is done for another.
    """
    key = sa.func.hashtextextended(f"platform:{tenant_id}:{workflow_id}", 0)
    claimed = connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(key))).scalar_one()
    return bool(claimed) and not _is_open(connection, tenant_id, _intents.wrk_workflow_id == workflow_id)


def _is_open(connection: sa.Connection, tenant_id: str, which: sa.ColumnElement[bool]) -> bool:
    found = sa.select(_intents.id).where(_intents.tenant_id == tenant_id, which, _intents.status.in_(OPEN)).limit(1)
    return connection.execute(found).first() is not None


def lock_open_intent(connection: sa.Connection, intent_id: str) -> None:
    """Hold an intent that is still one's own; `concurrency_conflict` when the sweeper has taken it over."""
    row = connection.execute(sa.select(_intents.status).where(_intents.id == intent_id).with_for_update()).scalar_one()
    if row != IntentStatus.OPEN:
        raise LifecycleError(
            ErrorCode.CONCURRENCY_CONFLICT, "The platform took too long, and what it did is being taken back."
        )


def lock_unchanged(connection: sa.Connection, before: LockedVersion) -> LockedVersion:
    """Lock a version again after the platform was asked; `concurrency_conflict` when anything of it has changed."""
    version = lock_version(connection, before.tenant_id, before.id)
    if version is None or version.updated_at != before.updated_at or version.binding != before.binding:
        raise LifecycleError(
            ErrorCode.CONCURRENCY_CONFLICT, "The version was changed while the platform was being asked."
        )
    return version


def end_intent(
    connection: sa.Connection, intent_id: str, status: IntentStatus, *, error_code: str | None = None
) -> None:
    """Write how an intent stands now; one that is ended stays as it ended."""
    ended = None if status in OPEN else sa.func.clock_timestamp()
    connection.execute(
        sa.update(tables.platform_intents)
        .where(_intents.id == intent_id, _intents.status.in_(OPEN))
        .values(status=status, error_code=error_code, ended_at=ended, next_attempt_at=sa.func.clock_timestamp())
    )


def wanted_state(connection: sa.Connection, tenant_id: str, workflow_id: str) -> WorkflowState:
    """What the bindings say: a workflow runs while an active binding of a version that is not archived leads to it."""
    active = connection.execute(
        sa.select(_bindings.id)
        .join(
            tables.automation_versions,
            sa.and_(_versions.tenant_id == _bindings.tenant_id, _versions.id == _bindings.automation_version_id),
        )
        .where(
            _bindings.tenant_id == tenant_id,
            _bindings.wrk_workflow_id == workflow_id,
            _bindings.status == BindingStatus.ACTIVE,
            _versions.status != Status.ARCHIVED,
        )
        .limit(1)
    ).first()
    return WorkflowState.INACTIVE if active is None else WorkflowState.ACTIVE


def runs_for_another(connection: sa.Connection, version: LockedVersion) -> bool:
    """Whether another version's active binding leads to the same workflow."""
    assert version.binding is not None
    other = connection.execute(
        sa.select(_bindings.id)
        .where(
            _bindings.tenant_id == version.tenant_id,
            _bindings.wrk_workflow_id == version.binding.wrk_workflow_id,
            _bindings.automation_version_id != version.id,
            _bindings.status == BindingStatus.ACTIVE,
        )
        .limit(1)
    ).first()
    return other is not None


def make_platform(platform: Platform, workflow_id: str, state: WorkflowState, *, idempotency_key: str) -> None:
    """Ask for a state; `PlatformError` when the platform does not say that it is so."""
    if state is WorkflowState.ACTIVE:
        platform.activate(workflow_id, idempotency_key=idempotency_key)
    else:
        platform.deactivate(workflow_id, idempotency_key=idempotency_key)


def set_binding(connection: sa.Connection, version: LockedVersion, status: BindingStatus) -> None:
    """Write the state of a locked version's binding."""
    assert version.binding is not None
    connection.execute(
        sa.update(tables.workflow_bindings)
        .where(_bindings.id == version.binding.id)
        .values(status=status, updated_at=version.now)
    )


def list_open_intents(connection: sa.Connection) -> list[sa.Row[*tuple[Any, ...]]]:
    """All that are not ended, oldest first."""
    return list(
        connection.execute(
            sa.select(tables.platform_intents)
            .where(_intents.status.in_(OPEN))
            .order_by(_intents.opened_at, _intents.id)
        )
    )
