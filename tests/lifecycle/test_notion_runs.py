"""Rows of the ledger in Notion: each once, whatever fails, and none held up by another."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.notion.backlog import count_behind
from tests.lifecycle.cases_given import apply, incident
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.ledger_given import entry, spend
from tests.lifecycle.notion_given import OPTIONS, sync, syncing, wait_over
from tests.lifecycle.notion_server import Asked, Failure, Mishap, NotionServer
from tests.sinks.given import T0


def names(server: NotionServer) -> list[Any]:
    return [one["Run_ID"] for one in server.rows("runs")]


def run(name: str, **more: Any) -> Any:
    return entry(T0, 100, execution_id=name, **more)


def test_a_run_s_page_says_what_the_ledger_says(engine: sa.Engine, server: NotionServer) -> None:
    spend(
        engine,
        [
            entry(
                T0,
                "2480.5",
                execution_id="RUN-1",
                scenario_name="Binder, quarterly",
                status="failure",
                severity="SEV1",
                risk_flags=["retry_loop", "no_baseline"],
                credits_in=Decimal(1800),
                model="gpt-4",
                input_tokens=Decimal(220000),
                artifacts_link="https://drive.example/x",
                actions=["create_case"],
            )
        ],
    )
    assert sync(engine, server) == 1
    (said,) = server.rows("runs")
    assert said == {
        "Run_ID": "RUN-1",
        "Timestamp": T0.isoformat(timespec="milliseconds"),
        "Tenant_ID": "t1",
        "Workflow_ID": "wf1",
        "Scenario_Name": "Binder, quarterly",
        "Scenario_ID": "export",
        "Job_Type": "ANALYSIS",
        "Status": "Failed",
        "Credits_Total": 2480.5,
        "Credits_In": 1800,
        "Credits_Out": None,
        "Model": "gpt-4",
        "Input_Tokens": 220000,
        "Output_Tokens": None,
        "Artifacts_Link": "https://drive.example/x",
        "Severity": "SEV1",
        "Risk_Flags": ["retry_loop", "no_baseline"],
        "Risk_Summary": "Variance: 1.00× | Misconfig likelihood: Low",
        "Misconfig_Likelihood": "Low",
        "Baseline_Expected_Credits": 100,
        "Variance_Multiplier": 24.805,
    }


def test_ledgers_are_written_in_their_order_and_once(engine: sa.Engine, server: NotionServer) -> None:
    spend(engine, [run(f"a{number}") for number in range(30)])
    spend(engine, [run(f"b{number}", tenant_id="t2", workflow_id="wf2") for number in range(3)])
    assert sync(engine, server) == 33
    assert [name for name in names(server) if name.startswith("a")] == [f"a{number}" for number in range(30)]
    assert len(names(server)) == len(set(names(server))) == 33
    spend(engine, [run("a30")])
    with engine.connect() as connection:
        # The first ledger's rows were looked at up to its end.
        assert count_behind(connection) == 1
    assert sync(engine, server) == 1
    assert sync(engine, server) == 0


def test_a_budget_ends_a_pass_and_the_next_goes_on(engine: sa.Engine, server: NotionServer) -> None:
    spend(engine, [run(f"a{number}") for number in range(7)])
    with syncing(engine, server) as passes:
        ticks = iter(range(1000))
        passes.clock = lambda: float(next(ticks))
        passes.budget = timedelta(seconds=12)
        written = []
        while len(names(server)) < 7:
            written.append(passes.run())
            assert written[-1], "a pass wrote nothing"
    assert len(written) > 1
    assert names(server) == [f"a{number}" for number in range(7)]


def test_a_run_that_is_refused_is_tried_again_and_others_pass_it(engine: sa.Engine, server: NotionServer) -> None:
    spend(engine, [run(f"a{number}") for number in range(4)])

    def judge(asked: Asked) -> Failure | None:
        return Failure((400, "validation_error")) if "'a1'" in str(asked.body) else None

    server.judge = judge
    assert sync(engine, server) == 3
    assert names(server) == ["a0", "a2", "a3"]
    spend(engine, [run("a4")])
    server.judge = lambda _: None
    assert sync(engine, server) == 1
    wait_over(engine)
    assert sync(engine, server) == 1
    assert names(server) == ["a0", "a2", "a3", "a4", "a1"]


def test_an_outage_in_the_middle_loses_none_and_doubles_none(engine: sa.Engine, server: NotionServer) -> None:
    spend(engine, [run(f"a{number}") for number in range(6)])
    failures = iter(
        [Failure(Mishap.RESET, done=True), Failure((500, "internal_server_error")), Failure(Mishap.GARBAGE)]
    )

    def judge(asked: Asked) -> Failure | None:
        made = (asked.method, asked.path) == ("POST", "pages")
        return next(failures, None) if made and server.count("POST", "pages") in (2, 4, 6) else None

    server.judge = judge
    for _ in range(6):
        sync(engine, server)
        wait_over(engine)
    assert sorted(names(server)) == [f"a{number}" for number in range(6)]
    assert all(one["page_id"] for one in rows(engine, tables.notion_pages))


def test_the_same_run_id_in_two_workflows_has_two_pages(engine: sa.Engine, server: NotionServer) -> None:
    spend(engine, [run("RUN-1"), run("RUN-1", workflow_id="wf9")])
    server.judge = lambda asked: (
        Failure(Mishap.RESET, done=True)
        if (asked.method, asked.path) == ("POST", "pages") and server.count("POST", "pages") <= 2
        else None
    )
    for _ in range(4):
        sync(engine, server)
        wait_over(engine)
    assert sorted(one["Workflow_ID"] for one in server.rows("runs")) == ["wf1", "wf9"]
    shown = {one["object_id"]: server.pages[one["page_id"]] for one in rows(engine, tables.notion_pages)}
    assert shown["2"].properties["Workflow_ID"]["rich_text"][0]["plain_text"] == "wf9"


@pytest.mark.parametrize(
    ("least", "written"),
    [
        pytest.param("SEV4", ["r0", "r1", "r2", "r3", "r4"], id="all by default"),
        pytest.param("SEV2", ["r0", "r1", "r2"], id="from SEV2 on"),
        pytest.param("SEV0", ["r0"], id="the gravest alone"),
    ],
)
def test_runs_that_are_less_grave_may_be_left_out(
    engine: sa.Engine, server: NotionServer, least: str, written: list[str]
) -> None:
    spend(engine, [run(f"r{number}", severity=f"SEV{number}") for number in range(5)])
    sync(engine, server, runs_min_severity=least)
    assert names(server) == written
    with engine.connect() as connection:
        assert count_behind(connection) == 0


def test_the_run_of_a_sev0_comes_first_and_is_locked(engine: sa.Engine, server: NotionServer) -> None:
    given_world(engine)
    spend(engine, [run(f"a{number}") for number in range(25)])
    spend(engine, [run("RUN-1", severity="SEV0", actions=["create_case", "page_lock"])])
    apply(engine, incident("SEV0"), options=OPTIONS)
    sync(engine, server)
    assert names(server)[0] == "RUN-1"
    locked = {one.database for one in server.pages.values() if one.is_locked}
    assert locked == {"cases", "runs"}
    assert sum(one.is_locked for one in server.pages.values()) == 2


def test_a_lock_that_was_not_made_is_made_later(engine: sa.Engine, server: NotionServer) -> None:
    spend(engine, [run("RUN-1", severity="SEV0", actions=["page_lock"])])
    server.judge = lambda asked: Failure((500, "internal_server_error")) if asked.method == "PATCH" else None
    sync(engine, server)
    assert row(engine, tables.notion_pages)["digest"] is None
    server.judge = lambda _: None
    wait_over(engine)
    sync(engine, server)
    assert [one.is_locked for one in server.pages.values()] == [True]


def test_amounts_that_no_number_holds_are_left_empty(engine: sa.Engine, server: NotionServer) -> None:
    spend(engine, [entry(T0, 1, execution_id="RUN-1", input_tokens=Decimal("1e400"))])
    assert sync(engine, server) == 1
    assert server.rows("runs")[0]["Input_Tokens"] is None
