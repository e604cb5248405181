"""Flow 24: switch a version's workflow on, then make the version Live and archive the one before it (30.5).

Three steps, each a transaction or a call: the intent is committed; the platform is asked; the rest is committed. A
process that dies between any two of them leaves an open intent, which the sweeper ends.
"""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry
from lifecycle.change_status import allowed_transition, invalid_transition
from lifecycle.deploy_approval import is_approved, request_approval
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.intents import end_intent, lock_open_intent, lock_unchanged, open_intent, set_binding, wanted_state
from lifecycle.kinds import AuditAction, BindingStatus, IntentKind, IntentStatus
from lifecycle.moves import Move
from lifecycle.options import LifecycleOptions
from lifecycle.platform import UNCERTAIN, Platform, PlatformError, WorkflowState
from lifecycle.platform_notices import tell_of_problem
from lifecycle.prerequisites import Asked, check
from lifecycle.results import NO_HINTS, Hints, StatusResult, Transact, check_hints, not_found, read_result
from lifecycle.retire import retire
from lifecycle.statuses import Operation, Status
from lifecycle.texts import typed_reason
from lifecycle.transitions import move_version
from lifecycle.versions import LockedVersion, lock_version

_versions = tables.automation_versions.c


def deploy(
    transact: Transact,
    platform: Platform,
    *,
    tenant_id: str,
    automation_version_id: str,
    actor_context: ActorContext,
    hints: Hints = NO_HINTS,
    reason: str | None = None,
    options: LifecycleOptions,
) -> StatusResult:
    """Deploy a version that is Ready to Launch; one that is Live already is left as it is.

    `LifecycleError`: those of `change_status`; `precondition_failed` for the binding; `approval_required`;
    `deployment_failed` when the platform did not do it, and then nothing has changed. SQLAlchemy's errors when the
    database is away: what the platform has done by then is taken back.
    """
    reason = typed_reason(reason)
    with transact() as connection:
        version = lock_version(connection, tenant_id, automation_version_id)
        if version is None:
            raise not_found()
        if version.status is Status.LIVE:
            return read_result(connection, tenant_id, automation_version_id, already_applied=True)
        transition = allowed_transition(version, Status.LIVE, actor_context)
        if transition.operation is not Operation.DEPLOY:
            raise invalid_transition(version.status, Status.LIVE)
        check_hints(hints, version.status, version.updated_at)
        check(Asked(connection, version, options), transition)
        approved = not options.deploy_needs_approval or is_approved(connection, version, actor_context)
        if approved:
            intent_id = open_intent(connection, version, IntentKind.DEPLOY, actor_context=actor_context)
        else:
            # Committed by leaving the block, and refused after it.
            request_approval(connection, version, options)
    if not approved:
        raise LifecycleError(
            ErrorCode.APPROVAL_REQUIRED, "A second person must complete the approval task before this is deployed."
        )
    assert version.binding is not None and version.binding.wrk_workflow_id is not None  # noqa: PT018  (checked above)
    try:
        platform.activate(version.binding.wrk_workflow_id, idempotency_key=f"{IntentKind.DEPLOY}:{intent_id}")
    except PlatformError as error:
        with transact() as connection:
            status = IntentStatus.COMPENSATING if error.fault in UNCERTAIN else IntentStatus.FAILED
            end_intent(connection, intent_id, status, error_code=error.fault)
            tell_of_problem(
                connection,
                version,
                cause=intent_id,
                problem="the platform did not activate its workflow.",
                next_step="Nothing has changed. Look at the platform, then deploy again.",
                options=options,
            )
        raise LifecycleError(
            ErrorCode.DEPLOYMENT_FAILED, "The platform did not activate the workflow; nothing has changed."
        ) from None
    try:
        with transact() as connection:
            lock_open_intent(connection, intent_id)
            _commit(connection, version, intent_id, actor_context, reason, options)
            return read_result(connection, tenant_id, automation_version_id, already_applied=False)
    except LifecycleError:
        with transact() as connection:
            end_intent(connection, intent_id, IntentStatus.COMPENSATING)
        raise


def _commit(
    connection: sa.Connection,
    before: LockedVersion,
    intent_id: str,
    actor_context: ActorContext,
    reason: str | None,
    options: LifecycleOptions,
) -> None:
    version = lock_unchanged(connection, before)
    previous_id = connection.execute(
        sa.select(_versions.id).where(
            _versions.tenant_id == version.tenant_id,
            _versions.automation_id == version.automation_id,
            _versions.status == Status.LIVE,
        )
    ).scalar()
    previous = None if previous_id is None else lock_version(connection, version.tenant_id, previous_id)
    if previous is not None:
        retire(connection, previous, reason_code="replaced", actor_context=actor_context, options=options)
    set_binding(connection, version, BindingStatus.ACTIVE)
    move_version(
        connection,
        version,
        Move(
            operation=Operation.DEPLOY,
            target=Status.LIVE,
            columns={
                "status_metadata": _versions.status_metadata.op("||")(_deployment(version, previous, actor_context))
            },
            reason_code="deploy",
            reason=reason,
            audit=(
                AuditEntry(
                    action=AuditAction.DEPLOY,
                    resource_type="automation_version",
                    resource_id=version.id,
                    metadata={
                        "from_status": version.status,
                        "to_status": Status.LIVE,
                        "workflow_binding_id": None if version.binding is None else version.binding.id,
                        "previous_version_id": previous_id,
                        "previous_workflow_binding_id": None
                        if previous is None or previous.binding is None
                        else previous.binding.id,
                        "deployment_reason": reason,
                    },
                ),
            ),
        ),
        actor_context=actor_context,
        options=options,
    )
    end_intent(connection, intent_id, IntentStatus.COMMITTED)
    if previous is not None and previous.binding is not None and previous.binding.wrk_workflow_id is not None:
        still = wanted_state(connection, previous.tenant_id, previous.binding.wrk_workflow_id)
        if still is WorkflowState.INACTIVE:
            open_intent(connection, previous, IntentKind.REPLACE, actor_context=actor_context, wait=timedelta(0))


def _deployment(
    version: LockedVersion, previous: LockedVersion | None, actor_context: ActorContext
) -> sa.ColumnElement[Any]:
    deployment = {
        "deployment": {
            "deployed_at": version.now.isoformat(),
            "deployed_by": actor_context.actor,
            "previous_version_id": None if previous is None else previous.id,
        }
    }
    return sa.literal(deployment, _versions.status_metadata.type)
