"""What follows a silence (20.6): operations are told once, and a quiet workflow is something to do."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from dataflows.decisions import Decision, DecisionKind, ReasonCode, decision_id
from lifecycle import tables
from lifecycle.texts import in_words
from sinks.services import Outcome, Result
from tests.lifecycle.given import given_world, row, rows
from tests.sinks.given import T0, decision
from tests.sinks.test_services import DeadLetters, services

LINK = "https://bw.example/console/decisions/"


def stream_silent() -> Decision:
    return decision(
        DecisionKind.SILENCE,
        24 * 60,
        "e1",
        decision_id=decision_id(DecisionKind.SILENCE, "", "", "silence", "e1"),
        tenant_id=None,
        workflow_id=None,
        automation_version_id=None,
        policy_id="silence",
        reason_code=ReasonCode.NO_RUNS,
        observed={"last_run_at": T0},
        threshold={"whole_stream_seconds": 86_400.0},
        evidence=["e1"],
    )


def workflow_quiet(**changes: object) -> Decision:
    return decision(
        DecisionKind.SILENCE,
        90,
        "x1",
        **{
            "policy_id": "silence",
            "reason_code": ReasonCode.WORKFLOW_QUIET,
            "observed": {"last_run_at": T0, "period_seconds": 1800.0, "runs": 8},
            "threshold": {"quiet_for_seconds": 5400.0},
            "evidence": ["x1:started"],
            "detail": {"execution_id": "x1"},
            **changes,
        },
    )


def notices(engine: sa.Engine) -> list[tuple[str, ...]]:
    return sorted(
        (one["template"], one["channel"], one["audience"], one["severity"], one["title"], one["link"])
        for one in rows(engine, tables.notifications)
    )


def test_a_silent_stream_is_told_to_operations_once(engine: sa.Engine) -> None:
    given_world(engine)
    said = stream_silent()
    assert services(engine).apply([said]) == [Result(Outcome.APPLIED, "told")]
    assert services(engine).apply([said]) == [Result(Outcome.DUPLICATE)]
    title = "No run of all automations for 24 hours"
    link = LINK + said.decision_id
    assert notices(engine) == [
        ("silence", "email", "ops", "critical", title, link),
        ("silence", "in_app", "ops", "critical", title, link),
    ]
    assert {one["tenant_id"] for one in rows(engine, tables.notifications)} == {None}
    assert "2026-03-02 08:00:00 UTC" in rows(engine, tables.notifications)[0]["body"]
    kept = row(engine, tables.decisions)
    assert (kept["kind"], kept["tenant_id"], kept["workflow_id"]) == ("silence", None, None)
    assert rows(engine, tables.tasks) == []


def test_a_quiet_workflow_is_something_to_do(engine: sa.Engine) -> None:
    given_world(engine)
    said = workflow_quiet()
    assert services(engine).apply([said, said]) == [Result(Outcome.APPLIED, "told"), Result(Outcome.DUPLICATE)]
    task = row(engine, tables.tasks)
    assert (task["kind"], task["context_type"], task["context_id"]) == ("general_todo", "workflow", "wf1")
    assert (task["tenant_id"], task["automation_version_id"], task["priority"]) == ("t1", "v1", "medium")
    assert "for 90 minutes no run of it came" in task["description"]
    assert [(template, channel, severity) for template, channel, _, severity, _, _ in notices(engine)] == [
        ("silence", "email", "warning"),
        ("silence", "in_app", "warning"),
    ]


def test_a_quiet_workflow_that_nobody_knows_is_refused(engine: sa.Engine) -> None:
    given_world(engine)
    result = services(engine).apply([workflow_quiet(workflow_id="nobody", automation_version_id=None)])
    assert result == [Result(Outcome.REFUSED, "workflow_not_found")]
    assert notices(engine) == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"observed": {}}, id="no time of the last run"),
        pytest.param({"threshold": {}}, id="no limit"),
        pytest.param({"workflow_id": None}, id="a tenant without a workflow"),
    ],
)
def test_a_silence_that_lacks_something_can_never_be_applied(engine: sa.Engine, changes: dict[str, object]) -> None:
    given_world(engine)
    dead = DeadLetters()
    said = workflow_quiet(**{"decision_id": "00000000-0000-5000-8000-000000000009", **changes})
    services(engine, dead).apply([said])
    assert [cause for _, cause in dead] == [said.decision_id]
    assert rows(engine, tables.tasks) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (86_400, "24 hours"),
        (7200, "2 hours"),
        (3600, "60 minutes"),
        (5400, "90 minutes"),
        (60, "1 minute"),
        (61, "61 seconds"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: int, words: str) -> None:

    assert in_words(timedelta(seconds=seconds)) == words
