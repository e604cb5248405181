"""Pages of credit cases in Notion: one for each case whatever fails, up to date, and read-only for a SEV0."""

import json
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lifecycle import tables
from lifecycle.kinds import CaseStatus, RootCause
from tests.lifecycle.cases_given import apply, case, incident, results
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.ledger_given import entry, spend
from tests.lifecycle.notion_given import OPTIONS, PATIENT, SOON, change, sync, syncing, wait_over
from tests.lifecycle.notion_server import SCHEMAS, TOKEN, Asked, Failure, Mishap, NotionServer
from tests.sinks.given import T0

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world(engine: sa.Engine) -> sa.Engine:
    given_world(engine)
    return engine


def page(engine: sa.Engine) -> Any:
    return row(engine, tables.notion_pages)


def test_a_case_has_a_page_that_says_what_it_is(world: sa.Engine, server: NotionServer) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    assert sync(world, server) == 1
    known = case(world)
    (said,) = server.rows("cases")
    assert said == {
        "Title": "SEV1 · Credit spike · BINDER_EXPORT",
        "CaseID": known["case_id"],
        "Tenant_ID": "t1",
        "Scenario": "BINDER_EXPORT",
        "Category": "Cost/Credits",
        "Severity": "SEV1",
        "Exposure_Band": "Financial",
        "Status": "Open",
        "Stage": None,
        "WT Gate For Automation": None,
        "WT Gate Verdict": "",
        "Root_Cause": None,
        "Primary_Run_ID": "RUN-1",
        "Related_Run_IDs": "RUN-1",
        "Fix_Patch": "",
        "Prevent_Recurrence_Notes": "",
        "Slack_Thread_URL": None,
        "Link": f"https://bw.example/console/cases/{known['case_id']}",
        "Created_At": known["opened_at"].isoformat(timespec="milliseconds"),
        "Updated_At": known["updated_at"].isoformat(timespec="milliseconds"),
        "Resolved_At": None,
    }
    kept = page(world)
    assert (kept["kind"], kept["object_id"], kept["object_version"]) == ("case", known["id"], 1)
    assert kept["url"].startswith("https://www.notion.so/")


def test_a_change_is_written_to_the_same_page_and_nothing_is_written_twice(
    world: sa.Engine, server: NotionServer
) -> None:
    apply(world, incident("SEV2"), options=OPTIONS)
    sync(world, server)
    apply(world, incident("SEV1", "RUN-2", at=1), options=OPTIONS)
    change(world, status=CaseStatus.INVESTIGATING, root_cause=RootCause.MISCONFIG, fix="Max items.")
    sync(world, server)
    (said,) = server.rows("cases")
    assert (said["Severity"], said["Status"], said["Root_Cause"]) == ("SEV1", "Investigating", "Misconfig")
    assert (said["Related_Run_IDs"], said["Fix_Patch"]) == ("RUN-2, RUN-1", "Max items.")
    asked = len(server.asked)
    assert sync(world, server) == 0
    assert len(server.asked) == asked


def test_long_notes_come_whole(world: sa.Engine, server: NotionServer) -> None:
    apply(world, incident("SEV2"), options=OPTIONS)
    notes = "Ünïcode 🔥 " * 390
    change(world, recurrence_notes=notes)
    sync(world, server)
    assert server.rows("cases")[0]["Prevent_Recurrence_Notes"] == case(world)["recurrence_notes"]


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"Name": "title", "Case ID": "rich_text", "status": "status"}, id="few columns, other names"),
        pytest.param({"Case_ID": "title"}, id="the id is the title"),
        pytest.param({"Name": "title"}, id="no column for the id: the title tells it"),
    ],
)
def test_a_database_with_other_columns_gets_what_it_has_and_one_page(world: sa.Engine, columns: dict[str, str]) -> None:
    with NotionServer({**SCHEMAS, "cases": columns}) as server:
        apply(world, incident("SEV1"), options=OPTIONS)
        server.judge = only_pages(Failure(Mishap.RESET, done=True), server)
        sync(world, server)
        wait_over(world)
        sync(world, server)
        (said,) = server.rows("cases")
    assert case(world)["case_id"] in str(list(said.values()))


def only_pages(failure: Failure, server: NotionServer) -> Any:
    """Fail the first creation of a page."""

    def judge(asked: Asked) -> Failure | None:
        if (asked.method, asked.path) == ("POST", "pages") and server.count("POST", "pages") == 1:
            return failure
        return None

    return judge


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Failure((429, "rate_limited", {"retry-after": "1"})), id="too many requests"),
        pytest.param(Failure((500, "internal_server_error")), id="an error, and nothing was made"),
        pytest.param(Failure((500, "internal_server_error"), done=True), id="an error, and it was made"),
        pytest.param(Failure(Mishap.HANG), id="no answer, and nothing was made"),
        pytest.param(Failure(Mishap.HANG, done=True), id="no answer, and it was made"),
        pytest.param(Failure(Mishap.RESET), id="a reset, and nothing was made"),
        pytest.param(Failure(Mishap.RESET, done=True), id="a reset, and it was made"),
        pytest.param(Failure(Mishap.GARBAGE), id="garbage, and nothing was made"),
        pytest.param(Failure(Mishap.GARBAGE, done=True), id="garbage, and it was made"),
        pytest.param(Failure(Mishap.STRANGE_ID, done=True), id="an id that no address can hold, and it was made"),
    ],
)
def test_a_failure_delays_a_page_and_makes_no_second_one(
    world: sa.Engine, server: NotionServer, failure: Failure
) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    server.judge = only_pages(failure, server)
    assert sync(world, server, timeout=SOON if failure.how is Mishap.HANG else PATIENT) == 0
    assert rows(world, tables.notion_outages)[0]["part"] == "api"
    asked = len(server.asked)
    sync(world, server)
    assert server.count("POST", "pages") == 1, "it was asked again at once"
    wait_over(world)
    assert sync(world, server) == 1
    assert len(server.asked) > asked
    (said,) = server.rows("cases")
    assert said["CaseID"] == case(world)["case_id"]
    assert rows(world, tables.notion_outages) == []
    assert page(world)["attempt_at"] is None


def test_it_is_not_asked_whether_a_page_is_there_before_that_can_be_known(
    world: sa.Engine, server: NotionServer
) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    server.judge = only_pages(Failure(Mishap.RESET, done=True), server)
    sync(world, server)
    with world.begin() as connection:
        connection.execute(sa.update(tables.notion_pages).values(not_before=None))
    asked = server.count("POST")
    sync(world, server)
    assert server.count("POST") == asked
    assert page(world)["not_before"] == page(world)["attempt_at"] + timedelta(minutes=2)


def test_a_process_that_is_killed_before_it_knows_leaves_one_page(
    world: sa.Engine, database_url: str, server: NotionServer
) -> None:
    apply(world, incident("SEV0", flags=("pii_exposure",)), options=OPTIONS)
    server.judge = only_pages(Failure(Mishap.HANG, done=True), server)
    access = {name: value for name, value in asdict(server.access()).items() if name != "token"}
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.lifecycle.notion_child", database_url, json.dumps(access)], cwd=ROOT
    )
    try:
        deadline = time.monotonic() + 60
        while not server.rows("cases"):
            assert child.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline, "no page was asked for"
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    known = page(world)
    assert known["page_id"] is None
    assert known["attempt_at"] is not None
    wait_over(world)
    wait_until_free(world)
    assert sync(world, server) == 1
    assert len(server.rows("cases")) == 1
    assert server.pages[page(world)["page_id"]].is_locked


def wait_until_free(engine: sa.Engine) -> None:
    """Postgres has noticed that the connection of a dead process is gone."""
    deadline = time.monotonic() + 30
    with engine.connect() as connection:
        while connection.execute(sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar_one():
            assert time.monotonic() < deadline, "the lock of a dead process is still there"
            time.sleep(0.02)


def test_a_page_of_another_case_is_not_adopted(world: sa.Engine, server: NotionServer) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    server.judge = only_pages(Failure((500, "internal_server_error")), server)
    sync(world, server)
    wait_over(world)
    # Somebody has copied the id to another row, which is known as another object's.
    with syncing(world, server) as passes:
        schema = passes.notion.read_schema(server.databases["cases"])
        copied = {"CaseID": {"rich_text": [{"text": {"content": case(world)["case_id"]}}]}}
        other = passes.notion.create_page(schema.id, copied)
    with world.begin() as connection:
        connection.execute(
            sa.insert(tables.notion_pages).values(kind="case", tenant_id="t1", object_id="other", page_id=other.id)
        )
    sync(world, server)
    assert len(server.rows("cases")) == 2


@pytest.mark.parametrize("code", ["validation_error", "object_not_found"])
def test_a_page_that_is_refused_keeps_no_other_from_being_written(
    world: sa.Engine, server: NotionServer, code: str
) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    sync(world, server)
    first = page(world)["page_id"]
    apply(world, incident("SEV0", "RUN-2", at=1), incident("SEV1", "RUN-3", scenario="OTHER", at=2), options=OPTIONS)
    refused = Failure((404 if code == "object_not_found" else 400, code))
    server.judge = lambda asked: refused if asked.path == f"pages/{first}" else None
    assert sync(world, server) == 1
    (kept,) = [one for one in rows(world, tables.notion_pages) if one["page_id"] == first]
    assert (kept["refused_code"], kept["tries"]) == (code, 1)
    assert results(world)[("page_lock", "SEV0", None)] == "failed"
    (notice,) = rows(world, tables.notifications, template="credit_health", channel="in_app")
    assert code.replace("_", " ") in notice["body"]
    assert TOKEN not in str(notice)
    server.judge = lambda _: None
    wait_over(world)
    sync(world, server)
    assert {one["Severity"] for one in server.rows("cases")} == {"SEV0", "SEV1"}
    assert results(world)[("page_lock", "SEV0", None)] == "done"


@pytest.mark.parametrize(
    ("status", "code", "part"),
    [
        pytest.param(401, "unauthorized", "api", id="a token that is not good"),
        pytest.param(403, "restricted_resource", "case", id="an integration that may not"),
        pytest.param(404, "object_not_found", "case", id="a database that is not shared"),
    ],
)
def test_a_notion_that_refuses_us_is_told_with_its_code_and_left_alone(
    world: sa.Engine, server: NotionServer, status: int, code: str, part: str
) -> None:
    apply(world, incident("SEV0"), options=OPTIONS)
    server.judge = lambda _: Failure((status, code))
    for _ in range(5):
        sync(world, server)
    (outage,) = rows(world, tables.notion_outages)
    assert (outage["part"], outage["fault"], outage["failures"]) == (part, code, 5)
    (notice,) = rows(world, tables.notifications, template="credit_health", channel="in_app")
    assert code.replace("_", " ") in notice["body"]
    assert results(world)[("page_lock", "SEV0", None)] == "failed"
    asked = len(server.asked)
    sync(world, server)
    assert len(server.asked) == asked, "it was asked while it is left alone"
    server.judge = lambda _: None
    wait_over(world)
    sync(world, server)
    assert results(world)[("page_lock", "SEV0", None)] == "done"
    assert rows(world, tables.notion_outages) == []


@pytest.mark.parametrize(
    ("failure", "part"),
    [
        pytest.param((500, "internal_server_error"), "api", id="it breaks at each"),
        pytest.param((403, "restricted_resource"), "case", id="its database may not be written to"),
    ],
)
def test_a_notion_that_is_read_and_takes_no_pages_is_told_of(
    failure: tuple[int, str], part: str, world: sa.Engine, server: NotionServer
) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    refused = Failure(failure)
    server.judge = lambda asked: refused if (asked.method, asked.path) == ("POST", "pages") else None
    with syncing(world, server) as passes:
        passes.poll_every = timedelta(0)
        for _ in range(5):
            wait_over(world)
            passes.run()
        outage = row(world, tables.notion_outages)
        assert (outage["part"], outage["failures"]) == (part, 5)
        assert len(rows(world, tables.notifications, template="credit_health", channel="in_app")) == 1
        server.judge = lambda _: None
        wait_over(world)
        passes.run()
    assert rows(world, tables.notion_outages) == []


def test_retry_after_is_kept(world: sa.Engine, server: NotionServer) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    server.failures.append(Failure((429, "rate_limited", {"retry-after": "600"})))
    sync(world, server)
    outage = row(world, tables.notion_outages)
    assert outage["left_alone_until"] - outage["failing_since"] >= timedelta(seconds=600)
    sync(world, server)
    assert len(server.asked) == 1


def test_the_page_of_a_sev0_is_locked_once(world: sa.Engine, server: NotionServer) -> None:
    apply(world, incident("SEV0"), options=OPTIONS)
    assert results(world)[("page_lock", "SEV0", None)] == "planned"
    sync(world, server)
    (locked,) = server.pages.values()
    assert locked.is_locked
    assert results(world)[("page_lock", "SEV0", None)] == "done"
    # Somebody unlocks it to work with it, and it goes on.
    locked.is_locked = False
    apply(world, incident("SEV0", "RUN-2", at=1), options=OPTIONS)
    sync(world, server)
    assert server.rows("cases")[0]["Related_Run_IDs"] == "RUN-2, RUN-1"
    assert not locked.is_locked


def test_a_case_that_becomes_a_sev0_is_locked(world: sa.Engine, server: NotionServer) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    sync(world, server)
    apply(world, incident("SEV0", "RUN-2", at=1), options=OPTIONS)
    sync(world, server)
    assert [one.is_locked for one in server.pages.values()] == [True]


def test_without_a_database_of_cases_no_lock_is_promised(world: sa.Engine, server: NotionServer) -> None:
    apply(world, incident("SEV0"))
    assert results(world)[("page_lock", "SEV0", None)] == "not_configured"
    assert sync(world, server, cases=None) == 0
    assert server.asked == []


def test_what_people_write_into_a_stage_is_not_taken_back(world: sa.Engine, server: NotionServer) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    change(world, stage="Triage")
    sync(world, server)
    server.edit(page(world)["page_id"], Stage="Wave-1 Sent")
    change(world, fix="Max items.")
    sync(world, server)
    (said,) = server.rows("cases")
    assert (said["Stage"], said["Fix_Patch"]) == ("Wave-1 Sent", "Max items.")
    change(world, stage="Closed out")
    sync(world, server)
    # It was not read yet what they wrote; then it is what the case says.
    assert server.rows("cases")[0]["Stage"] == "Wave-1 Sent"
    with syncing(world, server) as passes:
        passes.poll_every = timedelta(0)
        passes.run()
    assert case(world)["stage"] == "Wave-1 Sent"
    change(world, stage="Closed out")
    sync(world, server)
    assert server.rows("cases")[0]["Stage"] == "Closed out"


def test_two_workers_write_one_page(world: sa.Engine, server: NotionServer) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    with syncing(world, server) as one, syncing(world, server) as other:
        inner: list[int] = []

        def judge(asked: Asked) -> None:
            # While the first asks for a page the second makes its pass.
            if (asked.method, asked.path) == ("POST", "pages"):
                inner.append(other.run())

        server.judge = judge
        assert one.run() == 1
    assert inner == [0]
    assert len(server.rows("cases")) == 1


def test_where_no_column_names_a_case_its_title_does_whatever_else_is_there(world: sa.Engine) -> None:
    with NotionServer({**SCHEMAS, "cases": {"Scenario": "title", "Severity": "select"}}) as server:
        apply(world, incident("SEV1"), options=OPTIONS)
        server.judge = only_pages(Failure(Mishap.RESET, done=True), server)
        sync(world, server)
        wait_over(world)
        sync(world, server)
        (said,) = server.rows("cases")
    assert said["Scenario"] == f"SEV1 · Credit spike · BINDER_EXPORT · {case(world)['case_id']}"


def test_a_page_that_somebody_removed_is_not_made_again_and_is_told_of_once(
    world: sa.Engine, server: NotionServer
) -> None:
    apply(world, incident("SEV1"), options=OPTIONS)
    sync(world, server)
    (removed,) = server.pages.values()
    server.pages.clear()
    change(world, fix="Max items.")
    for _ in range(3):
        sync(world, server)
        wait_over(world)
    assert (page(world)["refused_code"], page(world)["tries"]) == ("object_not_found", 3)
    assert server.pages == {}
    assert len(rows(world, tables.notifications, template="credit_health", channel="in_app")) == 1
    # It is taken out of the trash.
    server.pages[removed.id] = removed
    sync(world, server)
    assert server.rows("cases")[0]["Fix_Patch"] == "Max items."


def test_one_page_that_is_not_found_keeps_no_other_of_its_kind_from_being_written(
    world: sa.Engine, server: NotionServer
) -> None:
    apply(world, incident("SEV0"), incident("SEV1", "RUN-2", scenario="OTHER", at=1), options=OPTIONS)

    def judge(asked: Asked) -> Failure | None:
        made = (asked.method, asked.path) == ("POST", "pages")
        return Failure((404, "object_not_found")) if made and "BINDER" in str(asked.body) else None

    server.judge = judge
    assert sync(world, server) == 1
    assert [one["Scenario"] for one in server.rows("cases")] == ["OTHER"]
    assert rows(world, tables.notion_outages) == []


FAILURES = [
    Failure(how, done=done)
    for how in (Mishap.RESET, Mishap.GARBAGE, (500, "internal_server_error"))
    for done in (True, False)
] + [Failure((429, "rate_limited")), Failure((400, "validation_error"))]


def test_whatever_fails_each_object_has_one_page_in_the_end(world: sa.Engine, server: NotionServer) -> None:
    numbers = count(1)

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.none() | st.sampled_from(FAILURES), max_size=12))
    @example([Failure(Mishap.RESET, done=True), Failure((429, "rate_limited"))])
    def holds(failures: list[Failure | None]) -> None:
        number = next(numbers)
        name = f"S{number}"
        apply(world, incident("SEV0", f"RUN-{number}", scenario=name, at=number), options=OPTIONS)
        spend(world, [entry(T0, 100, execution_id=f"{name}-{one}", actions=["page_lock"]) for one in range(2)])
        ahead = iter(failures)
        # What is read by itself comes first in each pass, and would use them up.
        server.judge = lambda asked: (
            None if asked.method == "GET" or "last_edited_time" in str(asked.body) else next(ahead, None)
        )
        for _ in range(len(failures) + 3):
            sync(world, server)
            wait_over(world)
        assert [one["Severity"] for one in server.rows("cases") if one["Scenario"] == name] == ["SEV0"]
        written = [one["Run_ID"] for one in server.rows("runs") if one["Run_ID"].startswith(f"{name}-")]
        assert sorted(written) == [f"{name}-0", f"{name}-1"]
        assert all(one.is_locked for one in server.pages.values())
        assert {one["page_id"] for one in rows(world, tables.notion_pages)} == set(server.pages)

    holds()
    assert set(results(world).values()) <= {"done", "not_configured"}
