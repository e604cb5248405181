"""Seeding: complete, idempotent, and all or nothing."""

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.seed import UnusableSeedError, seed
from tests.lifecycle.given import WORLD, content, rows


def test_a_seed_fills_its_tables_and_a_second_one_changes_nothing(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        added = seed(connection, WORLD)
    assert {name: count for name, count in added.items() if count} == {name: len(each) for name, each in WORLD.items()}
    once = content(engine)
    with engine.begin() as connection:
        assert set(seed(connection, WORLD).values()) == {0}
    assert content(engine) == once
    assert [(h["from_status"], h["to_status"]) for h in rows(engine, tables.automation_versions_status_history)] == [
        (None, "Live"),
        (None, "Live"),
    ]


def test_what_was_changed_since_stays_as_it_is(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        seed(connection, WORLD)
        connection.execute(sa.update(tables.automation_versions).values(status="Paused"))
        seed(connection, WORLD)
    assert {v["status"] for v in rows(engine, tables.automation_versions)} == {"Paused"}


def test_every_fault_of_a_document_is_named_and_nothing_is_written(engine: sa.Engine) -> None:
    document = {"tenants": [{"id": "t1", "name": "Acme", "colour": "red"}], "audit_logs": [{}], "nothing": []}
    with engine.connect() as connection, pytest.raises(UnusableSeedError) as refused:
        seed(connection, document)
    assert str(refused.value).split("; ") == [
        "audit_logs: no table that can be filled",
        "nothing: no table that can be filled",
        "tenants[0]: no column colour",
    ]
    assert rows(engine, tables.tenants) == []


def test_a_row_of_another_tenants_automation_is_refused(engine: sa.Engine) -> None:
    stray = {"automation_versions": [{"id": "v3", "tenant_id": "t2", "automation_id": "a1", "version": 9}]}
    with engine.connect() as connection:
        seed(connection, WORLD)
        with pytest.raises(sa.exc.IntegrityError, match="a_version_belongs_to_an_automation_of_its_tenant"):
            seed(connection, stray)
