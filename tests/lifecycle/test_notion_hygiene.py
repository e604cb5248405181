"""Tasks of evidence hygiene and their receipts in Notion: beside their case, and up to date."""

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.case_changes import CaseChange, change_case
from lifecycle.credits.evidence_hygiene import ALLOWED, WAVE_1_SENT
from tests.lifecycle.cases_given import OPS_ADMIN, apply, case, incident
from tests.lifecycle.given import given_world, rows
from tests.lifecycle.notion_given import OPTIONS, sync, wait_over
from tests.lifecycle.notion_server import Asked, Failure, Mishap, NotionServer


@pytest.fixture
def world(engine: sa.Engine) -> sa.Engine:
    """A case that was sent, was not allowed, and was sent again."""
    given_world(engine)
    apply(engine, incident("SEV1"), options=OPTIONS)
    for gate in ("⛔ BLOCKED", ALLOWED):
        with engine.begin() as connection:
            case_id = connection.execute(sa.select(tables.credit_cases.c.case_id)).scalar_one()
            for change in (
                CaseChange(stage="Draft", wt_gate_for_automation=gate, wt_gate_verdict="missing exhibit"),
                CaseChange(stage=WAVE_1_SENT),
            ):
                change_case(connection, case_id=case_id, change=change, actor_context=OPS_ADMIN)
    return engine


def case_page(engine: sa.Engine) -> str:
    (only,) = rows(engine, tables.notion_pages, kind="case")
    return str(only["page_id"])


def test_a_task_and_every_receipt_have_a_page_that_names_the_case(world: sa.Engine, server: NotionServer) -> None:
    assert sync(world, server) == 4
    key = f"{case(world)['case_id']}:evidence_hygiene:v1"
    of_case = [case_page(world)]
    assert server.rows("tasks") == [
        {
            "Name": "Evidence Hygiene (Wave-1)",
            "Case": of_case,
            "Idempotency Key": key,
            "Status": "Next",
            "Priority": "P0",
            "Mode": "Draft-Only",
        }
    ]
    told = [
        (one["Name"], one["Case"], one["Idempotency Key"], one["Outcome"], one["Blocked Reason"])
        for one in server.rows("receipts")
    ]
    assert told == [
        ("Evidence Hygiene", of_case, key, "blocked", "missing exhibit"),
        ("Evidence Hygiene", of_case, key, "created", ""),
    ]
    assert sync(world, server) == 0


def test_a_task_that_is_done_is_done_there(world: sa.Engine, server: NotionServer) -> None:
    sync(world, server)
    tasks = tables.tasks.c
    with world.begin() as connection:
        connection.execute(
            sa.update(tables.tasks)
            .where(tasks.kind == "evidence_hygiene")
            .values(status="complete", completed_at=sa.func.now(), version=tasks.version + 1)
        )
    assert sync(world, server) == 1
    assert [one["Status"] for one in server.rows("tasks")] == ["Done"]


def test_they_wait_for_the_page_of_their_case(world: sa.Engine, server: NotionServer) -> None:
    cases = server.databases["cases"].replace("-", "")
    server.judge = lambda asked: Failure((404, "object_not_found")) if cases in asked.path.replace("-", "") else None
    sync(world, server)
    assert server.pages == {}
    server.judge = lambda _: None
    assert sync(world, server) == 4


def test_without_a_database_of_cases_they_name_none(world: sa.Engine, server: NotionServer) -> None:
    assert sync(world, server, cases=None) == 3
    assert server.rows("tasks")[0]["Case"] == []


def test_a_receipt_whose_making_nobody_saw_is_found_again(world: sa.Engine, server: NotionServer) -> None:
    def judge(asked: Asked) -> Failure | None:
        return Failure(Mishap.RESET, done=True) if asked.body and "Receipt ID" in str(asked.body) else None

    server.judge = judge
    sync(world, server)
    server.judge = lambda _: None
    wait_over(world)
    sync(world, server)
    assert [one["Outcome"] for one in server.rows("receipts")] == ["blocked", "created"]
