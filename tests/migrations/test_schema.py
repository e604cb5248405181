"""The migrated schema is the one that the models describe, and every revision can be taken back."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from lifecycle import tables
from lifecycle.migrate import current_revision, downgrade, migrate, newest_revision
from lifecycle.tables import APPEND_ONLY_TABLES, metadata
from tests.lifecycle.given import given_world, rows
from tests.sinks.given import blocks
from tests.sinks.test_spend_anomaly import apply, burst, drift

#: Facts of the catalogue, one row each, without anything that differs between two equal schemas.
FACTS = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default,
               is_identity, identity_generation
        FROM information_schema.columns WHERE table_schema = 'public'""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "comments": """
        SELECT objoid::regclass::text, attname, description
        FROM pg_description LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0
        WHERE classoid = 'pg_class'::regclass AND objoid IN (
            SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r')""",
}


@pytest.fixture
def empty_url(database_url: str) -> Iterator[str]:
    """A database with nothing in it, on the server of the tests."""
    url = sa.make_url(database_url)
    name = f"empty_{uuid4().hex[:12]}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def facts(url: str) -> dict[str, set[tuple[object, ...]]]:
    """All facts about our own tables."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {
            name: {
                tuple(row)
                for row in connection.execute(sa.text(query))
                if not str(row[0]).startswith(("procrastinate_", "alembic_"))
            }
            for name, query in FACTS.items()
        }


def test_the_migrated_schema_equals_the_models(empty_url: str, database_url: str) -> None:
    engine = sa.create_engine(empty_url, poolclass=sa.NullPool)
    metadata.create_all(engine)
    from_models, from_migrations = facts(empty_url), facts(database_url)
    for name in FACTS:
        assert from_models[name] == from_migrations[name]
        assert from_models[name]


def test_alembic_finds_nothing_to_change(engine: sa.Engine) -> None:
    def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
        return not (kind == "table" and (name or "").startswith("procrastinate_"))

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "compare_server_default": True, "include_object": ours},
        )
        assert compare_metadata(context, metadata) == []


def test_the_append_only_tables_are_the_guarded_ones(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        guarded = connection.execute(
            sa.text(
                "SELECT event_object_table, count(*) FROM information_schema.triggers"
                " WHERE action_statement LIKE '%refuse_to_rewrite_history%' GROUP BY 1"
            )
        ).all()
    # UPDATE and DELETE are shown; TRUNCATE triggers are not in the information schema.
    assert {(table, count) for table, count in guarded} == {(table, 2) for table in APPEND_ONLY_TABLES}


def test_migrating_down_and_up_gives_the_same_and_nothing_in_between(empty_url: str, database_url: str) -> None:
    expected = facts(database_url)
    migrate(empty_url)
    downgrade(empty_url, "base")
    engine = sa.create_engine(empty_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        left = connection.execute(
            sa.text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
                " UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace"
            )
        ).scalars()
        assert {name for name in left if not name.strip("_").startswith("alembic_version")} == set()
    migrate(empty_url)
    assert facts(empty_url) == expected


def test_each_revision_can_be_taken_back_by_itself(empty_url: str) -> None:
    migrate(empty_url)
    engine = sa.create_engine(empty_url, poolclass=sa.NullPool)
    seen = []
    while True:
        with engine.connect() as connection:
            revision = current_revision(connection)
        if revision is None:
            break
        seen.append(revision)
        downgrade(empty_url, "-1")
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == newest_revision()


def test_tasks_of_spend_anomalies_that_there_are_gather_from_then_on(engine: sa.Engine, database_url: str) -> None:
    given_world(engine)
    apply(engine, burst(), drift(), blocks("crm"))
    joined = rows(engine, tables.task_decisions)
    gathering = {task["id"]: task["gathers"] for task in rows(engine, tables.tasks)}
    downgrade(database_url, "0023")
    migrate(database_url)
    now = ("joined_at",)
    assert [{**one, **dict.fromkeys(now)} for one in rows(engine, tables.task_decisions)] == [
        {**one, **dict.fromkeys(now)} for one in joined
    ]
    assert {task["id"]: task["gathers"] for task in rows(engine, tables.tasks)} == gathering
    assert sorted(map(str, gathering.values())) == ["None", "spend_burst", "spend_drift"]


def test_migrating_again_changes_nothing(database_url: str) -> None:
    before = facts(database_url)
    migrate(database_url)
    assert facts(database_url) == before
