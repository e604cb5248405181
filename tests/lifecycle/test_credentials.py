"""Credential events: what is recorded, what they end, and what the monitor is told (30.4)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import MONITOR
from lifecycle.capabilities import Role
from lifecycle.change_status import change_status
from lifecycle.credential_unblocking import UnblockMode, request_unblock_for_credentials
from lifecycle.credentials import CredentialOutcome
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import CredentialStatus
from lifecycle.results import NO_HINTS, StatusResult
from lifecycle.statuses import Status
from lifecycle.unblocking import unblock
from tests.lifecycle.credentials_given import AGO, given_credentials, now, report, somebody
from tests.lifecycle.given import content, row, rows, version
from tests.lifecycle.worker import OPTIONS, given_block

ASK = replace(OPTIONS, unblock_needs_ops_approval=True)
BY_HAND = replace(OPTIONS, unblock_automatically=False)
LATER = 2  # another decision of `given_block`


def request(engine: sa.Engine, mode: UnblockMode = UnblockMode.VERIFIED, **changes: Any) -> StatusResult:
    """One request to unblock `v1`."""
    arguments = {
        "tenant_id": "t1",
        "automation_version_id": "v1",
        "actor_context": somebody(Role.OPS_ADMIN),
        "mode": mode,
        "options": OPTIONS,
    }
    with engine.begin() as connection:
        return request_unblock_for_credentials(connection, **{**arguments, **changes})


def refused(engine: sa.Engine, do: Callable[[], object]) -> LifecycleError:
    """What is said; nothing was written."""
    before = content(engine)
    with pytest.raises(LifecycleError) as refusal:
        do()
    assert content(engine) == before
    return refusal.value


def audits(engine: sa.Engine, action: str) -> list[dict[str, Any]]:
    return [dict(entry["metadata"]) for entry in rows(engine, tables.audit_logs, action_type=action)]


def test_the_credential_that_completes_the_set_ends_the_block(engine: sa.Engine) -> None:
    given_credentials(engine)
    given_block(engine)
    episode = version(engine)["block_episode_id"]
    assert report(engine, "c1").unblocked == ()
    assert version(engine)["status"] == "Blocked"
    assert report(engine, "c2").unblocked == ("v1",)

    after = version(engine)
    assert (after["status"], after["blocked_reason"], after["blocked_at"]) == ("Live", None, None)
    assert (after["blocked_from_status"], after["block_episode_id"]) == (None, None)
    reason = row(engine, tables.block_reasons)
    assert (reason["clearing"], reason["cleared_by"]) == ("verified", "service:credentials")
    assert {task["status"] for task in rows(engine, tables.tasks)} == {"complete"}
    assert audits(engine, "unblock_automation") == [
        {
            "clearing": "verified",
            "false_positive": False,
            "cleared_systems": ["crm", "mail"],
            "reason": None,
            "reason_code": "credentials_verified",
            "unblocked": True,
        }
    ]
    assert {entry["to_status"] for entry in audits(engine, "update_task")} == {"complete"}
    changed = rows(engine, tables.outbox_events, type="automation_status_changed")
    assert [(event["payload"]["from"], event["payload"]["to"]) for event in changed] == [
        ("Live", "Blocked"),
        ("Blocked", "Live"),
    ]
    told = rows(engine, tables.notifications, template="automation_unblocked")
    assert {(notice["episode_id"], notice["tenant_id"]) for notice in told} == {(episode, "t1")}


@pytest.mark.parametrize(
    ("reports", "left"),
    [
        pytest.param([("c1", "active")], "Blocked", id="one of two systems: not yet"),
        pytest.param([("c1", "active"), ("c2", "unknown")], "Blocked", id="the other is unknown: not yet"),
        pytest.param([("c1", "active"), ("c2", "active")], "Live", id="both: unblocked"),
        pytest.param([("c1", "active"), ("c1", "revoked"), ("c2", "active")], "Blocked", id="one was lost again"),
        pytest.param([("c9", "active")], "Blocked", id="another tenant's says nothing"),
    ],
)
def test_a_block_ends_when_every_required_credential_was_seen_to_work(
    engine: sa.Engine, reports: list[tuple[str, str]], left: str
) -> None:
    given_credentials(engine)
    given_block(engine)
    for credential_id, status in reports:
        tenant = "t2" if credential_id == "c9" else "t1"
        report(engine, credential_id, CredentialStatus(status), tenant_id=tenant)
    assert version(engine)["status"] == left


def test_what_was_validated_before_the_block_does_not_count(engine: sa.Engine) -> None:
    given_credentials(engine)
    report(engine, "c1")
    report(engine, "c2")
    given_block(engine)
    refusal = refused(engine, lambda: request(engine))
    assert refusal.code is ErrorCode.STATUS_PREREQUISITE_MISSING
    assert [detail.message for detail in refusal.details] == [
        "Credential c1 for Salesforce was not seen to work since the block.",
        "Credential c2 for Gmail was not seen to work since the block.",
    ]


def test_what_was_validated_after_a_block_by_hand_and_before_the_failures_does_not_count(engine: sa.Engine) -> None:
    given_credentials(engine)
    with engine.begin() as connection:
        change_status(
            connection,
            tenant_id="t1",
            automation_version_id="v1",
            requested=Status.BLOCKED,
            actor_context=somebody(Role.OPS_BUILD),
            hints=NO_HINTS,
            blocked_reason="Legal hold.",
            options=OPTIONS,
        )
    for credential_id in ("c1", "c2"):
        report(engine, credential_id)
    given_block(engine)
    assert refused(engine, lambda: request(engine)).code is ErrorCode.STATUS_PREREQUISITE_MISSING
    report(engine, "c1")
    assert report(engine, "c2").unblocked == ("v1",)
    assert (version(engine)["status"], version(engine)["blocked_reason"]) == ("Blocked", "Legal hold.")
    kinds = {task["kind"]: task["status"] for task in rows(engine, tables.tasks)}
    assert kinds == {"remediation": "pending", "credentials_issue": "complete"}


def test_a_system_without_a_known_credential_is_not_verified(engine: sa.Engine) -> None:
    given_credentials(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.delete(tables.automation_version_credentials).where(
                tables.automation_version_credentials.c.credential_id == "c2"
            )
        )
    given_block(engine)
    assert report(engine, "c1").unblocked == ()
    refusal = refused(engine, lambda: request(engine))
    assert [detail.message for detail in refusal.details] == ["No required credential is known for Gmail."]


def test_an_event_counts_once(engine: sa.Engine) -> None:
    given_credentials(engine)
    first = report(engine, "c1", CredentialStatus.INVALID, event_id="e1")
    before = content(engine)
    again = report(engine, "c1", CredentialStatus.ACTIVE, event_id="e1")
    assert (first.outcome, again.outcome) == (CredentialOutcome.RECORDED, CredentialOutcome.DUPLICATE)
    assert again.status is CredentialStatus.INVALID
    assert content(engine) == before
    # Another tenant may use the same id.
    assert report(engine, "c9", tenant_id="t2", event_id="e1").outcome is CredentialOutcome.RECORDED


def test_a_late_event_is_kept_and_changes_nothing(engine: sa.Engine) -> None:
    given_credentials(engine)
    report(engine, "c1", CredentialStatus.REVOKED)
    late = report(engine, "c1", CredentialStatus.ACTIVE, at=now() - AGO)
    assert (late.outcome, late.status) == (CredentialOutcome.LATE, CredentialStatus.REVOKED)
    stored = row(engine, tables.credentials, id="c1")
    assert (stored["status"], stored["last_validated_at"]) == ("revoked", None)
    assert len(rows(engine, tables.credential_events)) == 2
    assert [entry["late"] for entry in audits(engine, "manage_credentials")] == [False, True]


def test_an_event_ahead_of_the_clock_counts_as_now(engine: sa.Engine) -> None:
    given_credentials(engine)
    report(engine, "c1", at=now() + AGO)
    assert row(engine, tables.credentials, id="c1")["last_validated_at"] <= now()
    assert report(engine, "c1", CredentialStatus.INVALID).outcome is CredentialOutcome.RECORDED


@pytest.mark.parametrize("status", ["invalid", "expired", "revoked"])
def test_the_monitor_is_told_of_each_workflow_that_needs_a_useless_credential(engine: sa.Engine, status: str) -> None:
    given_credentials(
        engine,
        automations=[{"id": "a3", "tenant_id": "t1", "name": "Third"}],
        automation_versions=[
            {"id": "v3", "tenant_id": "t1", "automation_id": "a3", "version": 1, "status": "Build in Progress"}
        ],
        automation_version_credentials=[{"tenant_id": "t1", "automation_version_id": "v3", "credential_id": "c1"}],
    )
    report(engine, "c1", CredentialStatus(status))
    events = rows(engine, tables.outbox_events, type="credential_event")
    told = {
        event["message_key"]: {name: event["payload"][name] for name in ("kind", "tenant_id", "system_key", "status")}
        for event in events
    }
    said = {"kind": "credential_event", "tenant_id": "t1", "system_key": "crm", "status": status}
    assert told == {"wf1": said, "v3": said}
    assert version(engine)["status"] == "Live"


def test_a_useless_credential_blocks_nothing_by_itself(engine: sa.Engine) -> None:
    given_credentials(engine)
    report(engine, "c1", CredentialStatus.UNKNOWN)
    assert rows(engine, tables.outbox_events) == []


@pytest.mark.parametrize(
    "options", [pytest.param(ASK, id="a person must agree"), pytest.param(BY_HAND, id="nothing is automatic")]
)
def test_where_a_person_decides_there_is_one_task_and_it_ends_with_the_block(engine: sa.Engine, options: Any) -> None:
    given_credentials(engine)
    given_block(engine)
    report(engine, "c1", options=options)
    for _ in range(2):
        assert report(engine, "c2", options=options).awaiting_a_person == ("v1",)
    assert version(engine)["status"] == "Blocked"
    assert row(engine, tables.tasks, kind="approval")["status"] == "pending"
    if options is ASK:
        refusal = refused(engine, lambda: request(engine, actor_context=MONITOR, options=options))
        assert refusal.code is ErrorCode.APPROVAL_REQUIRED
    request(engine, options=options, actor_context=somebody(Role.OPS_QA))
    assert version(engine)["status"] == "Live"
    assert row(engine, tables.tasks, kind="approval")["status"] == "complete"
    assert row(engine, tables.block_reasons)["cleared_by"] == "u9"


def test_an_override_is_a_false_positive_with_a_reason(engine: sa.Engine) -> None:
    given_credentials(engine)
    given_block(engine)
    override = UnblockMode.OVERRIDE
    assert refused(engine, lambda: request(engine, override)).code is ErrorCode.REASON_REQUIRED
    qa = somebody(Role.OPS_QA)
    assert refused(engine, lambda: request(engine, override, reason="x", actor_context=qa)).code is ErrorCode.FORBIDDEN
    request(engine, override, reason="The vendor sent 401 for a full mailbox; token=abc123def456")
    assert version(engine)["status"] == "Live"
    (entry,) = audits(engine, "unblock_automation")
    assert (entry["false_positive"], entry["clearing"]) == (True, "override")
    assert entry["reason"] == "The vendor sent 401 for a full mailbox; token=***"
    assert {task["status"] for task in rows(engine, tables.tasks)} == {"cancelled"}
    assert request(engine, override, reason="again").already_applied


def test_only_the_credentials_reason_is_cleared(engine: sa.Engine) -> None:
    given_credentials(engine)
    given_block(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.block_reasons).values(
                tenant_id="t1",
                automation_version_id="v1",
                episode_id=version(engine)["block_episode_id"],
                kind="manual",
                reason="Legal hold.",
            )
        )
    report(engine, "c1")
    assert report(engine, "c2").unblocked == ("v1",)
    assert (version(engine)["status"], version(engine)["blocked_reason"]) == ("Blocked", "Legal hold.")
    assert [entry["unblocked"] for entry in audits(engine, "unblock_automation")] == [False]
    assert request(engine).already_applied
    with engine.begin() as connection:
        unblock(
            connection,
            tenant_id="t1",
            automation_version_id="v1",
            actor_context=somebody(Role.OPS_BUILD),
            hints=NO_HINTS,
            reason=None,
            override=False,
            options=OPTIONS,
        )
    assert version(engine)["status"] == "Live"


def test_another_version_that_went_live_meanwhile_is_not_pushed_aside(engine: sa.Engine) -> None:
    given_credentials(engine)
    given_block(engine)
    given_credentials(
        engine,
        automation_versions=[{"id": "v3", "tenant_id": "t1", "automation_id": "a1", "version": 2, "status": "Live"}],
    )
    report(engine, "c1")
    assert report(engine, "c2").awaiting_a_person == ("v1",)
    refusal = refused(engine, lambda: request(engine))
    assert refusal.code is ErrorCode.PRECONDITION_FAILED
    assert [detail.code for detail in refusal.details] == ["no_other_version_live"]
    assert row(engine, tables.credentials, id="c2")["last_validated_at"] is not None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"credential_id": "c7"}, ErrorCode.NOT_FOUND, id="unknown credential"),
        pytest.param({"tenant_id": "t2"}, ErrorCode.NOT_FOUND, id="credential of another tenant"),
        pytest.param({"actor_context": somebody(Role.VIEWER)}, ErrorCode.FORBIDDEN, id="a viewer"),
    ],
)
def test_who_may_say_what_is_true_of_a_credential(engine: sa.Engine, changes: dict[str, Any], code: ErrorCode) -> None:
    given_credentials(engine)
    assert refused(engine, lambda: report(engine, **{"credential_id": "c1", **changes})).code is code


def test_a_second_block_is_a_new_episode_that_needs_new_proof(engine: sa.Engine) -> None:
    given_credentials(engine)
    given_block(engine)
    first = version(engine)["block_episode_id"]
    report(engine, "c1")
    report(engine, "c2")
    given_block(engine, decision=LATER)
    again = version(engine)
    assert (again["status"], again["blocked_from_status"]) == ("Blocked", "Live")
    assert again["block_episode_id"] != first
    assert refused(engine, lambda: request(engine)).code is ErrorCode.STATUS_PREREQUISITE_MISSING


def test_events_of_all_credentials_at_once_end_each_block_once(engine: sa.Engine) -> None:
    given_credentials(
        engine,
        automations=[{"id": "a0", "tenant_id": "t1", "name": "Zeroth"}],
        automation_versions=[{"id": "v3", "tenant_id": "t1", "automation_id": "a0", "version": 1, "status": "Live"}],
        automation_version_credentials=[
            {"tenant_id": "t1", "automation_version_id": "v3", "credential_id": name} for name in ("c1", "c2")
        ],
    )
    given_block(engine, ("t1", "v1"), ("t1", "v3"))
    with ThreadPoolExecutor(4) as senders:
        results = list(
            senders.map(lambda number: report(engine, f"c{number % 2 + 1}", event_id=f"e{number}"), range(8))
        )
    assert sorted(name for result in results for name in result.unblocked) == ["v1", "v3"]
    assert version(engine, "v1")["status"] == version(engine, "v3")["status"] == "Live"
    assert len(audits(engine, "unblock_automation")) == 2
