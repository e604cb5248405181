"""Credit cases: one for a scenario at a time, with what was done about it (50.2, 50.4)."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date
from itertools import chain, repeat
from typing import Any

import pytest
import sqlalchemy as sa

from dataflows.decisions import decode_decision, encode_decision
from lifecycle import tables
from lifecycle.actors import MONITOR
from lifecycle.credits.cases import CaseResult, record_incident
from lifecycle.credits.incident import Incident
from lifecycle.kinds import CaseAction, CaseSeverity
from lifecycle.options import LifecycleOptions
from sinks.services import Outcome, ServicesSink
from tests.dataflows.credits_given import ended, replayed, usual
from tests.lifecycle.cases_given import WITH_SLACK, apply, case, holds, incident, results
from tests.lifecycle.given import content, given_world, row, rows
from tests.sinks.given import T0

WRITERS = 64


@pytest.fixture
def pooled(database_url: str) -> Iterator[sa.Engine]:
    """Connections for many writers."""
    pooled = sa.create_engine(database_url, pool_size=WRITERS)
    yield pooled
    pooled.dispose()


def as_incident(execution: str, severity: CaseSeverity = CaseSeverity.SEV1) -> Incident:
    """What the handler makes of a decision."""
    said = incident(severity, execution)
    return Incident(
        tenant_id="t1",
        workflow_id="wf1",
        execution_id=execution,
        automation_version_id="v1",
        decision_id=said.decision_id,
        occurred_at=T0,
        severity=severity,
        scenario="BINDER_EXPORT",
        job_type="BINDER_EXPORT",
        credits_total=2480.0,
        baseline_credits=320.0,
        variance_multiplier=7.75,
        misconfig_likelihood="High",
        risk_flags=["retry_loop"],
        risk_summary="Variance: 7.75×",
        actions=[CaseAction.CREATE_CASE],
    )


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Etc/GMT-14"])
def test_a_case_is_named_after_the_day_of_utc_whatever_time_zone_the_database_has(
    engine: sa.Engine, database_url: str, zone: str
) -> None:
    given_world(engine)
    elsewhere = sa.create_engine(database_url, connect_args={"options": f"-c timezone={zone}"})
    apply(elsewhere, incident("SEV1"))
    elsewhere.dispose()
    known = case(engine)
    assert known["case_id"].startswith(f"CASE-{known['opened_at'].astimezone(UTC):%Y%m%d}-")


def test_an_incident_opens_a_case_with_a_task_and_its_run(engine: sa.Engine) -> None:
    given_world(engine)
    assert apply(engine, incident("SEV1")) == ["case_opened"]
    opened = case(engine)
    day = opened["opened_at"].strftime("%Y%m%d")
    assert re.fullmatch(rf"CASE-{day}-[A-Z0-9]{{6}}", opened["case_id"])
    assert opened["title"] == "SEV1 · Credit spike · BINDER_EXPORT"
    assert (opened["category"], opened["exposure_band"], opened["status"]) == ("Cost/Credits", "Financial", "Open")
    assert (opened["workflow_id"], opened["primary_execution_id"]) == ("wf1", "RUN-1")
    run = row(engine, tables.credit_case_runs)
    assert (run["case_id"], run["execution_id"], float(run["credits_total"])) == (opened["id"], "RUN-1", 2480)
    task = row(engine, tables.tasks, kind="credit_case")
    assert (task["priority"], task["title"], task["context_id"]) == ("high", opened["title"], "wf1")
    audit = row(engine, tables.audit_logs, action_type="open_case")
    assert (audit["resource_id"], audit["metadata"]["execution_id"]) == (opened["case_id"], "RUN-1")


def test_a_decision_that_comes_again_changes_nothing(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV0"))
    before = content(engine)
    sink = ServicesSink(engine, LifecycleOptions(), lambda _decision, _code: None)
    assert [result.outcome for result in sink.apply([incident("SEV0")])] == [Outcome.DUPLICATE]
    assert content(engine) == before


@pytest.mark.parametrize(
    ("severities", "flags", "title", "exposure"),
    [
        pytest.param(["SEV1", "SEV2"], [(), ()], "SEV1 · Credit spike", "Financial", id="a lesser one changes nothing"),
        pytest.param(["SEV2", "SEV1"], [(), ()], "SEV1 · Credit spike", "Financial", id="a graver one raises it"),
        pytest.param(
            ["SEV1", "SEV0"],
            [(), ("pii_exposure",)],
            "SEV0 · PII exposure",
            "Privacy",
            id="its flags become the case's",
        ),
        pytest.param(
            ["SEV0", "SEV2"],
            [("pii_exposure",), ("regulatory_data",)],
            "SEV0 · PII exposure",
            "Regulatory",
            id="flags of all runs count",
        ),
    ],
)
def test_further_incidents_of_the_scenario_join_the_case(
    engine: sa.Engine, severities: list[str], flags: list[tuple[str, ...]], title: str, exposure: str
) -> None:
    given_world(engine)
    runs = zip(severities, flags, range(2), strict=False)
    said = [incident(severity, f"RUN-{number}", flags=flag) for severity, flag, number in runs]
    assert apply(engine, *said) == ["case_opened", "case_joined"]
    found = case(engine)
    assert found["title"] == f"{title} · BINDER_EXPORT"
    assert found["severity"] == min(severities)
    assert found["exposure_band"] == exposure
    assert [run["severity"] for run in rows(engine, tables.credit_case_runs)] == severities
    assert len(rows(engine, tables.tasks, kind="credit_case")) == 1


def test_another_scenario_and_another_tenant_have_cases_of_their_own(engine: sa.Engine) -> None:
    given_world(engine)
    of_t2 = {"tenant_id": "t2", "workflow_id": "wf2", "automation_version_id": "v2"}
    said = [incident(execution="1"), incident(execution="2", scenario="OTHER"), incident(execution="3", **of_t2)]
    assert apply(engine, *said) == ["case_opened"] * 3
    assert len({one["case_id"] for one in rows(engine, tables.credit_cases)}) == 3


def test_the_task_of_a_case_follows_its_severity_even_when_somebody_had_closed_it(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV2", "RUN-1"))
    assert row(engine, tables.tasks)["priority"] == "medium"
    with engine.begin() as connection:
        connection.execute(sa.update(tables.tasks).values(status="complete", completed_at=sa.func.now()))
    apply(engine, incident("SEV0", "RUN-2"))
    task = row(engine, tables.tasks)
    assert (task["priority"], task["status"]) == ("critical", "pending")


def test_a_sev0_holds_back_the_workflow_and_what_the_run_asks_for(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV0", "RUN-1", flags=("pii_exposure",)), options=WITH_SLACK)
    assert holds(engine) == [("wf1", "block_dispatch", "RUN-1"), ("wf1", "quarantine", None)]
    assert {hold["case_id"] for hold in rows(engine, tables.gate_holds)} == {case(engine)["id"]}
    assert row(engine, tables.credit_case_runs)["artifacts_quarantined"]
    assert results(engine) == {
        ("quarantine", "SEV0", None): "done",
        ("block_dispatch", "SEV0", "RUN-1"): "done",
        ("create_case", "SEV0", None): "done",
        ("page_lock", "SEV0", None): "not_configured",
        ("slack_escalate", "SEV0", None): "planned",
    }


def test_a_sev1_asks_for_an_acknowledgment_and_says_that_slack_is_not_set_up(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV1"))
    assert holds(engine) == [("wf1", "require_ack", None)]
    assert not row(engine, tables.credit_case_runs)["artifacts_quarantined"]
    assert results(engine)["slack_alert", "SEV1", None] == "not_configured"


def test_a_sev2_holds_nothing_back(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV2"))
    assert holds(engine) == []
    assert results(engine)["weekly_review", "SEV2", None] == "planned"
    assert case(engine)["acknowledge_by"] is None


def test_what_a_further_run_asks_for_is_recorded_beside_what_was_done_before(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV2", "RUN-1"), incident("SEV1", "RUN-2"), incident("SEV0", "RUN-3"))
    apply(engine, incident("SEV0", "RUN-4"))
    assert set(results(engine)) == {
        ("create_case", "SEV2", None),
        ("slack_alert", "SEV2", None),
        ("weekly_review", "SEV2", None),
        ("slack_alert", "SEV1", None),
        ("require_ack_before_rerun", "SEV1", None),
        ("quarantine", "SEV0", None),
        ("block_dispatch", "SEV0", "RUN-3"),
        ("block_dispatch", "SEV0", "RUN-4"),
        ("page_lock", "SEV0", None),
        ("slack_escalate", "SEV0", None),
    }


def test_each_severity_is_told_once_however_many_runs_join(engine: sa.Engine) -> None:
    given_world(engine)
    said = [incident("SEV2" if number < 3 else "SEV1", f"RUN-{number}") for number in range(6)]
    apply(engine, *said, options=WITH_SLACK)
    slack = rows(engine, tables.notifications, template="credit_case", channel="slack")
    assert sorted((notice["title"], notice["severity"]) for notice in slack) == [
        ("SEV1 · Credit spike · BINDER_EXPORT · Acme", "critical"),
        ("SEV2 · Credit spike · BINDER_EXPORT · Acme", "warning"),
    ]
    assert rows(engine, tables.notifications, channel="on_call") == []
    assert len(rows(engine, tables.notifications, template="credit_case", channel="email")) == 1


def test_a_notice_says_only_what_was_done(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV0", flags=("pii_exposure",)), options=WITH_SLACK)
    notice = row(engine, tables.notifications, channel="slack")
    assert "Done: the workflow is on hold, and what the run made is marked, nothing that the run" in notice["body"]
    assert "Not done: no page was locked, since none is set up" in notice["body"]
    assert "cost 2,480 credits, 7.75 times the 320" in notice["body"]
    assert len(rows(engine, tables.notifications, channel="on_call")) == 1


def test_many_writers_make_one_case(pooled: sa.Engine) -> None:
    given_world(pooled)

    def write(number: int) -> CaseResult:
        with pooled.begin() as connection:
            said = as_incident(f"RUN-{number}")
            return record_incident(connection, said, actor_context=MONITOR, options=LifecycleOptions())

    with ThreadPoolExecutor(WRITERS) as threads:
        found = list(threads.map(write, range(WRITERS)))
    assert sum(result.opened for result in found) == 1
    assert {result.id for result in found} == {case(pooled)["id"]}
    assert len(rows(pooled, tables.credit_case_runs)) == WRITERS
    assert len(rows(pooled, tables.tasks, kind="credit_case")) == 1
    assert case(pooled)["version"] == WRITERS


def test_sinks_that_meet_scenarios_in_different_orders_make_a_case_for_each(pooled: sa.Engine) -> None:
    given_world(pooled)
    scenarios = [f"S{number}" for number in range(4)]

    def write(number: int) -> list[str | None]:
        # Each sink's decisions share a transaction, and lock the cases in an order of their own.
        order = scenarios[number % 4 :] + scenarios[: number % 4]
        said = [incident("SEV0", f"RUN-{number}-{name}", scenario=name) for name in (order, order[::-1])[number // 4]]
        return apply(pooled, *said)

    with ThreadPoolExecutor(8) as threads:
        found = [reason for reasons in threads.map(write, range(8)) for reason in reasons]
    assert (found.count("case_opened"), found.count("case_joined")) == (4, 28)
    assert sorted(one["scenario"] for one in rows(pooled, tables.credit_cases)) == scenarios
    assert len(rows(pooled, tables.credit_case_runs)) == 32


def test_a_case_id_that_is_taken_is_drawn_again(engine: sa.Engine) -> None:
    given_world(engine)
    drawn = chain(repeat("CASE-20260302-AAAAAA", 3), ["CASE-20260302-BBBBBB"])

    def draw(_day: date) -> str:
        return next(drawn)

    with engine.begin() as connection:
        for tenant, workflow, version in (("t1", "wf1", "v1"), ("t2", "wf2", "v2")):
            said = as_incident("RUN-1")
            changes = {"tenant_id": tenant, "workflow_id": workflow, "automation_version_id": version}
            said = Incident(**{name: changes.get(name, getattr(said, name)) for name in Incident.__slots__})
            record_incident(connection, said, actor_context=MONITOR, options=LifecycleOptions(), draw_id=draw)
    assert [one["case_id"] for one in rows(engine, tables.credit_cases, tenant_id="t2")] == ["CASE-20260302-BBBBBB"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"workflow_id": "wf2"}, id="a workflow of another tenant"),
        pytest.param({"workflow_id": "nobody's", "automation_version_id": None}, id="a workflow that is not known"),
    ],
)
def test_a_decision_on_what_is_not_the_tenant_s_opens_nothing(engine: sa.Engine, changes: dict[str, str]) -> None:
    given_world(engine)
    assert apply(engine, incident(**changes)) == ["workflow_not_found"]
    assert rows(engine, tables.credit_cases) == []


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        pytest.param("detail", {"severity": "SEV3"}, id="a severity that is no incident"),
        pytest.param("detail", {"scenario": ""}, id="no scenario"),
        pytest.param("detail", {"actions": "all"}, id="actions that are no list"),
        pytest.param("observed", {"credits_total": float("nan")}, id="credits that are no number"),
        pytest.param("observed", {"credits_total": -1}, id="negative credits"),
    ],
)
def test_a_malformed_decision_is_a_dead_letter(engine: sa.Engine, part: str, changes: dict[str, object]) -> None:
    given_world(engine)
    said = incident()
    refused: list[str] = []
    malformed = incident(**{part: {**getattr(said, part), **changes}})
    sink = ServicesSink(engine, LifecycleOptions(), lambda _decision, code: refused.append(code))
    assert [result.outcome for result in sink.apply([malformed])] == [Outcome.DEAD_LETTER]
    assert len(refused) == 1
    assert rows(engine, tables.credit_cases) == []


@pytest.mark.parametrize(
    ("more", "severity", "holds_of_the_run"),
    [
        pytest.param({}, "SEV1", [("wf1", "require_ack", None)], id="a spike"),
        pytest.param(
            {"risk_flags": ["pii_exposure"], "credits_total": 1},
            "SEV0",
            [("wf1", "block_dispatch", "spike"), ("wf1", "quarantine", None)],
            id="personal data",
        ),
        pytest.param({"credits_total": 250}, "SEV2", [], id="a smaller spike"),
    ],
)
def test_what_the_detector_says_of_a_run_becomes_a_case(
    engine: sa.Engine, more: dict[str, Any], severity: str, holds_of_the_run: list[Any]
) -> None:
    given_world(engine)
    of_world = {"tenant_id": "t1", "workflow_id": "wf1", "automation_version_id": "v1"}
    spike = {**ended(1, "spike", more.get("credits_total", 775), **of_world), **more}
    outcome = replayed([*({**line, **of_world} for line in usual()), spike])
    # By way of a topic, as words and numbers.
    said = [decode_decision(encode_decision(decision)) for decision in outcome.decisions]
    assert apply(engine, *said) == ["case_opened"]
    assert (case(engine)["severity"], case(engine)["primary_execution_id"]) == (severity, "spike")
    assert holds(engine) == holds_of_the_run


def test_an_incident_can_not_hide_behind_a_character_that_the_database_lacks(engine: sa.Engine) -> None:
    given_world(engine)
    said = incident("SEV0", "RUN\x001", scenario="a\x00b", flags=("pii_exposure",))
    assert apply(engine, said, said) == ["case_opened", None]
    assert case(engine)["scenario"] == "a\N{REPLACEMENT CHARACTER}b"
    assert case(engine)["primary_execution_id"] == "RUN\N{REPLACEMENT CHARACTER}1"


def test_a_scenario_that_the_platform_does_not_know_has_cases_and_nothing_to_hold_back(engine: sa.Engine) -> None:
    given_world(engine)
    named = {"workflow_id": "scenario:BINDER", "automation_version_id": "scenario:BINDER"}
    assert apply(engine, incident("SEV0", **named)) == ["case_opened"]
    opened = case(engine)
    assert (opened["workflow_id"], opened["automation_version_id"]) == ("scenario:BINDER", None)
    assert holds(engine) == []
    assert {action: result for (action, _, _), result in results(engine).items()} == {
        "quarantine": "not_configured",
        "block_dispatch": "not_configured",
        "create_case": "done",
        "page_lock": "not_configured",
        "slack_escalate": "not_configured",
    }
    (body,) = {one["body"] for one in rows(engine, tables.notifications, channel="email")}
    assert body.count("nothing is held back") == 1


def test_a_scenario_of_a_tenant_that_is_not_known_has_no_case(engine: sa.Engine) -> None:
    given_world(engine)
    named = {"workflow_id": "scenario:B", "automation_version_id": "scenario:B", "tenant_id": "t9"}
    assert apply(engine, incident("SEV0", **named)) == ["tenant_not_found"]
    assert rows(engine, tables.credit_cases) == []
