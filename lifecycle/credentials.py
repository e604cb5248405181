"""What is learned of credentials, and what follows: unblock by itself, or a warning to the monitor (30.4, Flow 26)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.capabilities import CAPABILITIES, Capability, Role
from lifecycle.control_events import ControlKind, put_control_event
from lifecycle.credential_checks import UNKNOWN_SYSTEM, unverified
from lifecycle.credential_unblocking import UnblockMode, ask_a_person, request_unblock_for_credentials
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import AuditAction, AutomationStatus, CredentialStatus
from lifecycle.options import LifecycleOptions
from lifecycle.statuses import Status
from lifecycle.systems import find_stored_keys
from lifecycle.unblocking import failed_systems
from lifecycle.versions import LockedVersion, lock_version

#: Who unblocks when an event completes the set, whoever sent the event: a person who says that a credential works
#: has not thereby agreed to an unblock.
CREDENTIALS = ActorContext(
    actor="service:credentials", invoked_via="credential_event", capabilities=CAPABILITIES[Role.SERVICE]
)

#: A credential that is known to be of no use; the monitor is told.
FAILED = frozenset({CredentialStatus.INVALID, CredentialStatus.EXPIRED, CredentialStatus.REVOKED})

_credentials = tables.credentials.c
_versions = tables.automation_versions.c
_needs = tables.automation_version_credentials.c


class CredentialOutcome(StrEnum):
    """What became of a credential event."""

    RECORDED = "recorded"  #: the credential is now as the event says
    LATE = "late"  #: kept, but a newer event has said otherwise
    DUPLICATE = "duplicate"  #: the tenant has an event of that id; nothing was written


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialResult:
    """The outcome, the credential's status after it, and which versions it concerned."""

    outcome: CredentialOutcome
    status: CredentialStatus
    #: Versions whose credentials reason was cleared; one that is blocked for something else too stays Blocked.
    unblocked: tuple[str, ...] = ()
    #: Versions whose credentials all work again, and that a person has to decide about.
    awaiting_a_person: tuple[str, ...] = ()


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
    """Record what somebody found out about a credential, once for each event id of a tenant.

    `active` means that it was seen to work at `occurred_at`; a time ahead of the database's clock counts as now.
    The event that completes what a block waits for ends it, if the options say so. `LifecycleError`: `not_found`,
    `forbidden`. The transaction is the caller's; it locks the credential, then every version that needs it.
    """
    if Capability.MANAGE_CREDENTIALS not in actor_context.capabilities:
        raise LifecycleError(ErrorCode.FORBIDDEN, "Your roles do not allow you to say what is true of credentials.")
    credential = connection.execute(
        sa.select(tables.credentials, sa.func.clock_timestamp(type_=sa.DateTime(timezone=True)).label("now"))
        .where(_credentials.tenant_id == tenant_id, _credentials.id == credential_id)
        .with_for_update()
    ).first()
    if credential is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such credential in this tenant.")
    event = {
        "event_id": event_id,
        "tenant_id": tenant_id,
        "credential_id": credential_id,
        "status": status,
        "occurred_at": occurred_at,
        "actor": actor_context.actor,
    }
    new = connection.execute(
        insert(tables.credential_events).on_conflict_do_nothing().returning(tables.credential_events.c.event_id), event
    ).first()
    before = CredentialStatus(credential.status)
    if new is None:
        return CredentialResult(outcome=CredentialOutcome.DUPLICATE, status=before)
    at = min(occurred_at, credential.now)
    is_late = credential.status_changed_at is not None and at < credential.status_changed_at
    write_audit(
        connection,
        tenant_id=tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.MANAGE_CREDENTIALS,
                resource_type="credential",
                resource_id=credential_id,
                metadata={
                    "system_key": find_stored_keys(connection, [credential.system_key])[credential.system_key],
                    "from_status": before,
                    "to_status": before if is_late else status,
                    "reported_status": status,
                    "late": is_late,
                },
            )
        ],
    )
    if is_late:
        return CredentialResult(outcome=CredentialOutcome.LATE, status=before)
    _write(connection, credential, status, at)
    versions = _lock_versions(connection, tenant_id, credential_id)
    if status in FAILED:
        _warn(connection, credential, versions, status, at, event_id)
    if status is not CredentialStatus.ACTIVE:
        return CredentialResult(outcome=CredentialOutcome.RECORDED, status=status)
    unblocked, awaiting = [], []
    for version in versions:
        if not _works_again(connection, version):
            continue
        if _unblock(connection, version, options):
            unblocked.append(version.id)
        else:
            ask_a_person(connection, version, options)
            awaiting.append(version.id)
    return CredentialResult(
        outcome=CredentialOutcome.RECORDED,
        status=status,
        unblocked=tuple(unblocked),
        awaiting_a_person=tuple(awaiting),
    )


def _write(
    connection: sa.Connection, credential: sa.Row[*tuple[Any, ...]], status: CredentialStatus, at: datetime
) -> None:
    validated = {"last_validated_at": at} if status is CredentialStatus.ACTIVE else {}
    connection.execute(
        sa.update(tables.credentials)
        .where(_credentials.tenant_id == credential.tenant_id, _credentials.id == credential.id)
        .values(status=status, status_changed_at=at, updated_at=sa.func.clock_timestamp(), **validated)
    )


def _lock_versions(connection: sa.Connection, tenant_id: str, credential_id: str) -> list[LockedVersion]:
    """Every version that needs the credential: a block that is being written now is waited for, and seen."""
    found = connection.execute(
        sa.select(_versions.id)
        .join(
            tables.automation_version_credentials,
            sa.and_(_needs.tenant_id == _versions.tenant_id, _needs.automation_version_id == _versions.id),
        )
        .where(_needs.tenant_id == tenant_id, _needs.credential_id == credential_id, _needs.required)
        # The automation is locked first: two events of different credentials must not wait for each other.
        .order_by(_versions.automation_id, _versions.id)
    ).scalars()
    locked = (lock_version(connection, tenant_id, version_id) for version_id in found.all())
    return [version for version in locked if version is not None]


def _warn(
    connection: sa.Connection,
    credential: sa.Row[*tuple[Any, ...]],
    versions: list[LockedVersion],
    status: CredentialStatus,
    at: datetime,
    event_id: str,
) -> None:
    for version in versions:
        if version.status is not Status.ARCHIVED:
            put_control_event(
                connection,
                kind=ControlKind.CREDENTIAL_EVENT,
                cause=event_id,
                tenant_id=version.tenant_id,
                workflow_id=version.workflow_id,
                occurred_at=at,
                fields={"system_key": credential.system_key or UNKNOWN_SYSTEM, "status": status},
            )


def _works_again(connection: sa.Connection, version: LockedVersion) -> bool:
    return (
        version.status is Status.BLOCKED
        and version.automation_status is AutomationStatus.ACTIVE
        and bool(failed_systems(connection, version))
        and not unverified(connection, version)
    )


def _unblock(connection: sa.Connection, version: LockedVersion, options: LifecycleOptions) -> bool:
    """Unblock, if that is for a service to do."""
    if not options.unblock_automatically:
        return False
    try:
        request_unblock_for_credentials(
            connection,
            tenant_id=version.tenant_id,
            automation_version_id=version.id,
            actor_context=CREDENTIALS,
            mode=UnblockMode.VERIFIED,
            options=options,
        )
    except LifecycleError as error:
        # Raised before anything is written. What is known of the credential stands all the same.
        if error.code not in (ErrorCode.APPROVAL_REQUIRED, ErrorCode.PRECONDITION_FAILED):
            raise
        return False
    return True
