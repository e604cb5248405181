"""What the API's database role sees when a query forgets its tenant: its own tenant's rows and no others (30.2).

Every table of the lifecycle has a row of each of two tenants here, made from its columns, so a new table that nobody
protected fails these tests.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from lifecycle import tables

TENANTS = ("t1", "t2")

#: What every tenant may read: the display names of systems.
SHARED = {"systems"}
#: What no tenant may read: it tells of the platform.
PLATFORM = {
    "blacklist_version",
    "channel_outages",
    "credit_job_runs",
    "dead_letters",
    "notion_cursors",
    "notion_outages",
    "provider_incidents",
    "system_config",
    "system_config_versions",
}

TABLES = {table.name: table for table in tables.metadata.sorted_tables}
OF_A_TENANT = sorted(name for name, table in TABLES.items() if "tenant_id" in table.c)


def value(column: sa.Column[Any], tenant: str) -> Any:
    """Something that fits the column and differs between the tenants."""
    number = TENANTS.index(tenant) + 1
    if column.name in ("tenant_id", "user_id") or (column.table.name in ("tenants", "users") and column.name == "id"):
        return tenant
    match column.type:
        case sa.Uuid():
            return UUID(int=number)
        case sa.Integer() | sa.BigInteger() | sa.Numeric():
            return number
        case sa.Boolean():
            return True
        case sa.DateTime():
            return datetime(2026, 1, number, tzinfo=UTC)
        case sa.Interval():
            return timedelta(days=number)
        case sa.JSON():
            return {}
        case ARRAY():
            return []
        case _:
            return f"x{number}"


def full_row(table: sa.Table, tenant: str) -> dict[str, Any]:
    """A row with everything that must be there, and its tenant."""
    return {
        column.name: value(column, tenant)
        for column in table.c
        if column.name == "tenant_id"
        or (column.primary_key and column.identity is None)
        or (not column.nullable and column.server_default is None and column.identity is None)
    }


@pytest.fixture
def filled(engine: sa.Engine) -> sa.Engine:
    """A database with a row of each tenant in each table; what makes rows meaningful is not asked here."""
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # no foreign keys, no triggers
        checks = connection.execute(
            sa.text(
                "SELECT conrelid::regclass::text, conname FROM pg_constraint"
                " WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
            )
        ).all()
        for table_name, constraint in checks:
            if table_name in TABLES:
                connection.execute(sa.text(f'ALTER TABLE {table_name} DROP CONSTRAINT "{constraint}"'))
        for table in tables.metadata.sorted_tables:
            if table is tables.blacklist_version:
                connection.execute(sa.delete(table))  # its trigger runs always
            connection.execute(sa.insert(table), [full_row(table, tenant) for tenant in TENANTS])
    return engine


def as_api(connection: sa.Connection, tenants: str | None) -> None:
    """Take the API's role for this transaction, and say whose rows it may see."""
    connection.execute(sa.text("SET LOCAL ROLE breakwater_api"))
    if tenants is not None:
        connection.execute(sa.text("SELECT set_config('breakwater.tenants', :tenants, true)"), {"tenants": tenants})


def owners(connection: sa.Connection, name: str) -> set[str]:
    """Whose rows an unfiltered query finds."""
    table = TABLES[name]
    found = connection.execute(sa.select(table)).mappings().all()
    if "tenant_id" in table.c:
        return {one["tenant_id"] for one in found}
    mine = {tenant: full_row(table, tenant) for tenant in TENANTS}
    return {
        next(tenant for tenant, row in mine.items() if all(str(one[key]) == str(row[key]) for key in row))
        for one in found
    }


def expected(name: str, visible: set[str]) -> set[str]:
    """Whose rows it may find."""
    if name in SHARED:
        return set(TENANTS)
    return set() if name in PLATFORM else visible


def test_an_unfiltered_query_finds_the_rows_of_the_named_tenants(filled: sa.Engine) -> None:
    for setting, visible in (
        (None, set()),
        ("", set()),
        ("{}", set()),
        ("{nobody}", set()),
        ("{t1}", {"t1"}),
        ("{t2}", {"t2"}),
        ("{t1,t2}", {"t1", "t2"}),
    ):
        with filled.connect() as connection:
            as_api(connection, setting)
            found = {name: owners(connection, name) for name in TABLES}
        assert found == {name: expected(name, visible) for name in TABLES}, setting


def test_the_platform_s_staff_see_all(filled: sa.Engine) -> None:
    with filled.connect() as connection:
        as_api(connection, "*")
        assert {name: owners(connection, name) for name in TABLES} == {name: set(TENANTS) for name in TABLES}


def is_refused(connection: sa.Connection, attempt: sa.Executable) -> bool:
    """Whether the database says that the role may not do this; it has done it otherwise."""
    try:
        connection.execute(attempt)
    except sa.exc.ProgrammingError as error:
        return getattr(error.orig, "sqlstate", None) == "42501"
    return False


def test_no_row_of_another_tenant_can_be_written(filled: sa.Engine) -> None:
    for name in OF_A_TENANT:
        table = TABLES[name]
        stray = full_row(table, "t2")
        attempts: dict[str, sa.Executable] = {
            "insert": sa.insert(table).values(stray),
            "give away": sa.update(table).values(tenant_id="t2"),
            "delete": sa.delete(table),
        }
        for what, attempt in attempts.items():
            with filled.connect() as connection:
                as_api(connection, "{t1}")
                assert is_refused(connection, attempt), f"{what} {name}"


def test_an_update_without_a_filter_changes_the_own_rows_alone(filled: sa.Engine) -> None:
    for name in OF_A_TENANT:
        table = TABLES[name]
        with filled.connect() as connection:
            as_api(connection, "{t1}")
            allowed = connection.execute(
                sa.select(sa.func.has_table_privilege("breakwater_api", name, "UPDATE"))
            ).scalar_one()
            if allowed:
                assert connection.execute(sa.update(table).values(tenant_id="t1")).rowcount == 1, name


def test_each_table_is_protected_or_known_to_be_shared(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        policies = dict(
            connection.execute(
                sa.text(
                    "SELECT relname, (SELECT count(*) FROM pg_policy WHERE polrelid = pg_class.oid AND relrowsecurity)"
                    " FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
                )
            ).all()
        )
    assert {name: policies[name] for name in TABLES} == {name: 0 if name in SHARED else 1 for name in TABLES}
