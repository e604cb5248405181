"""Write audit rows, inside the transaction of what they tell of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.kinds import AuditAction


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that was done. `metadata` holds codes, ids and allow-listed names, never free text of others."""

    action: AuditAction
    resource_type: str
    resource_id: str
    episode_id: str | None = None
    decision_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def write_audit(
    connection: sa.Connection, *, tenant_id: str | None, actor_context: ActorContext, entries: list[AuditEntry]
) -> None:
    """Append rows, in order; all of one tenant and by one actor. No tenant is the platform."""
    rows = [
        {
            "tenant_id": tenant_id,
            "actor": actor_context.actor,
            "actor_user_id": actor_context.user_id,
            "invoked_via": actor_context.invoked_via,
            "system_initiated": actor_context.system_initiated,
            "action_type": entry.action,
            "resource_type": entry.resource_type,
            "resource_id": entry.resource_id,
            "episode_id": entry.episode_id,
            "decision_id": entry.decision_id,
            "metadata": dict(entry.metadata),
        }
        for entry in entries
    ]
    connection.execute(_PUT, {"rows": rows})


def _put() -> sa.Insert:
    """One statement with one parameter, for any number of rows."""
    table = tables.audit_logs.c
    names = (
        "tenant_id", "actor", "actor_user_id", "invoked_via", "system_initiated", "action_type", "resource_type",
        "resource_id", "episode_id", "decision_id", "metadata",
    )  # fmt: skip
    rows = (
        sa.func.jsonb_to_recordset(sa.bindparam("rows", type_=JSONB))
        .table_valued(*(sa.column(name, table[name].type) for name in names))
        .render_derived(name="row", with_types=True)
        .c
    )
    return sa.insert(tables.audit_logs).from_select(list(names), sa.select(*(rows[name] for name in names)))


_PUT = _put()
