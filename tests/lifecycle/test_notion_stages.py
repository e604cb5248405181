"""Stages that people change in Notion: read within a minute, once, and a page that can't be read stops no other."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.case_changes import CaseChange, change_case
from lifecycle.credits.evidence_hygiene import ALLOWED
from lifecycle.kinds import CaseStatus, RootCause
from lifecycle.notion.stages import OVERLAP
from tests.lifecycle.cases_given import OPS_ADMIN, apply, case, incident
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.notion_given import OPTIONS, syncing, wait_over
from tests.lifecycle.notion_server import Failure, Mishap, NotionServer

WAVE_1 = "Wave-1 Sent"
AT_ONCE = timedelta(0)


@pytest.fixture
def world(engine: sa.Engine, server: NotionServer) -> sa.Engine:
    """A case with its page."""
    given_world(engine)
    apply(engine, incident("SEV1"), options=OPTIONS)
    poll(engine, server)
    return engine


def poll(engine: sa.Engine, server: NotionServer) -> None:
    """A pass that reads what was changed, and writes."""
    with syncing(engine, server, tasks=None, receipts=None) as passes:
        passes.poll_every = AT_ONCE
        passes.run()


def page_of(engine: sa.Engine, **where: Any) -> str:
    return str(row(engine, tables.notion_pages, kind="case", **where)["page_id"])


def receipts(engine: sa.Engine) -> list[tuple[str, str | None]]:
    return [(one["outcome"], one["reason"]) for one in rows(engine, tables.run_receipts)]


def test_a_stage_that_becomes_wave_1_sent_makes_the_task_once(world: sa.Engine, server: NotionServer) -> None:
    server.edit(page_of(world), Stage=WAVE_1, WT_Gate_For_Automation=ALLOWED)
    for _ in range(3):
        poll(world, server)
    assert receipts(world) == [("created", None)]
    (task,) = rows(world, tables.tasks, kind="evidence_hygiene")
    known = case(world)
    assert task["idempotency_key"] == f"{known['case_id']}:evidence_hygiene:v1"
    assert (known["stage"], known["wt_gate_for_automation"]) == (WAVE_1, ALLOWED)
    (audit,) = [one for one in rows(world, tables.audit_logs) if one["action_type"] == "change_case"]
    assert audit["actor"] == "service:notion"


@pytest.mark.parametrize(
    ("gate", "verdict", "receipt"),
    [
        pytest.param(ALLOWED, "", ("created", None), id="allowed"),
        pytest.param(
            "\N{WHITE HEAVY CHECK MARK}\N{VARIATION SELECTOR-16} ALLOWED ", "", ("created", None), id="as emoji"
        ),
        pytest.param("⛔ BLOCKED", "missing exhibit", ("blocked", "missing exhibit"), id="blocked, with a verdict"),
        pytest.param("⛔ BLOCKED", "", ("blocked", "⛔ BLOCKED"), id="blocked, without one"),
        pytest.param("", "", ("blocked", None), id="no gate"),
        pytest.param("✅ allowed", "", ("blocked", "✅ allowed"), id="other letters"),
    ],
)
def test_the_gate_of_the_page_decides(
    world: sa.Engine, server: NotionServer, gate: str, verdict: str, receipt: tuple[str, str | None]
) -> None:
    server.edit(page_of(world), Stage=WAVE_1, WT_Gate_For_Automation=gate, WT_Gate_Verdict=verdict)
    poll(world, server)
    assert receipts(world) == [receipt]


def test_only_becoming_counts(world: sa.Engine, server: NotionServer) -> None:
    page = page_of(world)
    server.edit(page, Stage=WAVE_1)
    poll(world, server)
    server.edit(page, WT_Gate_Verdict="looked at")
    poll(world, server)
    assert len(receipts(world)) == 1
    server.edit(page, Stage="Draft")
    poll(world, server)
    server.edit(page, Stage=WAVE_1, WT_Gate_For_Automation=ALLOWED)
    poll(world, server)
    assert receipts(world) == [("blocked", None), ("created", None)]


def test_what_we_wrote_ourselves_is_no_change_of_people(world: sa.Engine, server: NotionServer) -> None:
    with world.begin() as connection:
        case_id = connection.execute(sa.select(tables.credit_cases.c.case_id)).scalar_one()
        change = CaseChange(stage=WAVE_1, wt_gate_for_automation="no, not yet", wt_gate_verdict="a, b")
        change_case(connection, case_id=case_id, change=change, actor_context=OPS_ADMIN)
    for _ in range(2):
        poll(world, server)
    assert len(receipts(world)) == 1
    known = case(world)
    assert (known["wt_gate_for_automation"], known["wt_gate_verdict"]) == ("no, not yet", "a, b")
    assert server.rows("cases")[0]["WT Gate For Automation"] == "no; not yet"


def test_a_change_on_both_sides_keeps_that_of_the_page(world: sa.Engine, server: NotionServer) -> None:
    server.edit(page_of(world), Stage="Draft")
    with world.begin() as connection:
        case_id = connection.execute(sa.select(tables.credit_cases.c.case_id)).scalar_one()
        change_case(connection, case_id=case_id, change=CaseChange(stage="Triage"), actor_context=OPS_ADMIN)
    poll(world, server)
    assert (case(world)["stage"], server.rows("cases")[0]["Stage"]) == ("Draft", "Draft")


def test_pages_of_nobody_and_pages_that_cannot_be_read_stop_no_other(world: sa.Engine, server: NotionServer) -> None:
    with syncing(world, server) as passes:
        schema = passes.notion.read_schema(server.databases["cases"])
        for case_id in ("CASE-20260101-AAAAAA", "", case(world)["case_id"]):
            stage = {"Stage": {"select": {"name": WAVE_1}}, "CaseID": {"rich_text": [{"text": {"content": case_id}}]}}
            passes.notion.create_page(schema.id, stage)
        bad = passes.notion.create_page(schema.id, {"CaseID": {"rich_text": []}})
    server.pages[bad.id].properties["Stage"] = {"type": "select", "select": {"name": 7}}
    server.edit(page_of(world), Stage=WAVE_1, WT_Gate_For_Automation=ALLOWED)
    poll(world, server)
    assert receipts(world) == [("created", None)]


def test_a_resolved_case_stays_as_it_is(world: sa.Engine, server: NotionServer) -> None:
    with world.begin() as connection:
        case_id = connection.execute(sa.select(tables.credit_cases.c.case_id)).scalar_one()
        done = CaseChange(status=CaseStatus.RESOLVED, root_cause=RootCause.MISCONFIG, recurrence_notes="Max items.")
        change_case(connection, case_id=case_id, change=done, actor_context=OPS_ADMIN)
    poll(world, server)
    server.edit(page_of(world), Stage=WAVE_1, WT_Gate_For_Automation=ALLOWED)
    poll(world, server)
    assert receipts(world) == []
    assert case(world)["stage"] is None


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Failure((429, "rate_limited", {"retry-after": "1"})), id="too many requests"),
        pytest.param(Failure((500, "internal_server_error")), id="an error"),
        pytest.param(Failure(Mishap.RESET), id="a reset"),
        pytest.param(Failure(Mishap.GARBAGE), id="garbage"),
    ],
)
def test_an_outage_delays_a_change_and_loses_none(world: sa.Engine, server: NotionServer, failure: Failure) -> None:
    server.edit(page_of(world), Stage=WAVE_1, WT_Gate_For_Automation=ALLOWED)
    server.judge = lambda asked: failure if asked.path.endswith("/query") else None
    poll(world, server)
    assert receipts(world) == []
    server.judge = lambda _: None
    wait_over(world)
    poll(world, server)
    assert receipts(world) == [("created", None)]
    assert rows(world, tables.notion_outages) == []


def test_changes_are_read_from_where_the_last_pass_came_to(world: sa.Engine, server: NotionServer) -> None:
    server.pass_time(timedelta(hours=1))
    apply(world, incident("SEV1", "RUN-2", scenario="OTHER", at=1), options=OPTIONS)
    for _ in range(3):
        poll(world, server)
    asked = [one.body for one in server.asked if one.path.endswith("/query")]
    assert "filter" not in asked[0]
    since = asked[-1]["filter"]["last_edited_time"]["on_or_after"]
    assert since == (server.now.replace(second=0) - timedelta(minutes=3)).isoformat()


def test_many_changes_are_read_page_by_page(engine: sa.Engine, server: NotionServer) -> None:
    given_world(engine)
    decisions = [incident("SEV2", f"RUN-{number}", scenario=f"S{number}", at=number) for number in range(105)]
    apply(engine, *decisions, options=OPTIONS)
    poll(engine, server)
    for page in rows(engine, tables.notion_pages):
        server.edit(page["page_id"], Stage=WAVE_1)
    poll(engine, server)
    assert len(receipts(engine)) == 105


def test_it_is_polled_once_a_minute(world: sa.Engine, server: NotionServer) -> None:
    asked = server.count("POST")
    with syncing(world, server, tasks=None, receipts=None) as passes:
        passes.run()
        passes.run()
    assert server.count("POST") == asked


def test_what_was_edited_long_ago_is_not_read_again_and_again(world: sa.Engine, server: NotionServer) -> None:
    poll(world, server)
    server.pass_time(timedelta(hours=1))
    poll(world, server)
    server.edit(page_of(world), Stage="Draft")
    poll(world, server)
    assert case(world)["stage"] == "Draft"
    server.pass_time(timedelta(hours=1))
    poll(world, server)
    asked = len(server.asked)
    poll(world, server)
    (query,) = [one for one in server.asked[asked:] if one.path.endswith("/query")]
    begin = datetime.fromisoformat(query.body["filter"]["last_edited_time"]["on_or_after"])
    assert server.pages[page_of(world)].edited_at < begin < server.now - OVERLAP
