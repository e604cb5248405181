"""Fill the registry's tables from a document: tenants, people, automations, workflows. For demos, tests, imports.

The document maps table names to lists of rows; columns have the tables' names. What is there already stays as it
is, so the same document again changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.statuses import Status

#: Tables that may be filled, in the order of their references.
SEEDABLE = (
    tables.tenants,
    tables.users,
    tables.memberships,
    tables.contacts,
    tables.systems,
    tables.automations,
    tables.automation_versions,
    tables.workflows,
    tables.workflow_bindings,
    tables.projects,
    tables.quotes,
    tables.payments,
    tables.pricing_config,
    tables.project_artifacts,
    tables.qa_results,
    tables.credentials,
    tables.automation_version_credentials,
    tables.tasks,
)

SEEDER = ActorContext(actor="service:seed", invoked_via="seed")

Document = Mapping[str, Sequence[Mapping[str, Any]]]


class UnusableSeedError(ValueError):
    """A seed document names what there is not; raised before anything is written, every fault named."""


def parse_document(value: object) -> Document:
    """What a JSON text held, as a document; `UnusableSeedError` when it has another shape."""
    if isinstance(value, dict) and all(
        isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in value.values()
    ):
        return value
    raise UnusableSeedError("must be an object of lists of objects")


def seed(connection: sa.Connection, document: Document) -> dict[str, int]:
    """Insert what is missing, in the caller's transaction; returns new rows by table.

    Raises `UnusableSeedError` for unknown tables and columns, `sqlalchemy.exc.IntegrityError` for rows that a
    constraint refuses.
    """
    _check(document)
    added = {}
    for table in SEEDABLE:
        rows = document.get(table.name, ())
        added[table.name] = sum(_insert(connection, table, row) for row in rows)
    return added


def _insert(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> int:
    new = connection.execute(insert(table).values(dict(row)).on_conflict_do_nothing().returning(sa.literal(1))).first()
    if new is None:
        return 0
    if table is tables.automation_versions:
        connection.execute(
            sa.insert(tables.automation_versions_status_history).values(
                tenant_id=row["tenant_id"],
                automation_version_id=row["id"],
                from_status=None,
                to_status=row.get("status", Status.INTAKE_IN_PROGRESS),
                operation="seed",
                actor=SEEDER.actor,
                system_initiated=SEEDER.system_initiated,
            )
        )
    return 1


def _check(document: Document) -> None:
    columns = {table.name: set(table.columns.keys()) for table in SEEDABLE}
    faults = [f"{name}: no table that can be filled" for name in sorted(set(document) - set(columns))]
    for name, rows in document.items():
        for number, row in enumerate(rows):
            unknown = sorted(set(row) - columns[name]) if name in columns else []
            faults += [f"{name}[{number}]: no column {column}" for column in unknown]
    if faults:
        raise UnusableSeedError("; ".join(faults))
