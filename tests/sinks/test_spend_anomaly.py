"""What follows a spend anomaly (50.9): operations are told once and get one task; nothing is stopped."""

from typing import Any

import pytest
import sqlalchemy as sa

from dataflows.decisions import Decision, DecisionKind, ReasonCode
from lifecycle import tables
from lifecycle.kinds import Channel
from lifecycle.options import LifecycleOptions
from lifecycle.slack import build_payload
from sinks.services import Outcome, Result, ServicesSink
from tests.lifecycle.given import content, given_world, row, rows, version
from tests.lifecycle.test_storm_control import Inbox, deliver
from tests.sinks.given import decision
from tests.sinks.test_services import DeadLetters

WITH_SLACK = LifecycleOptions(public_url="https://bw.example", channels=frozenset({Channel.SLACK}))


def burst(cause: str = "1", **changes: Any) -> Decision:
    """An hour of a workflow."""
    return decision(
        DecisionKind.SPEND_ANOMALY,
        60,
        cause,
        **{
            "automation_version_id": None,
            "policy_id": "spend_rate",
            "reason_code": ReasonCode.SPEND_BURST,
            "observed": {"credits": 1500.0, "runs": 150, "score": 0.93},
            "threshold": {"expected": 40.25, "limit": 62.5, "score": 0.5, "window_hours": 1},
            "evidence": ["e1", "e2"],
            "detail": {"scope": "workflow", "runs": [{"execution_id": "x1", "workflow_id": "wf1", "credits": 12.0}]},
            **changes,
        },
    )


def drift(cause: str = "2", **changes: Any) -> Decision:
    """Weeks of the tenant."""
    return burst(
        cause,
        **{
            "workflow_id": None,
            "reason_code": ReasonCode.SPEND_DRIFT,
            "observed": {"credits_a_day": 24_100.0, "share_more": 0.15},
            "threshold": {"expected": 21_000.0, "limit": 23_100.0, "window_hours": 168},
            "detail": {
                "scope": "tenant",
                "runs": [],
                "workflows": [{"workflow_id": f"wf{n}", "credits_a_day_more": 100.0 - n} for n in range(10)],
            },
            **changes,
        },
    )


def apply(engine: sa.Engine, *decisions: Decision, dead_letters: DeadLetters | None = None) -> list[Result]:
    sink = ServicesSink(engine, WITH_SLACK, DeadLetters() if dead_letters is None else dead_letters)
    return sink.apply(decisions)


def test_a_workflows_burst_is_told_once_and_is_one_task(engine: sa.Engine) -> None:
    given_world(engine)
    said, before = burst(), version(engine)
    assert apply(engine, said, said) == [Result(Outcome.APPLIED, "told"), Result(Outcome.DUPLICATE)]
    task = row(engine, tables.tasks)
    assert (task["kind"], task["context_type"], task["context_id"]) == ("general_todo", "workflow", "wf1")
    assert (task["tenant_id"], task["automation_version_id"], task["priority"]) == ("t1", "v1", "medium")
    assert task["title"] == "Find out why “Nightly invoices” spends more than usual"
    assert "1,500 credits in one hour, where 40.25 were expected, as of 2026-03-02 09:00:00 UTC." in task["description"]
    title = "Spends more than usual: Acme, “Nightly invoices”, 1,500 credits in one hour"
    link = f"https://bw.example/console/decisions/{said.decision_id}"
    assert [
        (one["channel"], one["audience"], one["severity"], one["title"], one["link"])
        for one in sorted(rows(engine, tables.notifications), key=lambda one: str(one["channel"]))
    ] == [("in_app", "ops", "warning", title, link), ("slack", "ops", "warning", title, link)]
    assert [one["event_id"] for one in rows(engine, tables.decision_evidence)] == ["e1", "e2"]
    assert version(engine) == before
    assert rows(engine, tables.gate_holds) == []


def test_an_id_with_nul_keeps_nobody_from_being_told(engine: sa.Engine) -> None:
    given_world(engine)
    dearest = {"execution_id": "x\x001", "workflow_id": "wf1", "credits": 12.0}
    said = burst(evidence=["e\x001"], detail={"scope": "workflow", "runs": [dearest]})
    assert apply(engine, said, said) == [Result(Outcome.APPLIED, "told"), Result(Outcome.DUPLICATE)]
    assert row(engine, tables.decisions)["detail"]["runs"][0]["execution_id"] == "x\N{REPLACEMENT CHARACTER}1"
    assert row(engine, tables.tasks)["kind"] == "general_todo"


def test_a_tenants_drift_names_the_workflows_that_rose_most(engine: sa.Engine) -> None:
    given_world(engine)
    assert apply(engine, drift()) == [Result(Outcome.APPLIED, "told")]
    task = row(engine, tables.tasks)
    assert (task["tenant_id"], task["context_type"], task["automation_version_id"]) == ("t1", "internal", None)
    body = rows(engine, tables.notifications)[0]["body"]
    assert body.startswith("Acme spent 24,100 credits a day in the seven days until")
    assert "Rose most: wf0, wf1, wf2\n" in body


def test_all_again_changes_nothing(engine: sa.Engine) -> None:
    given_world(engine)
    came = [burst(), drift()]
    apply(engine, *came)
    before = content(engine)
    assert {result.outcome for result in apply(engine, *came, *came)} == {Outcome.DUPLICATE}
    assert content(engine) == before


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(burst(workflow_id="wf2"), "workflow_not_found", id="another tenant's workflow"),
        pytest.param(burst(workflow_id="nobody"), "workflow_not_found", id="an unknown workflow"),
        pytest.param(drift(tenant_id="t7"), "tenant_not_found", id="an unknown tenant"),
    ],
)
def test_what_is_of_nobody_is_refused(engine: sa.Engine, said: Decision, reason: str) -> None:
    given_world(engine)
    assert apply(engine, said) == [Result(Outcome.REFUSED, reason)]
    assert rows(engine, tables.tasks) == rows(engine, tables.notifications) == []


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(burst(reason_code="x"), id="another reason"),
        pytest.param(burst(observed={"credits": 1.0}), id="no number of runs"),
        pytest.param(burst(observed={"credits": -1.0, "runs": 5}), id="credits below zero"),
        pytest.param(burst(threshold={"limit": 1.0}), id="nothing expected"),
        pytest.param(drift(observed={}), id="no credits a day"),
        pytest.param(drift(detail={"workflows": ["wf1"]}), id="workflows that are no objects"),
        pytest.param(drift(tenant_id=None), id="nobody's"),
    ],
)
def test_what_lacks_something_can_never_be_applied(engine: sa.Engine, said: Decision) -> None:
    given_world(engine)
    dead = DeadLetters()
    apply(engine, said, dead_letters=dead)
    assert dead == [("malformed", said.decision_id)]
    assert rows(engine, tables.tasks) == []


def test_the_message_shows_what_was_spent_and_what_was_expected(engine: sa.Engine) -> None:
    given_world(engine)
    said = burst()
    apply(engine, said)
    inbox = Inbox()
    deliver(engine, inbox, row(engine, tables.notifications, channel="slack")["id"])
    header, section, actions, about = build_payload(inbox.taken[0])["blocks"]
    assert header["text"]["text"].endswith(
        "Spends more than usual: Acme, “Nightly invoices”, 1,500 credits in one hour"
    )
    assert [field["text"] for field in section["fields"]] == [
        "*Spent:*\n1,500 credits in one hour",
        "*Expected:*\n40.25 (limit 62.5)",
        "*Tenant:*\nAcme",
        "*Time:*\n2026-03-02 09:00:00 UTC",
        "*Runs:*\n150",
    ]
    assert [(one["text"]["text"], one["url"]) for one in actions["elements"]] == [
        ("Open decision", f"https://bw.example/console/decisions/{said.decision_id}"),
        ("Credits", "https://bw.example/console/credits?tenant_id=t1"),
    ]
    assert about["elements"][0]["text"] == "No run is dear by itself. Nothing was stopped."


def test_a_scenario_that_the_platform_does_not_know_is_told_of_by_its_name(engine: sa.Engine) -> None:
    given_world(engine)
    assert apply(engine, burst(workflow_id="scenario:BINDER")) == [Result(Outcome.APPLIED, "told")]
    task = row(engine, tables.tasks)
    assert task["title"] == "Find out why “BINDER” spends more than usual"
    assert (task["context_id"], task["automation_version_id"]) == ("scenario:BINDER", None)
