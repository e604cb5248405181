"""Holds and incidents over HTTP: what the API's database role may do with them, for staff who may."""

import sqlalchemy as sa

from lifecycle import tables
from tests.api.v1_given import bearer, running, staff_token
from tests.lifecycle.given import row, rows
from tests.lifecycle.guard_given import apply, block_of, given_tenants, statuses
from tests.sinks.given import blacklists

ADMIN = bearer(staff_token("ops_admin"))


def given_holds(engine: sa.Engine) -> None:
    """The budget is spent by ten blocks, and two blacklistings wait."""
    given_tenants(engine, 12)
    apply(engine, [block_of(n, at=60 * n) for n in range(10)])
    said = apply(
        engine,
        [
            blacklists("x1", "x2", tenant_id=f"t0{n}", workflow_id=f"w0{n}", automation_version_id=f"v0{n}")
            for n in (10, 11)
        ],
    )
    assert said == ["held held"] * 2


def test_held_blacklistings_are_released_and_rejected(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        given_holds(engine)
        listed = client.get("/v1/holds?status=held", headers=ADMIN).json()["items"]
        ids = {one["workflow_id"]: one["id"] for one in listed}
        assert sorted(ids) == ["w010", "w011"]
        answers = [
            client.post(f"/v1/holds/{ids[workflow_id]}/{verb}", json={"reason": "Looked at it."}, headers=ADMIN)
            for workflow_id, verb in (("w010", "release"), ("w010", "release"), ("w011", "reject"), ("w011", "release"))
        ]
    assert [one.status_code for one in answers] == [200, 200, 200, 409]
    assert [one.json()["already_applied"] for one in answers[:3]] == [False, True, False]
    listed_now = row(engine, tables.workflow_blacklist)
    assert (listed_now["workflow_id"], listed_now["blacklisted_by"]) == ("w010", "u9")
    # The detector took it for blacklisted.
    assert [one["message_key"] for one in rows(engine, tables.outbox_events, type="workflow_released")] == ["w011"]


def test_a_block_for_an_automation_that_is_archived_by_now_is_released_without_effect(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        given_tenants(engine, 12)
        apply(engine, [block_of(n, at=60 * n) for n in range(11)])
        with engine.begin() as connection:
            connection.execute(
                sa.update(tables.automations).where(tables.automations.c.id == "a010").values(status="archived")
            )
        hold = row(engine, tables.holds)
        answer = client.post(f"/v1/holds/{hold['id']}/release", json={}, headers=ADMIN)
    assert answer.status_code == 200
    assert "v010" not in statuses(engine)
    decision = row(engine, tables.decisions, decision_id=hold["decision_id"])
    assert (decision["outcome"], decision["outcome_reason"]) == ("refused", "automation_not_active")


def test_an_incident_is_ended_over_http_for_all_tenants_at_once(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        given_tenants(engine, 6)
        apply(engine, [block_of(n, at=n) for n in range(6)])
        (incident,) = client.get("/v1/provider-incidents", headers=ADMIN).json()["items"]
        answers = [client.post(f"/v1/provider-incidents/{incident['id']}/end", headers=ADMIN).json() for _ in range(2)]
    assert [one["already_applied"] for one in answers] == [False, True]
    assert len(rows(engine, tables.outbox_events, type="hold_ended")) == 6
    assert {hold["status"] for hold in rows(engine, tables.holds)} == {"ended"}
