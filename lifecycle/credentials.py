"""What is learned of credentials: recorded once, told to the monitor, and the end of blocks that it allows (30.4)."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.capabilities import Capability
from lifecycle.change_status import forbidden
from lifecycle.control_events import ControlKind, put_control_event
from lifecycle.credential_checks import needed_by, unverified
from lifecycle.credential_unblocking import UnblockMode, ask_a_person, request_unblock_for_credentials
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import AuditAction, CredentialStatus
from lifecycle.options import LifecycleOptions
from lifecycle.statuses import Status
from lifecycle.unblocking import failed_systems
from lifecycle.versions import lock_version

_credentials = tables.credentials.c

#: Statuses that the monitor hears of: the credential is of no use any more.
FAILED = frozenset({CredentialStatus.INVALID, CredentialStatus.EXPIRED, CredentialStatus.REVOKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialResult:
    """What an event led to."""

    status: CredentialStatus
    #: False: the event was known already, or something newer is.
    changed: bool
    #: Versions that it unblocked.
    unblocked: tuple[str, ...] = ()


def record_credential_event(
    connection: sa.Connection,
    *,
    tenant_id: str,
    credential_id: str,
    status: CredentialStatus,
    occurred_at: datetime,
    event_id: str,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> CredentialResult:
    """Record that a credential was seen to work, or not to; the same event id again changes nothing.

    An event older than the newest one that counted is recorded and has no effect. One that completes what a block
    waits for ends it, if the policy says so. `LifecycleError`: `not_found`, `forbidden`. The transaction is the
    caller's, and holds no lock of the lifecycle yet.
    """
    if Capability.MANAGE_CREDENTIALS not in actor_context.capabilities:
        raise forbidden()
    row = connection.execute(
        sa.select(tables.credentials)
        .where(_credentials.tenant_id == tenant_id, _credentials.id == credential_id)
        .with_for_update()
    ).first()
    if row is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such credential in this tenant.")
    new = connection.execute(
        insert(tables.credential_events).on_conflict_do_nothing().returning(tables.credential_events.c.event_id),
        {
            "event_id": event_id,
            "tenant_id": tenant_id,
            "credential_id": credential_id,
            "status": status,
            "occurred_at": occurred_at,
            "actor": actor_context.actor,
        },
    ).first()
    if new is None or (row.status_changed_at is not None and occurred_at < row.status_changed_at):
        return CredentialResult(status=CredentialStatus(row.status), changed=False)
    works = status is CredentialStatus.ACTIVE
    connection.execute(
        sa.update(tables.credentials)
        .where(_credentials.tenant_id == tenant_id, _credentials.id == credential_id)
        .values(
            status=status,
            status_changed_at=occurred_at,
            last_validated_at=occurred_at if works else _credentials.last_validated_at,
            updated_at=sa.func.clock_timestamp(),
        )
    )
    write_audit(
        connection,
        tenant_id=tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.MANAGE_CREDENTIALS,
                resource_type="credential",
                resource_id=credential_id,
                metadata={"credential_status": status, "from_status": row.status, "system_key": row.system_key},
            )
        ],
    )
    versions = needed_by(connection, tenant_id, credential_id)
    if works:
        unblocked = tuple(
            version_id for version_id in versions if _unblock(connection, tenant_id, version_id, actor_context, options)
        )
        return CredentialResult(status=status, changed=True, unblocked=unblocked)
    if status in FAILED:
        for workflow_id in _workflows(connection, tenant_id, credential_id):
            put_control_event(
                connection,
                kind=ControlKind.CREDENTIAL_EVENT,
                cause=event_id,
                tenant_id=tenant_id,
                workflow_id=workflow_id,
                occurred_at=occurred_at,
                fields={"system_key": row.system_key, "status": status},
            )
    return CredentialResult(status=status, changed=True)


def _unblock(
    connection: sa.Connection, tenant_id: str, version_id: str, actor_context: ActorContext, options: LifecycleOptions
) -> bool:
    """End the version's block if all that it waits for works now, and the policy lets nobody else be asked."""
    version = lock_version(connection, tenant_id, version_id)
    if version is None or version.status is not Status.BLOCKED or not failed_systems(connection, version):
        return False
    if unverified(connection, version) or not options.unblock_automatically:
        return False
    if options.unblock_needs_ops_approval and Capability.UNBLOCK not in actor_context.capabilities:
        ask_a_person(connection, version, options)
        return False
    try:
        result = request_unblock_for_credentials(
            connection,
            tenant_id=tenant_id,
            automation_version_id=version_id,
            actor_context=actor_context,
            mode=UnblockMode.VERIFIED,
            options=options,
        )
    except LifecycleError:
        # Another version went Live in its place, or its automation was archived: raised before anything is written.
        return False
    return result.automation_version.status is not Status.BLOCKED


def _workflows(connection: sa.Connection, tenant_id: str, credential_id: str) -> list[str]:
    """The workflows whose versions need a credential; a version without a binding stands for its workflow."""
    needs, bindings = tables.automation_version_credentials.c, tables.workflow_bindings.c
    return sorted(
        set(
            connection.execute(
                sa.select(sa.func.coalesce(bindings.wrk_workflow_id, needs.automation_version_id))
                .outerjoin_from(
                    tables.automation_version_credentials,
                    tables.workflow_bindings,
                    sa.and_(
                        bindings.tenant_id == needs.tenant_id,
                        bindings.automation_version_id == needs.automation_version_id,
                    ),
                )
                .where(needs.tenant_id == tenant_id, needs.credential_id == credential_id)
            ).scalars()
        )
    )
