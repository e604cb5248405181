"""Moves by hand against real rows: each prerequisite, what is written, and what a refusal leaves (30.1, 30.2)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.change_status import change_status
from lifecycle.errors import LifecycleError
from lifecycle.options import LifecycleOptions
from lifecycle.qa_checklist import CHECKLIST
from lifecycle.results import NO_HINTS, Hints, StatusResult
from lifecycle.status_metadata import MAX_METADATA
from lifecycle.statuses import Status
from tests.lifecycle.given import content, given_world, row, rows, version

ADMIN = ActorContext.of_user("u1", "test", CAPABILITIES[Role.ADMIN])
THEN = "2026-01-05T10:00:00Z"
STALE = Hints(last_known_status=Status.PAUSED, last_known_updated_at=datetime(2020, 1, 1, tzinfo=UTC))


def task(task_id: int, kind: str, status: str = "complete") -> dict[str, Any]:
    """A task of the version `w1`, or of its project."""
    of_project = kind == "build_checklist"
    return {
        "id": f"00000000-0000-0000-0000-{task_id:012}", "tenant_id": "t1", "kind": kind, "title": f"Task {task_id}",
        "context_type": "project" if of_project else "automation_version", "context_id": "q1" if of_project else "w1",
        "project_id": "q1" if of_project else None, "automation_version_id": None if of_project else "w1",
        "status": status, "completed_at": THEN if status == "complete" else None,
    }  # fmt: skip


def quote(revision: int, status: str) -> dict[str, Any]:
    """A revision of the project's quote."""
    return {
        "id": f"quote-{revision}", "tenant_id": "t1", "project_id": "q1", "revision": revision, "status": status,
        "signed_at": THEN if status == "signed" else None,
    }  # fmt: skip


def artifact(kind: str) -> dict[str, Any]:
    """Something that is attached to the project."""
    return {"tenant_id": "t1", "project_id": "q1", "kind": kind, "name": kind, "location": "https://docs.acme.example"}


Rows = Mapping[str, list[dict[str, Any]]]

#: Rows with which a version may make every delivery move.
COMPLETE: Rows = {
    "projects": [
        {"id": "q1", "tenant_id": "t1", "automation_version_id": "w1", "name": "W", "status": "Intake in Progress"}
    ],
    "quotes": [quote(1, "expired"), quote(2, "signed")],
    "payments": [
        {"id": "pay1", "tenant_id": "t1", "project_id": "q1", "amount": 100, "currency": "EUR", "recorded_at": THEN}
    ],
    "pricing_config": [{"tenant_id": "t1", "payment_required": True}],
    "tasks": [task(1, "build_checklist"), task(2, "build_checklist"), task(3, "qa_checklist")],
    "project_artifacts": [artifact(kind) for kind in ("artifact", "runbook", "deployment_plan", "rollback_plan")],
    "qa_results": [{"tenant_id": "t1", "automation_version_id": "w1", "pass_rate": "0.95", "recorded_at": THEN}],
}


def given(engine: sa.Engine, status: Status, rows: Rows = COMPLETE) -> None:
    """A version `w1` in this status, with these rows."""
    stored = {"id": "w1", "tenant_id": "t1", "automation_id": "a1", "version": 2, "status": status}
    given_world(engine, automation_versions=[stored], **rows)


def change(engine: sa.Engine, requested: Status, **more: Any) -> StatusResult:
    """Ask for a status in a transaction of its own."""
    arguments = {"actor_context": ADMIN, "hints": NO_HINTS, "options": LifecycleOptions(), "tenant_id": "t1", **more}
    arguments.setdefault("automation_version_id", "w1")
    with engine.begin() as connection:
        return change_status(connection, requested=requested, **arguments)


def refusal(engine: sa.Engine, requested: Status, **more: Any) -> LifecycleError:
    """The refusal of a request, which has written nothing."""
    before = content(engine)
    with pytest.raises(LifecycleError) as refused:
        change(engine, requested, **more)
    assert content(engine) == before
    return refused.value


def but(**replaced: list[dict[str, Any]]) -> Rows:
    """The complete rows with some of them replaced."""
    return {**COMPLETE, **replaced}


ONLY_PROJECT: Rows = {"projects": COMPLETE["projects"], "pricing_config": COMPLETE["pricing_config"]}
NO_PROJECT: Rows = {"pricing_config": COMPLETE["pricing_config"]}
AWAITING, READY, BUILD = Status.AWAITING_CLIENT_APPROVAL, Status.READY_FOR_BUILD, Status.BUILD_IN_PROGRESS
QA, LAUNCH = Status.QA_AND_TESTING, Status.READY_TO_LAUNCH

BUILD_PREREQUISITES = ["project_exists", "latest_quote_signed", "payment_recorded"]

MISSING = [
    # what is wrong, from, to, rows, code, details
    ("no quote", AWAITING, READY, ONLY_PROJECT, "quote_missing_for_transition", ["latest_quote_signed"]),
    (
        "the latest quote is a draft, an older one signed", AWAITING, READY,
        but(quotes=[quote(1, "signed"), quote(2, "draft")]), "status_prerequisite_missing", ["latest_quote_signed"],
    ),
    (
        "the latest quote is rejected", READY, BUILD, but(quotes=[quote(1, "rejected")]),
        "status_prerequisite_missing", ["latest_quote_signed"],
    ),
    ("no payment", READY, BUILD, but(payments=[]), "status_prerequisite_missing", ["payment_recorded"]),
    ("no quote, paid", READY, BUILD, but(quotes=[]), "quote_missing_for_transition", ["latest_quote_signed"]),
    (
        "neither quote nor payment", AWAITING, BUILD, ONLY_PROJECT, "quote_missing_for_transition",
        ["latest_quote_signed", "payment_recorded"],
    ),
    ("no project", AWAITING, BUILD, NO_PROJECT, "project_missing_for_transition", BUILD_PREREQUISITES),
    ("no project", READY, BUILD, NO_PROJECT, "project_missing_for_transition", BUILD_PREREQUISITES),
    ("no build checklist", BUILD, QA, but(tasks=[]), "status_prerequisite_missing", ["build_checklist_complete"]),
    (
        "one task of the build checklist is open", BUILD, QA,
        but(tasks=[task(1, "build_checklist"), task(2, "build_checklist", "pending")]),
        "status_prerequisite_missing", ["build_checklist_complete"],
    ),
    (
        "every task of the build checklist is cancelled", BUILD, QA,
        but(tasks=[task(1, "build_checklist", "cancelled")]),
        "status_prerequisite_missing", ["build_checklist_complete"],
    ),
    (
        "no runbook", BUILD, QA, but(project_artifacts=[artifact("artifact")]),
        "status_prerequisite_missing", ["artifacts_and_runbook_attached"],
    ),
    (
        "no artifact", BUILD, QA, but(project_artifacts=[artifact("runbook")]),
        "status_prerequisite_missing", ["artifacts_and_runbook_attached"],
    ),
    (
        "neither checklist nor artifacts", BUILD, QA, ONLY_PROJECT, "status_prerequisite_missing",
        ["build_checklist_complete", "artifacts_and_runbook_attached"],
    ),
    (
        "no QA checklist", QA, LAUNCH, but(tasks=[task(1, "build_checklist")]),
        "status_prerequisite_missing", ["qa_checklist_approved"],
    ),
    (
        "one task of the QA checklist is open", QA, LAUNCH,
        but(tasks=[task(3, "qa_checklist"), task(4, "qa_checklist", "pending")]),
        "status_prerequisite_missing", ["qa_checklist_approved"],
    ),
    ("no test result", QA, LAUNCH, but(qa_results=[]), "status_prerequisite_missing", ["pass_rate_reached"]),
    (
        "the newest test result is below the rate", QA, LAUNCH,
        but(qa_results=[
            {"tenant_id": "t1", "automation_version_id": "w1", "pass_rate": "1", "recorded_at": THEN},
            {
                "tenant_id": "t1", "automation_version_id": "w1", "pass_rate": "0.9499",
                "recorded_at": "2026-01-05T10:00:01Z",
            },
        ]),
        "status_prerequisite_missing", ["pass_rate_reached"],
    ),
    (
        "no rollback plan", QA, LAUNCH, but(project_artifacts=[artifact("deployment_plan")]),
        "status_prerequisite_missing", ["deployment_and_rollback_planned"],
    ),
    (
        "no deployment plan", QA, LAUNCH, but(project_artifacts=[artifact("rollback_plan")]),
        "status_prerequisite_missing", ["deployment_and_rollback_planned"],
    ),
    (
        "nothing of it", QA, LAUNCH, ONLY_PROJECT, "status_prerequisite_missing",
        ["qa_checklist_approved", "pass_rate_reached", "deployment_and_rollback_planned"],
    ),
    ("no reason", QA, BUILD, COMPLETE, "status_prerequisite_missing", ["reason_given"]),
    ("no reason", Status.LIVE, Status.BLOCKED, {}, "blocked_reason_required", ["reason_given"]),
    ("another version is Live", Status.PAUSED, Status.LIVE, {}, "precondition_failed", ["no_other_version_live"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "target", "rows", "code", "details"),
    [pytest.param(*case[1:], id=f"{case[1]} to {case[2]}: {case[0]}") for case in MISSING],
)
def test_all_that_is_missing_is_named_at_once(
    engine: sa.Engine, source: Status, target: Status, rows: Rows, code: str, details: list[str]
) -> None:
    if source is Status.LIVE:
        given_world(engine)
    else:
        given(engine, source, rows)
    error = refusal(engine, target, automation_version_id="v1" if source is Status.LIVE else "w1")
    assert (error.code, [detail.code for detail in error.details]) == (code, details)
    assert all(detail.message for detail in error.details)


MOVES = [
    (AWAITING, READY, but(payments=[], tasks=[], project_artifacts=[])),
    (AWAITING, BUILD, but(tasks=[], project_artifacts=[], qa_results=[])),
    (READY, BUILD, but(pricing_config=[{"tenant_id": "t1", "payment_required": False}], payments=[])),
    (BUILD, QA, but(qa_results=[])),
    (QA, BUILD, ONLY_PROJECT),
    (QA, LAUNCH, COMPLETE),
]


@pytest.mark.parametrize(
    ("source", "target", "rows_before"), [pytest.param(*move, id=f"{move[0]} to {move[1]}") for move in MOVES]
)
def test_a_delivery_moves_version_and_project_and_is_remembered(
    engine: sa.Engine, source: Status, target: Status, rows_before: Rows
) -> None:
    given(engine, source, rows_before)
    result = change(engine, target, reason="As agreed")
    assert (result.automation_version.status, result.already_applied) == (target, False)
    assert result.project is not None
    assert result.project.status == target
    assert row(engine, tables.projects, id="q1")["delivery_phase"] == target
    assert version(engine, "w1")["status_changed_by_user_id"] == "u1"
    audit = row(engine, tables.audit_logs, action_type="update_status")["metadata"]
    assert (audit["from_status"], audit["to_status"], audit["project_id"]) == (source, target, "q1")
    assert audit["quote_id"] == ("quote-2" if rows_before.get("quotes") else None)
    history = rows(engine, tables.automation_versions_status_history, automation_version_id="w1")
    assert [(one["from_status"], one["to_status"]) for one in history] == [(None, source), (source, target)]
    event = row(engine, tables.outbox_events, type="automation_status_changed")["payload"]
    assert (event["from"], event["to"], event["version_id"]) == (source, target, "w1")


@pytest.mark.parametrize("status", list(Status))
def test_the_status_that_it_has_is_no_change_whatever_the_hints_say(engine: sa.Engine, status: Status) -> None:
    stored: dict[str, Any] = {"id": "w1", "tenant_id": "t1", "automation_id": "a1", "version": 2, "status": status}
    if status is Status.BLOCKED:
        stored |= {"blocked_reason": "Broken", "blocked_at": THEN, "blocked_from_status": "Paused"}
        stored["block_episode_id"] = "00000000-0000-0000-0000-000000000009"
    if status is Status.ARCHIVED:
        stored["archived_at"] = THEN
    if status is Status.LIVE:
        stored |= {"id": "v1", "version": 1}
    given_world(engine, automation_versions=[stored])
    before = content(engine)
    result = change(engine, status, automation_version_id=stored["id"], hints=STALE, blocked_reason="Again")
    assert (result.automation_version.status, result.already_applied) == (status, True)
    assert content(engine) == before


def test_hints_count_when_something_would_change(engine: sa.Engine) -> None:
    given(engine, BUILD)
    error = refusal(engine, QA, hints=STALE)
    assert error.code == "concurrency_conflict"
    assert [detail.field for detail in error.details] == ["last_known_status", "last_known_updated_at"]
    fresh = Hints(last_known_status=BUILD, last_known_updated_at=version(engine, "w1")["updated_at"])
    assert not change(engine, QA, hints=fresh).already_applied


def test_stale_hints_come_before_what_is_missing_and_after_what_is_not_allowed(engine: sa.Engine) -> None:
    given(engine, BUILD, ONLY_PROJECT)
    assert refusal(engine, QA, hints=STALE).code == "concurrency_conflict"
    assert refusal(engine, LAUNCH, hints=STALE).code == "invalid_status_transition"
    viewer = ActorContext.of_user("u1", "test", CAPABILITIES[Role.VIEWER])
    assert refusal(engine, LAUNCH, hints=STALE, actor_context=viewer).code == "forbidden"
    billing = ActorContext.of_user("u1", "test", CAPABILITIES[Role.OPS_BILLING])
    assert refusal(engine, QA, hints=STALE, actor_context=billing).code == "forbidden"


@pytest.mark.parametrize(
    ("tenant_id", "version_id"),
    [
        pytest.param("t2", "w1", id="of another tenant"),
        pytest.param("t1", "v2", id="another tenant's"),
        pytest.param("t1", "nothing", id="unknown"),
    ],
)
def test_what_a_tenant_does_not_have_is_not_found(engine: sa.Engine, tenant_id: str, version_id: str) -> None:
    given(engine, BUILD)
    error = refusal(engine, Status.BLOCKED, tenant_id=tenant_id, automation_version_id=version_id, blocked_reason="x")
    assert (error.code, error.details) == ("automation_version_not_found", ())


def test_entering_qa_queues_its_checklist_once(engine: sa.Engine) -> None:
    given(engine, BUILD)
    change(engine, QA)
    change(engine, BUILD, reason="Two tests fail")
    change(engine, QA)
    queued = [one for one in rows(engine, tables.tasks, kind="qa_checklist") if one["idempotency_key"]]
    assert len(queued) == len(CHECKLIST)
    assert {one["automation_version_id"] for one in queued} == {"w1"}
    assert refusal(engine, LAUNCH).details[0].code == "qa_checklist_approved"


def test_a_block_by_hand_has_a_reason_a_task_and_a_way_back(engine: sa.Engine) -> None:
    given_world(engine)
    change(engine, Status.BLOCKED, automation_version_id="v1", blocked_reason="  The supplier\x00changed\nits form  ")
    stored = version(engine)
    assert (stored["status"], stored["blocked_from_status"]) == ("Blocked", "Live")
    assert stored["blocked_reason"] == "The supplier changed its form"
    assert row(engine, tables.block_reasons)["kind"] == "manual"
    remediation = row(engine, tables.tasks)
    assert (remediation["kind"], remediation["episode_id"]) == ("remediation", stored["block_episode_id"])
    assert row(engine, tables.projects)["status"] == "Live"
    error = refusal(engine, Status.LIVE, automation_version_id="v1")
    assert (error.code, [detail.code for detail in error.details]) == (
        "status_prerequisite_missing",
        ["remediation_complete"],
    )
    assert refusal(engine, Status.PAUSED, automation_version_id="v1").code == "invalid_status_transition"
    change(engine, Status.LIVE, automation_version_id="v1", override=True, reason="It works by itself again")
    assert version(engine)["status"] == "Live"
    assert version(engine)["blocked_reason"] is None


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param("", id="empty"),
        pytest.param(" \n\t", id="spaces"),
        pytest.param("\x00", id="a control character"),
        pytest.param("\u200b", id="a space of no width"),
    ],
)
def test_a_reason_of_nothing_that_can_be_seen_is_none(engine: sa.Engine, reason: str) -> None:
    given_world(engine)
    error = refusal(engine, Status.BLOCKED, automation_version_id="v1", blocked_reason=reason)
    assert error.code == "blocked_reason_required"


def test_a_long_reason_is_cut_and_what_looks_like_a_secret_is_masked(engine: sa.Engine) -> None:
    given_world(engine)
    secret = "password=hunter2hunter2"
    change(engine, Status.BLOCKED, automation_version_id="v1", blocked_reason=f"{secret} " + "word " * 200)
    stored = version(engine)["blocked_reason"]
    assert len(stored) <= 500
    assert stored.startswith("password=*** word")
    assert "hunter2" not in stored


def test_metadata_is_merged_and_meets_no_prerequisite(engine: sa.Engine) -> None:
    given(engine, BUILD)
    change(engine, QA, status_metadata={"round": 1, "lead": "Ada"})
    change(engine, BUILD, reason="Two tests fail", status_metadata={"round": 2})
    assert version(engine, "w1")["status_metadata"] == {"round": 2, "lead": "Ada"}
    with engine.begin() as connection:
        connection.execute(sa.delete(tables.project_artifacts))
    assert refusal(engine, QA, status_metadata={"artifacts_and_runbook_attached": True}).details


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"text": "x" * MAX_METADATA}, id="too large"),
        pytest.param({"text": "€" * (MAX_METADATA // 2)}, id="too large in bytes"),
        pytest.param({"inner": {"a": 1}}, id="an object in it"),
        pytest.param({"inner": [1]}, id="a list in it"),
        pytest.param({"deployment": "mine"}, id="what the server writes"),
        pytest.param({"text": "a\x00b"}, id="a zero byte"),
        pytest.param({"a\x00": 1}, id="a zero byte in a name"),
        pytest.param({"rate": float("nan")}, id="not a number"),
    ],
)
def test_metadata_that_can_not_be_kept_is_refused(engine: sa.Engine, metadata: dict[str, Any]) -> None:
    given(engine, BUILD)
    error = refusal(engine, QA, status_metadata=metadata)
    assert [(detail.field, bool(detail.message)) for detail in error.details] == [("status_metadata", True)]
