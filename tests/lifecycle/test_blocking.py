"""`request_block_for_credentials`: what one block writes, merges, skips and refuses (30.2, 30.4)."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import MONITOR
from lifecycle.blocking import BlockOutcome, BlockResult, request_block_for_credentials
from lifecycle.guard.arithmetic import GuardPolicy
from lifecycle.options import LifecycleOptions
from lifecycle.refusals import Refusal
from lifecycle.statuses import AUTOMATIC_BLOCK_SOURCES, Status
from tests.lifecycle.given import content, given_world, row, rows, version

OPTIONS = LifecycleOptions(
    ops_email="ops@breakwater.example",
    public_url="https://bw.example",
    guard=GuardPolicy(client_mail_delay=timedelta(0)),
)
DECISION = "00000000-0000-5000-8000-000000000001"
LATER_DECISION = "00000000-0000-5000-8000-000000000002"


def block(engine: sa.Engine, *systems: str, decision: str = DECISION, **changes: Any) -> BlockResult:
    """One request in a transaction of its own."""
    arguments = {
        "tenant_id": "t1",
        "automation_version_id": "v1",
        "actor_context": MONITOR,
        "failed_systems": systems or ("crm",),
        "policy_id": "auth_failures",
        "decision_id": decision,
        "options": OPTIONS,
    }
    with engine.begin() as connection:
        return request_block_for_credentials(connection, **{**arguments, **changes})


def digest(key: str) -> str:
    """What stands for a key that could be anything."""
    return f"unlisted-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def set_status(engine: sa.Engine, status: Status) -> None:
    """Put the version of the world where a test wants it."""
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.automation_versions)
            .where(tables.automation_versions.c.id == "v1")
            .values(status=status, archived_at=datetime.now(UTC) if status is Status.ARCHIVED else None)
        )


def block_by_hand(engine: sa.Engine, reason: str) -> None:
    """A block that a person made."""
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.automation_versions)
            .where(tables.automation_versions.c.id == "v1")
            .values(
                status=Status.BLOCKED,
                blocked_reason=reason,
                blocked_from_status=Status.PAUSED,
                blocked_at=sa.func.now(),
                block_episode_id=DECISION,
            )
        )
        connection.execute(
            sa.insert(tables.block_reasons).values(
                tenant_id="t1", automation_version_id="v1", episode_id=DECISION, kind="manual", reason=reason
            )
        )


def test_a_block_writes_everything_at_once(engine: sa.Engine) -> None:
    given_world(engine)
    result = block(engine, "mail", "crm")
    assert result.outcome is BlockOutcome.BLOCKED
    assert result.met_status is Status.LIVE

    blocked = version(engine)
    reason = "The credentials for Gmail and Salesforce are invalid or have expired."
    assert (blocked["status"], blocked["blocked_from_status"], blocked["blocked_reason"]) == ("Blocked", "Live", reason)
    assert blocked["blocked_at"] == blocked["status_changed_at"] == blocked["updated_at"]
    assert blocked["block_episode_id"] == result.episode_id

    tasks = rows(engine, tables.tasks)
    assert [(t["system_key"], t["provider"], t["title"]) for t in sorted(tasks, key=lambda t: t["system_key"])] == [
        ("crm", "salesforce", "Renew the credentials for Salesforce"),
        ("mail", "google", "Renew the credentials for Gmail"),
    ]
    shared = ("kind", "priority", "status", "project_id", "automation_version_id", "context_id", "created_by_system")
    for task in tasks:
        assert [task[name] for name in shared] == ["credentials_issue", "high", "pending", "p1", "v1", "v1", True]
        assert task["episode_id"] == result.episode_id
    assert {task["id"] for task in tasks} == set(result.task_ids)

    update_status, block_automation = rows(engine, tables.audit_logs)
    assert update_status["action_type"] == "update_status"
    assert update_status["metadata"] == {
        "from_status": "Live",
        "to_status": "Blocked",
        "project_id": "p1",
        "quote_id": None,
        "blocked_reason": reason,
        "reason_code": "credential_failure",
        "system_initiated": True,
    }
    assert block_automation["action_type"] == "block_automation"
    assert block_automation["metadata"] == {
        "failed_systems": ["crm", "mail"],
        "blocked_reason_summary": reason,
        "threshold_policy_id": "auth_failures",
    }
    assert update_status["episode_id"] == block_automation["episode_id"] == result.episode_id

    history = row(engine, tables.automation_versions_status_history, automation_version_id="v1", to_status="Blocked")
    assert (history["from_status"], history["actor"], history["system_initiated"]) == ("Live", "service:monitor", True)
    assert row(engine, tables.projects)["status"] == "Live"

    event = row(engine, tables.outbox_events)
    assert event["type"] == "automation_status_changed"
    assert event["message_key"] == "wf1"
    payload = event["payload"]
    assert (payload["from"], payload["to"], payload["workflow_id"]) == ("Live", "Blocked", "wf1")
    assert payload["event_id"] == event["event_id"]
    assert datetime.fromisoformat(payload["occurred_at"]) == blocked["status_changed_at"]


def test_a_block_tells_the_owners_contacts_and_operations(engine: sa.Engine) -> None:
    given_world(engine)
    block(engine)
    assert {
        (n["template"], n["channel"], n["audience"], n["recipient"], n["status"])
        for n in rows(engine, tables.notifications)
    } == {
        ("automation_blocked", "email", "client", "ada@acme.example", "pending"),
        ("automation_blocked", "email", "client", "bob@acme.example", "pending"),
        ("automation_blocked", "in_app", "client", "u1", "delivered"),
        ("automation_blocked", "email", "ops", "ops@breakwater.example", "pending"),
        ("automation_blocked", "in_app", "ops", "ops", "delivered"),
        ("credentials_failed_critical", "email", "ops", "ops@breakwater.example", "pending"),
        ("credentials_failed_critical", "in_app", "ops", "ops", "delivered"),
    }
    with engine.connect() as connection:
        jobs = connection.execute(
            sa.text("SELECT task_name, args->>'notification_id' FROM procrastinate_jobs ORDER BY 1, 2")
        ).all()
    emails = {n["id"] for n in rows(engine, tables.notifications, channel="email")}
    assert {id_ for task, id_ in jobs if task == "deliver_notification"} == emails
    assert [task for task, _ in jobs if task == "publish_event"] == ["publish_event"]


@pytest.mark.parametrize(
    "status", [pytest.param(status, id=f"from {status}") for status in Status if status is not Status.BLOCKED]
)
def test_only_some_statuses_are_blocked_automatically(engine: sa.Engine, status: Status) -> None:
    given_world(engine)
    set_status(engine, status)
    result = block(engine)
    if status in AUTOMATIC_BLOCK_SOURCES:
        assert result.outcome is BlockOutcome.BLOCKED
        assert version(engine)["blocked_from_status"] == status
        return
    assert (result.outcome, result.met_status) == (BlockOutcome.SKIPPED, status)
    assert version(engine)["status"] == status
    task = row(engine, tables.tasks)
    assert (task["kind"], task["title"]) == ("general_todo", f"Credentials fail while the automation is {status}")
    assert rows(engine, tables.audit_logs) == rows(engine, tables.notifications) == []
    assert rows(engine, tables.outbox_events) == []


def test_a_skipped_block_leaves_one_open_task_however_often_it_is_decided(engine: sa.Engine) -> None:
    given_world(engine)
    set_status(engine, Status.PAUSED)
    assert len(block(engine).task_ids) == 1
    assert block(engine, decision=LATER_DECISION).task_ids == ()
    assert len(rows(engine, tables.tasks)) == 1


def test_the_sources_of_a_block_are_a_setting(engine: sa.Engine) -> None:
    given_world(engine)
    set_status(engine, Status.PAUSED)
    options = LifecycleOptions(block_sources=frozenset({Status.PAUSED}))
    assert block(engine, options=options).outcome is BlockOutcome.BLOCKED


def test_another_system_is_merged_into_the_block_that_is_open(engine: sa.Engine) -> None:
    given_world(engine)
    first = block(engine, "crm")
    told = len(rows(engine, tables.notifications))
    second = block(engine, "crm", "mail", decision=LATER_DECISION)
    assert (second.outcome, second.already_applied) == (BlockOutcome.MERGED, True)
    assert second.episode_id == first.episode_id
    assert version(engine)["blocked_from_status"] == "Live"
    assert version(engine)["blocked_reason"] == "The credentials for Gmail and Salesforce are invalid or have expired."
    assert sorted(t["system_key"] for t in rows(engine, tables.tasks)) == ["crm", "mail"]
    assert row(engine, tables.block_reasons)["failed_systems"] == ["crm", "mail"]
    assert len(rows(engine, tables.automation_versions_status_history, to_status="Blocked")) == 1
    assert [a["action_type"] for a in rows(engine, tables.audit_logs)] == [
        "update_status", "block_automation", "block_automation",
    ]  # fmt: skip
    assert len(rows(engine, tables.notifications)) == told
    assert len(rows(engine, tables.outbox_events)) == 1


def test_the_same_systems_again_write_nothing(engine: sa.Engine) -> None:
    given_world(engine)
    block(engine, "crm", "mail")
    before = content(engine)
    updated_at = version(engine)["updated_at"]
    result = block(engine, "mail", decision=LATER_DECISION)
    assert (result.outcome, result.task_ids) == (BlockOutcome.ALREADY_APPLIED, ())
    assert content(engine) == before
    assert version(engine)["updated_at"] == updated_at


def test_a_system_whose_task_was_completed_and_fails_again_gets_a_new_task(engine: sa.Engine) -> None:
    given_world(engine)
    block(engine, "crm")
    with engine.begin() as connection:
        connection.execute(sa.update(tables.tasks).values(status="complete", completed_at=sa.func.now()))
    assert len(block(engine, "crm", decision=LATER_DECISION).task_ids) == 1
    assert sorted(t["status"] for t in rows(engine, tables.tasks)) == ["complete", "pending"]


def test_a_version_that_a_person_blocked_keeps_that_reason_and_its_origin(engine: sa.Engine) -> None:
    given_world(engine)
    block_by_hand(engine, "Legal hold.")
    result = block(engine, "crm")
    assert result.outcome is BlockOutcome.MERGED
    blocked = version(engine)
    assert blocked["blocked_from_status"] == "Paused"
    assert blocked["blocked_reason"] == ("Legal hold. The credentials for Salesforce are invalid or have expired.")
    assert {r["kind"] for r in rows(engine, tables.block_reasons, cleared_at=None)} == {"manual", "credentials"}
    assert len(block(engine, "mail", decision=LATER_DECISION).task_ids) == 1
    assert version(engine)["blocked_reason"] == (
        "Legal hold. The credentials for Gmail and Salesforce are invalid or have expired."
    )


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        pytest.param({"automation_version_id": "v7"}, Refusal.AUTOMATION_VERSION_NOT_FOUND, id="unknown version"),
        pytest.param({"tenant_id": "t2"}, Refusal.AUTOMATION_VERSION_NOT_FOUND, id="version of another tenant"),
        pytest.param({"tenant_id": "t7"}, Refusal.AUTOMATION_VERSION_NOT_FOUND, id="unknown tenant"),
    ],
)
def test_what_is_not_the_tenants_is_refused_and_nothing_is_written(
    engine: sa.Engine, request_: dict[str, str], refusal: Refusal
) -> None:
    given_world(engine)
    before = content(engine)
    result = block(engine, **request_)
    assert (result.outcome, result.refusal) == (BlockOutcome.REFUSED, refusal)
    assert content(engine) == before


def test_a_version_of_an_archived_automation_is_refused(engine: sa.Engine) -> None:
    given_world(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.automations).where(tables.automations.c.id == "a1").values(status="archived")
        )
    before = content(engine)
    assert block(engine).refusal is Refusal.AUTOMATION_NOT_ACTIVE
    assert content(engine) == before


@pytest.mark.parametrize(
    ("keys", "stored", "reason"),
    [
        pytest.param(["crm"], ["crm"], "Salesforce", id="listed"),
        pytest.param(["unknown"], ["unknown"], "a connected system", id="a name that is not listed"),
        pytest.param(["unknown", "crm"], ["crm", "unknown"], "Salesforce and 1 other connected system", id="both"),
        pytest.param(["a", "b"], ["a", "b"], "2 connected systems", id="two that are not listed"),
        pytest.param(
            ["sk_live_4eC39HqLyjWDarjtT1zdp7dc"],
            [digest("sk_live_4eC39HqLyjWDarjtT1zdp7dc")],
            "a connected system",
            id="a token",
        ),
        pytest.param(["<b>x</b>"], [digest("<b>x</b>")], "a connected system", id="HTML"),
    ],
)
def test_texts_show_listed_names_alone(engine: sa.Engine, keys: list[str], stored: list[str], reason: str) -> None:
    given_world(engine)
    block(engine, *keys)
    assert version(engine)["blocked_reason"] == f"The credentials for {reason} are invalid or have expired."
    assert sorted(t["system_key"] for t in rows(engine, tables.tasks)) == stored
    shown = [f"{t['title']} {t['description']}" for t in rows(engine, tables.tasks)] + [
        f"{n['title']} {n['body']} {n['context']}" for n in rows(engine, tables.notifications)
    ]
    for key in set(keys) - {"crm", "a", "b"}:
        assert not any(key in text for text in shown)
    again = block(engine, *keys, decision=LATER_DECISION)
    assert again.outcome is BlockOutcome.ALREADY_APPLIED
