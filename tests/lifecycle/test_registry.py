"""The registry's read side, and the table of dead letters."""

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.dead_letters import DeadLetterRow, record_dead_letters
from lifecycle.registry import VersionBinding, find_binding, read_bindings
from tests.lifecycle.given import given_world, rows

BOUND = VersionBinding(tenant_id="t1", automation_version_id="v1", workflow_id="wf1", project_id="p1", status="Live")
ALONE = VersionBinding(
    tenant_id="t1", automation_version_id="v9", workflow_id=None, project_id=None, status="Intake in Progress"
)
LETTER = DeadLetterRow(
    source="run_events", partition=3, offset=17, code="not_json", explanation="no JSON text", sha256="0" * 64, size=9
)


def test_a_version_is_found_with_its_workflow_and_project(engine: sa.Engine) -> None:
    given_world(engine, automation_versions=[{"id": "v9", "tenant_id": "t1", "automation_id": "a1", "version": 9}])
    with engine.connect() as connection:
        assert find_binding(connection, "v1") == BOUND
        assert find_binding(connection, "v9") == ALONE
        assert find_binding(connection, "nobody") is None
        assert find_binding(connection, "v1\x00") is None
        everything = list(read_bindings(connection, batch=1))
    assert len(everything) == 3
    assert BOUND in everything
    assert ALONE in everything


def test_a_dead_letter_is_recorded_once_for_its_position(engine: sa.Engine) -> None:
    other = DeadLetterRow(
        source="events.jsonl", partition=-1, offset=0, code="too_large", explanation="x", sha256="1" * 64, size=2 << 20
    )
    with engine.begin() as connection:
        assert record_dead_letters(connection, [LETTER, other, LETTER]) == 2
        assert record_dead_letters(connection, [LETTER]) == 0
        assert record_dead_letters(connection, []) == 0
    assert [(d["source"], d["partition"], d["offset"], d["size"]) for d in rows(engine, tables.dead_letters)] == [
        ("events.jsonl", -1, 0, 2 << 20),
        ("run_events", 3, 17, 9),
    ]
