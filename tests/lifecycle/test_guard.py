"""The blast-radius guard: what it holds, takes back, and lets go on (30.6)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from dataflows.decisions import ReasonCode
from lifecycle import tables
from lifecycle.actors import WORKER, ActorContext
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.guard.arithmetic import GuardPolicy
from lifecycle.guard.holds import reject_hold
from lifecycle.guard.incidents import end_incident, end_quiet_incidents
from lifecycle.guard.release import release_hold
from lifecycle.options import LifecycleOptions
from lifecycle.seed import seed
from tests.lifecycle.given import row, rows
from tests.lifecycle.guard_given import apply, block_of, given_tenants, statuses
from tests.sinks.given import T0, blacklists

OPS_ADMIN = ActorContext.of_user("otto", "test", CAPABILITIES[Role.OPS_ADMIN])
VIEWER = ActorContext.of_user("vera", "test", CAPABILITIES[Role.VIEWER])


def after(engine: sa.Engine, *, minutes: float) -> float:
    """The minute in event time that is so long after the newest end of an incident."""
    ends = [incident["closed_at"] for incident in rows(engine, tables.provider_incidents)]
    return float((max(ends) - T0) / timedelta(minutes=1)) + minutes


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


def client_notices(engine: sa.Engine, tenant_id: str) -> set[tuple[str, str]]:
    """Template and status of what a tenant's people are told."""
    found = rows(engine, tables.notifications, tenant_id=tenant_id, audience="client")
    return {(one["template"], one["status"]) for one in found}


def test_the_client_of_a_block_that_stays_hears_of_it(engine: sa.Engine) -> None:
    given_tenants(engine, 6)
    apply(engine, [block_of(0, "mail", at=0), block_of(0, "crm", "mail", at=0.5, cause="e9")])
    apply(engine, [block_of(n, at=n) for n in range(1, 5)])
    assert statuses(engine) == {"v000": "Blocked"}
    assert client_notices(engine, "t000") == {("automation_blocked", "pending")}
    assert client_notices(engine, "t001") >= {("automation_blocked", "cancelled")}


def test_a_block_that_cannot_be_taken_back_stays_and_its_client_hears_of_it(engine: sa.Engine) -> None:
    given_tenants(engine, 5)
    apply(engine, [block_of(0, at=0)])
    with engine.begin() as connection:  # another version goes Live in its place
        seed(connection, {"automation_versions": [
            {"id": "v000b", "tenant_id": "t000", "automation_id": "a000", "version": 2, "status": "Live"}
        ]})  # fmt: skip
    apply(engine, [block_of(n, at=n) for n in range(1, 5)])
    assert statuses(engine) == {"v000": "Blocked"}
    assert client_notices(engine, "t000") == {("automation_blocked", "pending")}


def test_a_client_who_heard_of_a_block_hears_that_it_is_over(engine: sa.Engine) -> None:
    given_tenants(engine, 5)
    apply(engine, [block_of(0, at=0)])
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.notifications)
            .where(tables.notifications.c.audience == "client", tables.notifications.c.channel == "email")
            .values(status="delivered", delivered_at=sa.func.now())
        )
    apply(engine, [block_of(n, at=n) for n in range(1, 5)])
    assert statuses(engine) == {}
    assert ("automation_unblocked", "pending") in client_notices(engine, "t000")
    assert client_notices(engine, "t001") == {
        ("automation_blocked", "cancelled"),
        ("automation_unblocked", "cancelled"),
    }


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
    assert apply(engine, [block_of(0, at=after(engine, minutes=2), cause="later")]) == ["applied blocked"]


def end_all(engine: sa.Engine) -> None:
    """End every incident, as an operations' admin does."""
    for incident in rows(engine, tables.provider_incidents):
        with engine.begin() as connection:
            end_incident(connection, incident_id=incident["id"], actor_context=OPS_ADMIN)


def told(engine: sa.Engine, workflow_id: str) -> list[str]:
    """The systems whose failures the monitor was told to forget, for a workflow, in the order of telling."""
    events = rows(engine, tables.outbox_events, type="hold_ended", message_key=workflow_id)
    return [event["payload"]["system_key"] for event in sorted(events, key=lambda event: event["sequence"])]


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        pytest.param(-60, "held held", id="failed while it was open"),
        pytest.param(0.5, "held held", id="failed when the monitor may not have heard"),
        pytest.param(1.5, "applied blocked", id="failed afresh"),
    ],
)
def test_a_decision_under_way_when_its_incident_ends_blocks_nobody(
    engine: sa.Engine, minutes: float, said: str
) -> None:
    given_tenants(engine, 6)
    apply(engine, [block_of(n, at=n) for n in range(6)])
    end_all(engine)
    assert apply(engine, [block_of(5, at=after(engine, minutes=minutes), cause="under way")]) == [said]
    assert statuses(engine) == ({} if said == "held held" else {"v005": "Blocked"})
    # It is told again: the monitor may have counted since it heard of the end.
    assert told(engine, "w005") == ["crm"] * (2 if said == "held held" else 1)
    assert {hold["status"] for hold in rows(engine, tables.holds)} == {"ended"}


def test_the_first_decision_after_an_incident_does_not_count_on_failures_in_it(engine: sa.Engine) -> None:
    given_tenants(engine, 8)
    apply(engine, [block_of(n, at=n) for n in range(5)])
    end_all(engine)
    later = after(engine, minutes=30)
    # Two of its failures may have been the provider's: nothing was decided about it meanwhile.
    assert apply(engine, [block_of(7, at=later, cause="third")]) == ["held held"]
    assert told(engine, "w007") == ["crm"]
    assert apply(engine, [block_of(7, at=later + 1, cause="fourth")]) == ["applied blocked"]


def test_a_day_after_an_incident_nobody_thinks_of_it_any_more(engine: sa.Engine) -> None:
    given_tenants(engine, 8)
    apply(engine, [block_of(n, at=n) for n in range(5)])
    end_all(engine)
    assert apply(engine, [block_of(7, at=after(engine, minutes=25 * 60))]) == ["applied blocked"]


def test_a_credential_that_is_known_to_be_bad_is_no_failure_of_an_incident(engine: sa.Engine) -> None:
    given_tenants(engine, 8)
    apply(engine, [block_of(n, at=n) for n in range(5)])
    end_all(engine)
    known = {"reason_code": ReasonCode.INTEGRATION_MONITOR, "evidence": []}
    while_open, later = after(engine, minutes=-60), after(engine, minutes=0.5)
    said = apply(engine, [block_of(6, at=while_open, **known), block_of(7, at=later, **known)])
    assert said == ["held held", "applied blocked"]


def test_the_block_for_another_system_does_not_name_the_one_that_had_an_incident(engine: sa.Engine) -> None:
    given_tenants(engine, 8)
    apply(engine, [block_of(n, at=n) for n in range(5)])
    end_all(engine)
    assert apply(engine, [block_of(6, "mail", "crm", at=after(engine, minutes=-60))]) == ["applied blocked"]
    assert row(engine, tables.block_reasons, automation_version_id="v006")["failed_systems"] == ["mail"]


def test_what_waits_for_two_incidents_hears_of_both_ends(engine: sa.Engine) -> None:
    given_tenants(engine, 12)
    apply(engine, [block_of(n, at=n) for n in range(5)])
    apply(engine, [block_of(n, "mail", at=n) for n in range(5, 10)])
    assert apply(engine, [block_of(11, "crm", "mail", at=11, observed={})]) == ["held held"]
    first = row(engine, tables.provider_incidents, system_key="mail")
    with engine.begin() as connection:
        end_incident(connection, incident_id=first["id"], actor_context=OPS_ADMIN)
    assert told(engine, "w011") == ["mail"]
    assert row(engine, tables.holds, tenant_id="t011")["status"] == "held"
    end_all(engine)
    assert told(engine, "w011") == ["mail", "crm"]
    assert row(engine, tables.holds, tenant_id="t011")["status"] == "ended"


def test_what_is_said_again_after_an_end_is_a_repeat(engine: sa.Engine) -> None:
    given_tenants(engine, 6)
    storm = [block_of(n, at=n) for n in range(6)]
    apply(engine, storm)
    end_all(engine)
    before = (rows(engine, tables.holds), rows(engine, tables.outbox_events))
    assert apply(engine, storm) == ["duplicate None"] * 6
    assert (rows(engine, tables.holds), rows(engine, tables.outbox_events)) == before


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


def test_a_secret_in_the_reason_is_not_kept(engine: sa.Engine) -> None:
    hold_id = held_block(engine)
    with engine.begin() as connection:
        reject_hold(connection, hold_id=hold_id, actor_context=OPS_ADMIN, reason="See\x00password=hunter2, it works.")
    assert row(engine, tables.holds)["reason"] == "See password=***, it works."


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


def test_an_incident_that_ends_in_the_middle_of_a_storm_leaves_nothing_blocked(engine: sa.Engine) -> None:
    given_tenants(engine, 64)
    storm = [block_of(n, at=n / 10) for n in range(64)]
    ended = threading.Event()

    def end_the_first() -> None:
        while not (ended.is_set() or rows(engine, tables.provider_incidents)):
            ended.wait(0.01)
        end_all(engine)

    ender = threading.Thread(target=end_the_first)
    ender.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda mine: apply(engine, mine), [storm[n : n + 3] for n in range(0, 64, 3)]))
    finally:
        ended.set()
        ender.join()
    # Whether a decision came before the opening, while it was open, or after the end.
    assert statuses(engine) == {}
    assert len(rows(engine, tables.provider_incidents)) == 1
    assert {hold["status"] for hold in rows(engine, tables.holds)} == {"ended"}
    told_of = {event["message_key"] for event in rows(engine, tables.outbox_events, type="hold_ended")}
    assert told_of == {f"w{n:03}" for n in range(64)}


def test_many_sinks_at_once_keep_to_the_budget_exactly(engine: sa.Engine) -> None:
    given_tenants(engine, 48)
    storm = [block_of(n, at=60 * n) for n in range(48)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda mine: apply(engine, mine), [storm[first::8] for first in range(8)]))
    assert len(statuses(engine)) == 10
    assert len(rows(engine, tables.holds)) == 38
