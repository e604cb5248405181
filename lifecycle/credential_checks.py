"""Whether the credentials that a version is blocked for work again (30.4)."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.errors import Detail
from lifecycle.kinds import BlockKind, CredentialStatus
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
    since = _blocked_for_them_since(connection, version)
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
            if (fault := _fault(row, since)) is not None
        ]
    return details


def _blocked_for_them_since(connection: sa.Connection, version: LockedVersion) -> datetime | None:
    """When the credentials became a reason; a person may have blocked the version for something else before."""
    reasons = tables.block_reasons.c
    return connection.execute(
        sa.select(sa.func.max(reasons.opened_at)).where(
            reasons.tenant_id == version.tenant_id,
            reasons.automation_version_id == version.id,
            reasons.kind == BlockKind.CREDENTIALS,
            reasons.cleared_at.is_(None),
        )
    ).scalar()


def _fault(row: sa.Row[*tuple[Any, ...]], since: datetime | None) -> str | None:
    if row.status != CredentialStatus.ACTIVE:
        return f"is {row.status}"
    if row.last_validated_at is None or since is None or row.last_validated_at <= since:
        return "was not seen to work since the block"
    return None
