"""Whether the credentials that a version is blocked for work again (30.4)."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.errors import Detail
from lifecycle.kinds import CredentialStatus
from lifecycle.statuses import Prerequisite
from lifecycle.systems import find_stored_keys, find_systems
from lifecycle.unblocking import failed_systems
from lifecycle.versions import LockedVersion

#: What the detector calls a system that an event did not name: any credential of the version may be meant.
UNKNOWN_SYSTEM = "unknown"


def unverified(connection: sa.Connection, version: LockedVersion) -> list[Detail]:
    """What keeps the failed systems' credentials from counting as verified; nothing when all work.

    Every required credential of a failed system must be `active` and have been seen to work after the block; a
    system without any is not verified by there being nothing to verify.
    """
    systems = failed_systems(connection, version)
    needed, needs = tables.credentials.c, tables.automation_version_credentials.c
    rows = connection.execute(
        sa.select(needed.id, needed.system_key, needed.status, needed.last_validated_at)
        .join(
            tables.automation_version_credentials,
            sa.and_(needs.tenant_id == needed.tenant_id, needs.credential_id == needed.id),
        )
        .where(needs.tenant_id == version.tenant_id, needs.automation_version_id == version.id, needs.required)
        .order_by(needed.id)
    ).all()
    stored = find_stored_keys(connection, {row.system_key for row in rows})
    names = {system.key: system.display_name for system in find_systems(connection, systems)}
    details = []
    for system in systems:
        mine = [row for row in rows if system == UNKNOWN_SYSTEM or stored[row.system_key] == system]
        if not mine:
            details.append(
                Detail(Prerequisite.CREDENTIALS_VERIFIED, None, f"No required credential is known for {names[system]}.")
            )
        details += [
            Detail(Prerequisite.CREDENTIALS_VERIFIED, None, f"Credential {row.id} for {names[system]} {fault}.")
            for row in mine
            if (fault := _fault(row, version)) is not None
        ]
    return details


def needed_by(connection: sa.Connection, tenant_id: str, credential_id: str) -> Collection[str]:
    """The versions that need a credential."""
    needs = tables.automation_version_credentials.c
    return (
        connection.execute(
            sa.select(needs.automation_version_id)
            .where(needs.tenant_id == tenant_id, needs.credential_id == credential_id, needs.required)
            .order_by(needs.automation_version_id)
        )
        .scalars()
        .all()
    )


def _fault(row: sa.Row[*tuple[Any, ...]], version: LockedVersion) -> str | None:
    if row.status != CredentialStatus.ACTIVE:
        return f"is {row.status}"
    if row.last_validated_at is None or version.blocked_at is None or row.last_validated_at <= version.blocked_at:
        return "was not seen to work since the block"
    return None
