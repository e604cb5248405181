"""What people do in Notion beside changing stages: pages in the trash, other columns, edits between two passes."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.notion.check import check_databases
from tests.lifecycle.cases_given import apply, case, incident
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.ledger_given import entry, spend
from tests.lifecycle.notion_given import OPTIONS, change, sync, syncing, wait_over
from tests.lifecycle.notion_server import SCHEMAS, Failure, Mishap, NotionServer
from tests.sinks.given import T0

AT_ONCE = timedelta(0)


@pytest.fixture
def world(engine: sa.Engine) -> sa.Engine:
    given_world(engine)
    apply(engine, incident("SEV1"), options=OPTIONS)
    return engine


def page_of(engine: sa.Engine) -> str:
    return str(row(engine, tables.notion_pages, kind="case")["page_id"])


def test_a_page_in_the_trash_is_left_there_until_there_is_something_new(world: sa.Engine, server: NotionServer) -> None:
    sync(world, server)
    page = page_of(world)
    server.trash(page)
    change(world, fix="first")
    sync(world, server)
    wait_over(world)
    asked = len(server.asked)
    sync(world, server)
    assert not [one for one in server.asked[asked:] if one.method == "PATCH"], "a page in the trash is asked again"
    server.trash(page, restored=True)
    change(world, fix="second")
    wait_over(world)
    sync(world, server)
    assert [shown["Fix_Patch"] for shown in server.rows("cases")] == ["second"]


def test_what_a_status_shows_by_itself_is_no_change_of_people(world: sa.Engine) -> None:
    schemas = {**SCHEMAS, "cases": {**SCHEMAS["cases"], "Stage": "status"}}
    with NotionServer(schemas) as server, syncing(world, server) as passes:
        passes.poll_every = AT_ONCE
        change(world, stage="Wave-1 Sent")  # the status of the double has no such option
        for _ in range(3):
            passes.run()
        assert server.rows("cases")[0]["Stage"] == "Next"
        assert case(world)["stage"] == "Wave-1 Sent"
        server.edit(page_of(world), Stage="Done")
        passes.run()
    assert case(world)["stage"] == "Done"


def test_a_column_that_is_added_later_empties_no_case(world: sa.Engine) -> None:
    columns = {name: kind for name, kind in SCHEMAS["cases"].items() if name != "Stage"}
    with NotionServer({**SCHEMAS, "cases": columns}) as server, syncing(world, server) as passes:
        passes.poll_every = AT_ONCE
        change(world, stage="Triage")
        passes.run()
        check_databases(passes.notion, passes.access, add_missing=True)
        server.edit(page_of(world), WT_Gate_For_Automation="⛔ BLOCKED")
        passes.run()
        known, (shown,) = case(world), server.rows("cases")
    assert (known["stage"], known["wt_gate_for_automation"]) == ("Triage", "⛔ BLOCKED")
    assert shown["Stage"] == "Triage"


def test_a_change_on_both_sides_between_two_readings_keeps_that_of_the_page(
    world: sa.Engine, server: NotionServer
) -> None:
    with syncing(world, server) as passes:
        passes.run()
        server.edit(page_of(world), Stage="Draft")
        change(world, stage="Triage", fix="restart it")
        passes.run()  # too early to read stages again
        shown = server.rows("cases")[0]
        assert (shown["Stage"], shown["Fix_Patch"]) == ("Draft", "restart it")
        passes.poll_every = AT_ONCE
        passes.run()
    assert (case(world)["stage"], server.rows("cases")[0]["Stage"]) == ("Draft", "Draft")


def test_a_page_that_was_made_unseen_takes_back_no_change_of_ours(world: sa.Engine, server: NotionServer) -> None:
    server.judge = lambda asked: (
        Failure(Mishap.RESET, done=True) if (asked.method, asked.path) == ("POST", "pages") else None
    )
    with syncing(world, server) as passes:
        passes.poll_every = AT_ONCE
        passes.run()
        (page,) = server.pages.values()
        change(world, stage="Triage")
        passes.run()
        assert case(world)["stage"] == "Triage", "the page that we made says otherwise, and nobody changed it"
        server.edit(page.id, WT_Gate_For_Automation="⛔ BLOCKED")
        passes.run()
        wait_over(world)
        passes.run()
    known, (shown,) = case(world), server.rows("cases")
    assert (known["stage"], known["wt_gate_for_automation"]) == ("Triage", "⛔ BLOCKED")
    assert (shown["Stage"], shown["WT Gate For Automation"]) == ("Triage", "⛔ BLOCKED")


def test_what_people_write_into_a_page_that_was_made_unseen_is_not_taken_back(
    world: sa.Engine, server: NotionServer
) -> None:
    server.judge = lambda asked: (
        Failure(Mishap.RESET, done=True) if (asked.method, asked.path) == ("POST", "pages") else None
    )
    with syncing(world, server) as passes:
        passes.run()
        (page,) = server.pages.values()
        server.edit(page.id, Stage="Wave-1 Sent")
        change(world, wt_gate_for_automation="⛔ BLOCKED")
        wait_over(world)
        passes.run()  # adopts it, too early to read stages again
        (shown,) = server.rows("cases")
        assert (shown["Stage"], shown["WT Gate For Automation"]) == ("Wave-1 Sent", "⛔ BLOCKED")
        passes.poll_every = AT_ONCE
        passes.run()
    assert (page_of(world), case(world)["stage"]) == (page.id, "Wave-1 Sent")
    assert [receipt["outcome"] for receipt in rows(world, tables.run_receipts)] == ["blocked"]


def test_a_column_that_is_renamed_is_read_by_its_new_name_at_once(world: sa.Engine, server: NotionServer) -> None:
    with syncing(world, server) as passes:
        passes.poll_every = AT_ONCE
        passes.run()
        page = page_of(world)
        server.rename("cases", "Stage", "🧭 STAGE")
        server.edit(page, **{"🧭 STAGE": "Wave-1 Sent"})
        passes.run()
        server.pass_time(timedelta(hours=1))
        passes.run()
    assert case(world)["stage"] == "Wave-1 Sent"


def test_a_run_whose_page_was_made_unseen_is_found_among_many_of_the_same_name(
    engine: sa.Engine, server: NotionServer
) -> None:
    given_world(engine)
    spend(engine, [entry(T0, 100, workflow_id=f"w{number}", execution_id="run-1") for number in (1, 2)])
    sync(engine, server)
    first, last = rows(engine, tables.notion_pages)
    for number in range(100):
        copy = replace(server.pages[first["page_id"]], id=f"copy-{number}", created_at=T0)
        server.pages[copy.id] = copy
    pages = tables.notion_pages
    with engine.begin() as connection:
        unseen = {"page_id": None, "digest": None, "object_version": None, "attempt_at": sa.func.now()}
        connection.execute(sa.update(pages).where(pages.c.id == last["id"]).values(**unseen))
    wait_over(engine)
    sync(engine, server)
    assert len(server.rows("runs")) == 102
    assert row(engine, pages, id=last["id"])["page_id"] == last["page_id"]
