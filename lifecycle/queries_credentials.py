"""Read credentials: their status, never their content (30.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import CredentialStatus
from lifecycle.tasks import MAX_PAGE

_credentials = tables.credentials.c


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRow:
    """A credential of a tenant."""

    id: str
    tenant_id: str
    system_key: str
    #: None where the system is not on the list of names that may be shown.
    system_name: str | None
    status: CredentialStatus
    last_validated_at: datetime | None
    updated_at: datetime


def list_credentials(
    connection: sa.Connection,
    *,
    status: CredentialStatus | None = None,
    after: str | None = None,
    limit: int = 50,
) -> tuple[Sequence[CredentialRow], str | None]:
    """Credentials by id, of all tenants that the connection shows; and the id that the next page begins after."""
    limit = min(limit, MAX_PAGE)
    query = (
        sa.select(
            *(_credentials[name] for name in CredentialRow.__dataclass_fields__ if name != "system_name"),
            tables.systems.c.display_name.label("system_name"),
        )
        .outerjoin(tables.systems, tables.systems.c.system_key == _credentials.system_key)
        .order_by(_credentials.id)
        .limit(limit + 1)
    )
    if status is not None:
        query = query.where(_credentials.status == status)
    if after is not None:
        query = query.where(_credentials.id > after)
    found = [
        CredentialRow(**{**row._asdict(), "status": CredentialStatus(row.status)}) for row in connection.execute(query)
    ]
    return found[:limit], found[limit - 1].id if len(found) > limit else None
