"""The blast-radius guard: what it holds, takes back, and lets go on (30.6)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import WORKER, ActorContext
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.guard.arithmetic import GuardPolicy
from lifecycle.guard.holds import reject_hold
from lifecycle.guard.incidents import end_incident, end_quiet_incidents
from lifecycle.guard.release import release_hold
from lifecycle.options import LifecycleOptions
from tests.lifecycle.given import row, rows
from tests.lifecycle.guard_given import apply, block_of, given_tenants, statuses
from tests.sinks.given import blacklists

OPS_ADMIN = ActorContext.of_user("otto", "test", CAPABILITIES[Role.OPS_ADMIN])
VIEWER = ActorContext.of_user("vera", "test", CAPABILITIES[Role.VIEWER])


def test_the_fifth_tenant_opens_an_incident_and_the_first_four_are_taken_back(engine: sa.Engine) -> None:
    given_tenants(engine, 6)
    assert apply(engine, [block_of(n, at=n) for n in range(4)]) == ["applied blocked"] * 4
    assert len(statuses(engine)) == 4
    assert apply(engine, [block_of(4, at=4), block_of(5, at=5)]) == ["held held"] * 2
    assert statuses(engine) == {}
    incident = row(engine, tables.provider_incidents)
    assert (incident["system_key"], incident["tenant_count"], incident["closed_at"]) == ("crm", 6, None)
    holds = rows(engine, tables.holds)
    assert {(hold["tenant_id"], hold["undone"], hold["status"]) for hold in holds} == {
        (f"t{n:03}", n < 4, "held") for n in range(6)
    }
    outcomes = {(one["outcome"], one["outcome_reason"]) for one in rows(engine, tables.decisions)}
    assert outcomes == {("held", "undone"), ("held", "held")}


def test_all_of_it_in_one_transaction_is_the_same(engine: sa.Engine) -> None:
    given_tenants(engine, 6)
    apply(engine, [block_of(n, at=n) for n in range(6)])
    assert statuses(engine) == {}
    assert {one["outcome_reason"] for one in rows(engine, tables.decisions)} == {"undone", "held"}
    assert len(rows(engine, tables.holds)) == 6


def test_one_task_and_one_notice_to_operations_tell_of_it_and_clients_hear_nothing(engine: sa.Engine) -> None:
    given_tenants(engine, 8)
    apply(engine, [block_of(n, at=n) for n in range(8)])
    task = row(engine, tables.tasks, status="pending")
    assert (task["tenant_id"], task["priority"], task["system_key"]) == (None, "critical", "crm")
    assert "Salesforce" in task["title"]
    notices = rows(engine, tables.notifications, template="provider_incident")
    assert {(one["channel"], one["audience"]) for one in notices} == {("email", "ops"), ("in_app", "ops")}
    clients = rows(engine, tables.notifications, audience="client")
    assert len(clients) >= 4
    assert {one["status"] for one in clients} == {"cancelled"}


def test_what_is_taken_back_is_audited_and_its_tasks_are_cancelled(engine: sa.Engine) -> None:
    given_tenants(engine, 5)
    apply(engine, [block_of(n, at=n) for n in range(5)])
    audited = {one["resource_id"] for one in rows(engine, tables.audit_logs, action_type="provider_incident")}
    assert {f"v{n:03}" for n in range(4)} <= audited
    assert {one["status"] for one in rows(engine, tables.tasks, kind="credentials_issue")} == {"cancelled"}
    history = [
        (one["from_status"], one["to_status"])
        for one in rows(engine, tables.automation_versions_status_history, automation_version_id="v000")
    ]
    assert history == [(None, "Live"), ("Live", "Blocked"), ("Blocked", "Live")]


def test_blocks_of_ten_minutes_ago_in_event_time_are_no_part_of_it(engine: sa.Engine) -> None:
    given_tenants(engine, 6)
    apply(engine, [block_of(0, at=0), *(block_of(n, at=10 + n) for n in range(1, 5))])
    assert len(rows(engine, tables.provider_incidents)) == 0
    assert apply(engine, [block_of(5, at=15)]) == ["held held"]
    assert statuses(engine) == {"v000": "Blocked"}


def test_a_backlog_replayed_in_a_second_is_judged_as_it_happened(engine: sa.Engine) -> None:
    given_tenants(engine, 9)
    assert apply(engine, [block_of(n, at=60 * n) for n in range(9)]) == ["applied blocked"] * 9
    assert rows(engine, tables.provider_incidents) == []


def test_another_system_is_blocked_for_while_an_incident_is_open(engine: sa.Engine) -> None:
    given_tenants(engine, 8)
    apply(engine, [block_of(n, at=n) for n in range(5)])
    assert apply(engine, [block_of(6, "mail", "crm", at=6)]) == ["applied blocked"]
    # The cause is Gmail; that Salesforce failed too is its provider's fault.
    assert row(engine, tables.block_reasons, automation_version_id="v006")["failed_systems"] == ["mail"]


def test_a_block_for_two_systems_keeps_the_one_that_has_no_incident(engine: sa.Engine) -> None:
    given_tenants(engine, 6)
    apply(engine, [block_of(0, "mail", at=0), block_of(0, "crm", "mail", at=0.5, cause="e9")])
    assert row(engine, tables.block_reasons)["failed_systems"] == ["crm", "mail"]
    apply(engine, [block_of(n, at=n) for n in range(1, 6)])
    assert statuses(engine) == {"v000": "Blocked"}
    assert row(engine, tables.block_reasons, automation_version_id="v000")["failed_systems"] == ["mail"]
    assert row(engine, tables.automation_versions, id="v000")["blocked_reason"] == (
        "The credentials for Gmail are invalid or have expired."
    )


def test_the_end_tells_the_monitor_of_every_workflow_concerned(engine: sa.Engine) -> None:
    given_tenants(engine, 6)
    apply(engine, [block_of(n, at=n) for n in range(6)])
    incident = row(engine, tables.provider_incidents)
    with engine.begin() as connection:
        assert end_incident(connection, incident_id=incident["id"], actor_context=OPS_ADMIN)
    with engine.begin() as connection:
        assert not end_incident(connection, incident_id=incident["id"], actor_context=OPS_ADMIN)
    events = rows(engine, tables.outbox_events, type="hold_ended")
    assert {event["message_key"] for event in events} == {f"w{n:03}" for n in range(6)}
    assert {event["payload"]["system_key"] for event in events} == {"crm"}
    assert {hold["status"] for hold in rows(engine, tables.holds)} == {"ended"}
    assert row(engine, tables.tasks, tenant_id=None)["status"] == "complete"
    assert row(engine, tables.provider_incidents)["closed_by"] == "otto"
    # What fails afterwards is judged for itself.
    assert apply(engine, [block_of(0, at=200, cause="later")]) == ["applied blocked"]


def test_an_incident_ends_by_itself_when_it_was_quiet(engine: sa.Engine) -> None:
    given_tenants(engine, 5)
    apply(engine, [block_of(n, at=n) for n in range(5)])
    options = LifecycleOptions(guard=GuardPolicy(quiet_after=timedelta(hours=1)))
    with engine.begin() as connection:
        assert end_quiet_incidents(connection, actor_context=WORKER, options=options) == 0
    options = LifecycleOptions(guard=GuardPolicy(quiet_after=timedelta(microseconds=1)))
    with engine.begin() as connection:
        assert end_quiet_incidents(connection, actor_context=WORKER, options=options) == 1


def test_only_operations_admins_end_an_incident(engine: sa.Engine) -> None:
    given_tenants(engine, 5)
    apply(engine, [block_of(n, at=n) for n in range(5)])
    incident_id = row(engine, tables.provider_incidents)["id"]
    with pytest.raises(LifecycleError) as refused, engine.begin() as connection:
        end_incident(connection, incident_id=incident_id, actor_context=VIEWER)
    assert refused.value.code is ErrorCode.FORBIDDEN


# ---- the budget


def test_a_bad_policy_stops_no_more_than_its_budget(engine: sa.Engine) -> None:
    given_tenants(engine, 40)
    # Far apart in event time, so that no incident explains them.
    said = apply(engine, [block_of(n, at=60 * n) for n in range(40)])
    assert said == ["applied blocked"] * 10 + ["held held"] * 30
    assert len(statuses(engine)) == 10
    notices = rows(engine, tables.notifications, template="decisions_held", channel="email")
    assert 1 <= len(notices) <= 2  # once in a window of the clock, which may turn over meanwhile


def test_blacklistings_share_the_budget(engine: sa.Engine) -> None:
    given_tenants(engine, 12)
    apply(engine, [block_of(n, at=60 * n) for n in range(9)])
    said = apply(
        engine,
        [blacklists("x1", "x2", at=1, tenant_id=f"t{n:03}", workflow_id=f"w{n:03}", automation_version_id=f"v{n:03}")
         for n in (9, 10)],
    )  # fmt: skip
    assert said == ["applied blacklisted", "held held"]
    assert [one["workflow_id"] for one in rows(engine, tables.workflow_blacklist)] == ["w009"]


def held_block(engine: sa.Engine) -> str:
    """The id of a hold: the eleventh block in a row."""
    given_tenants(engine, 12)
    apply(engine, [block_of(n, at=60 * n) for n in range(11)])
    return str(row(engine, tables.holds)["id"])


def test_a_released_decision_is_applied_as_the_releasers_own_act(engine: sa.Engine) -> None:
    hold_id = held_block(engine)
    for first in (True, False):
        with engine.begin() as connection:
            done = release_hold(
                connection, hold_id=hold_id, actor_context=OPS_ADMIN, reason="It is right.", options=LifecycleOptions()
            )
        assert done is first
    assert statuses(engine)["v010"] == "Blocked"
    assert row(engine, tables.audit_logs, action_type="block_automation", resource_id="v010")["actor"] == "otto"
    hold = row(engine, tables.holds)
    assert (hold["status"], hold["ended_by"], hold["reason"]) == ("released", "otto", "It is right.")
    assert row(engine, tables.decisions, decision_id=hold["decision_id"])["outcome"] == "applied"
    # A person's act is no automatic stop.
    assert len(rows(engine, tables.automatic_stops)) == 10


def test_a_rejected_decision_is_never_applied(engine: sa.Engine) -> None:
    hold_id = held_block(engine)
    with engine.begin() as connection:
        assert reject_hold(connection, hold_id=hold_id, actor_context=OPS_ADMIN, reason="A policy gone wrong.")
    with pytest.raises(LifecycleError) as refused, engine.begin() as connection:
        release_hold(connection, hold_id=hold_id, actor_context=OPS_ADMIN, reason=None, options=LifecycleOptions())
    assert refused.value.code is ErrorCode.CONCURRENCY_CONFLICT
    assert "v010" not in statuses(engine)


def test_who_may_not_decide_on_holds_changes_nothing(engine: sa.Engine) -> None:
    hold_id = held_block(engine)
    with pytest.raises(LifecycleError) as refused, engine.begin() as connection:
        release_hold(connection, hold_id=hold_id, actor_context=VIEWER, reason=None, options=LifecycleOptions())
    assert refused.value.code is ErrorCode.FORBIDDEN
    assert row(engine, tables.holds)["status"] == "held"


def test_a_decision_that_is_said_again_waits_once(engine: sa.Engine) -> None:
    held_block(engine)
    apply(engine, [block_of(10, at=700, cause="again")])
    assert len(rows(engine, tables.holds)) == 1


# ---- many at once


@pytest.mark.parametrize("writers", [8])
def test_many_sinks_at_once_open_one_incident_and_leave_nothing_blocked(engine: sa.Engine, writers: int) -> None:
    given_tenants(engine, 64)
    storm = [block_of(n, at=n / 10) for n in range(64)]
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(lambda mine: apply(engine, mine), [storm[first::writers] for first in range(writers)]))
    assert statuses(engine) == {}
    assert len(rows(engine, tables.provider_incidents)) == 1
    assert {hold["status"] for hold in rows(engine, tables.holds)} == {"held"}
    assert len(rows(engine, tables.holds)) == 64


def test_many_sinks_at_once_keep_to_the_budget_exactly(engine: sa.Engine) -> None:
    given_tenants(engine, 48)
    storm = [block_of(n, at=60 * n) for n in range(48)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda mine: apply(engine, mine), [storm[first::8] for first in range(8)]))
    assert len(statuses(engine)) == 10
    assert len(rows(engine, tables.holds)) == 38
