"""Flow 35: take a version out of use, its workflow switched off first (30.1, 30.5)."""

from lifecycle.actors import ActorContext
from lifecycle.change_status import allowed_transition
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.intents import end_intent, lock_open_intent, lock_unchanged, open_intent, runs_for_another
from lifecycle.kinds import BindingStatus, IntentKind, IntentStatus
from lifecycle.options import LifecycleOptions
from lifecycle.platform import UNCERTAIN, Platform, PlatformError
from lifecycle.results import NO_HINTS, Hints, StatusResult, Transact, check_hints, not_found, read_result
from lifecycle.retire import retire
from lifecycle.statuses import Status
from lifecycle.texts import typed_reason
from lifecycle.versions import lock_version


def archive(
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
    """Archive a version; one that is archived already is left as it is.

    `LifecycleError`: those of `change_status`; `archive_remote_deactivation_failed` when the platform did not switch
    the workflow off, and then nothing has changed. A workflow that another version runs too is left on.
    """
    reason = typed_reason(reason)
    with transact() as connection:
        version = lock_version(connection, tenant_id, automation_version_id)
        if version is None:
            raise not_found()
        if version.status is Status.ARCHIVED:
            return read_result(connection, tenant_id, automation_version_id, already_applied=True)
        allowed_transition(version, Status.ARCHIVED, actor_context)
        check_hints(hints, version.status, version.updated_at)
        binding = version.binding
        if binding is None or binding.status is not BindingStatus.ACTIVE or runs_for_another(connection, version):
            retire(
                connection,
                version,
                reason_code="archive",
                reason=reason,
                actor_context=actor_context,
                options=options,
            )
            return read_result(connection, tenant_id, automation_version_id, already_applied=False)
        intent_id = open_intent(connection, version, IntentKind.ARCHIVE, actor_context=actor_context)
    assert binding.wrk_workflow_id is not None  # a constraint says so of an active binding
    try:
        platform.deactivate(binding.wrk_workflow_id, idempotency_key=f"{IntentKind.ARCHIVE}:{intent_id}")
    except PlatformError as error:
        with transact() as connection:
            status = IntentStatus.COMPENSATING if error.fault in UNCERTAIN else IntentStatus.FAILED
            end_intent(connection, intent_id, status, error_code=error.fault)
        raise LifecycleError(
            ErrorCode.ARCHIVE_REMOTE_DEACTIVATION_FAILED,
            "The platform did not switch the workflow off; nothing has changed.",
        ) from None
    try:
        with transact() as connection:
            lock_open_intent(connection, intent_id)
            now = lock_unchanged(connection, version)
            retire(connection, now, reason_code="archive", reason=reason, actor_context=actor_context, options=options)
            end_intent(connection, intent_id, IntentStatus.COMMITTED)
            return read_result(connection, tenant_id, automation_version_id, already_applied=False)
    except LifecycleError:
        with transact() as connection:
            end_intent(connection, intent_id, IntentStatus.COMPENSATING)
        raise
