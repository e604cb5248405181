"""Credentials of the lifecycle's world, and what is found out about them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle.actors import MONITOR, ActorContext
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.credentials import CredentialResult, record_credential_event
from lifecycle.kinds import CredentialStatus
from lifecycle.seed import Document
from tests.lifecycle.given import given_world
from tests.lifecycle.worker import OPTIONS

NEEDS: Document = {
    "credentials": [
        {"id": "c1", "tenant_id": "t1", "system_key": "crm", "status": "active"},
        {"id": "c2", "tenant_id": "t1", "system_key": "mail", "status": "active"},
        {"id": "c9", "tenant_id": "t2", "system_key": "crm", "status": "active"},
    ],
    "automation_version_credentials": [
        {"tenant_id": "t1", "automation_version_id": "v1", "credential_id": "c1"},
        {"tenant_id": "t1", "automation_version_id": "v1", "credential_id": "c2"},
        {"tenant_id": "t2", "automation_version_id": "v2", "credential_id": "c9"},
    ],
}


def given_credentials(engine: sa.Engine, **more: list[dict[str, Any]]) -> None:
    """The world, where `v1` needs the credentials of two systems."""
    given_world(engine, **{name: [*map(dict, rows)] for name, rows in NEEDS.items()})
    given_world(engine, **more)


def somebody(*roles: Role) -> ActorContext:
    """A person of operations."""
    return ActorContext.of_user("u9", "test", frozenset().union(*(CAPABILITIES[role] for role in roles)))


def now() -> datetime:
    """The clock that the database has too: both are on this machine."""
    return datetime.now(UTC)


AGO = timedelta(days=1)


def report(
    engine: sa.Engine,
    credential_id: str = "c1",
    status: CredentialStatus = CredentialStatus.ACTIVE,
    *,
    at: datetime | None = None,
    event_id: str | None = None,
    **changes: Any,
) -> CredentialResult:
    """One credential event in a transaction of its own; it happened now."""
    moment = at or now()
    arguments = {
        "tenant_id": "t1",
        "credential_id": credential_id,
        "status": status,
        "occurred_at": moment,
        "event_id": event_id or f"{credential_id} {status} {moment.isoformat()}",
        "actor_context": MONITOR,
        "options": OPTIONS,
    }
    with engine.begin() as connection:
        return record_credential_event(connection, **{**arguments, **changes})
