"""A small world for the lifecycle's tests: two tenants, an automation each, and words to look at the result."""

import re
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.seed import Document, seed

WORLD: Document = {
    "tenants": [{"id": "t1", "name": "Acme"}, {"id": "t2", "name": "Globex"}],
    "users": [
        {"id": "u1", "email": "ada@acme.example", "display_name": "Ada"},
        {"id": "u9", "email": "otto@ops.example", "display_name": "Otto"},
    ],
    "contacts": [
        {"tenant_id": "t1", "name": "Ada", "email": "ada@acme.example", "user_id": "u1"},
        {"tenant_id": "t1", "name": "Bob", "email": "bob@acme.example"},
        {"tenant_id": "t1", "name": "Gone", "email": "gone@acme.example", "active": False},
        {"tenant_id": "t2", "name": "Eve", "email": "eve@globex.example"},
    ],
    "systems": [
        {"system_key": "crm", "provider": "salesforce", "display_name": "Salesforce"},
        {"system_key": "mail", "provider": "google", "display_name": "Gmail"},
    ],
    "automations": [
        {"id": "a1", "tenant_id": "t1", "name": "Invoice sync"},
        {"id": "a2", "tenant_id": "t2", "name": "Lead import"},
    ],
    "automation_versions": [
        {"id": "v1", "tenant_id": "t1", "automation_id": "a1", "version": 1, "status": "Live"},
        {"id": "v2", "tenant_id": "t2", "automation_id": "a2", "version": 1, "status": "Live"},
    ],
    "workflows": [
        {"workflow_id": "wf1", "tenant_id": "t1", "name": "Nightly invoices"},
        {"workflow_id": "wf2", "tenant_id": "t2", "name": "Leads"},
    ],
    "workflow_bindings": [
        {"tenant_id": "t1", "automation_version_id": "v1", "wrk_workflow_id": "wf1", "status": "active"},
        {"tenant_id": "t2", "automation_version_id": "v2", "wrk_workflow_id": "wf2", "status": "active"},
    ],
    "projects": [
        {"id": "p1", "tenant_id": "t1", "automation_version_id": "v1", "name": "Invoices", "status": "Live"},
    ],
}

#: Columns that tell when, or were drawn by lot: two runs of the same differ in nothing else.
_NOT_COMPARED = {
    "id", "sequence", "created_at", "updated_at", "recorded_at", "opened_at", "blocked_at", "blacklisted_at",
    "status_changed_at", "changed_at", "not_before", "delivered_at", "attempted_at", "occurred_at", "event_id",
}  # fmt: skip
#: A time as people are told it, of a commit.
_TOLD_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
_OWN_IDS = {"automations", "automation_versions", "projects", "tenants", "users"}


def given_world(engine: sa.Engine, **more: list[dict[str, Any]]) -> None:
    """The world above, and what else a test needs."""
    with engine.begin() as connection:
        seed(connection, WORLD)
        seed(connection, more)


def rows(engine: sa.Engine, table: sa.Table, **where: Any) -> list[Mapping[str, Any]]:
    """Rows of a table, oldest first."""
    order = [column for column in (table.c.get("created_at"), *table.primary_key) if column is not None]
    query = sa.select(table).where(*(table.c[name] == value for name, value in where.items())).order_by(*order)
    with engine.connect() as connection:
        found: list[Mapping[str, Any]] = [dict(row._mapping) for row in connection.execute(query)]
        return found


def row(engine: sa.Engine, table: sa.Table, **where: Any) -> Mapping[str, Any]:
    """The only row."""
    (only,) = rows(engine, table, **where)
    return only


def version(engine: sa.Engine, version_id: str = "v1") -> Mapping[str, Any]:
    """An automation version."""
    return row(engine, tables.automation_versions, id=version_id)


def content(engine: sa.Engine) -> dict[str, list[str]]:
    """All rows of all tables, without generated ids and clock times, in an order of their own."""
    return {
        table.name: sorted(
            str(
                {
                    name: _timeless(value)
                    for name, value in one.items()
                    if name not in _NOT_COMPARED or (name == "id" and table.name in _OWN_IDS)
                }
            )
            for one in rows(engine, table)
        )
        for table in tables.metadata.sorted_tables
    }


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(one) for name, one in value.items() if name not in _NOT_COMPARED}
    return _TOLD_TIME.sub("(time)", value) if isinstance(value, str) else value


def wait_until_one_waits(engine: sa.Engine) -> None:
    """Wait until a transaction waits for what another has locked, or fail."""
    deadline = time.monotonic() + 120
    with engine.connect() as connection:
        while not connection.execute(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
            assert time.monotonic() < deadline, "nobody waits for a lock"
            time.sleep(0.02)


def texts(engine: sa.Engine) -> str:
    """Everything that is stored, in all schemas of ours and of the queue, as one text."""
    with engine.connect() as connection:
        names = connection.execute(
            sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        ).scalars()
        return "\n".join(
            str(one)
            for name in names
            for one in connection.execute(sa.text(f'SELECT row_to_json(t)::text FROM "{name}" t')).scalars()
        )
