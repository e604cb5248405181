"""`/v1/system-config`: read and changed by the platform's admins, and by nobody else."""

from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from tests.api.v1_given import bearer, running, staff_token, token
from tests.lifecycle.given import row, rows

PATH = "/v1/system-config"
ADMIN = bearer(staff_token("platform_admin"))


def test_an_admin_reads_and_changes_it(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        before = http.get(PATH, headers=ADMIN).json()
        changed = http.put(PATH, headers=ADMIN, json={"stuck_circuit_breaker_threshold": 3}).json()
        again = http.put(PATH, headers=ADMIN, json={"stuck_circuit_breaker_window_minutes": 10}).json()
        back = http.put(PATH, headers=ADMIN, json={"stuck_circuit_breaker_threshold": None}).json()
        now = http.get(PATH, headers=ADMIN).json()
    names = ("stuck_circuit_breaker_threshold", "stuck_circuit_breaker_window_minutes", "policy_version")
    assert [[answer[name] for name in names] for answer in (before, changed, again, back)] == [
        [None, None, None],
        [3, None, 1001],
        [3, 10, 1002],
        [None, 10, 1003],
    ]
    assert before["defaults"] == {"stuck_circuit_breaker_threshold": 5, "stuck_circuit_breaker_window_minutes": 60}
    assert now == back
    assert {one["actor"] for one in rows(engine, tables.audit_logs, action_type="change_system_config")} == {"u9"}
    assert len(rows(engine, tables.outbox_events, type="system_config_changed")) == 3


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"stuck_circuit_breaker_threshold": 0}, id="a threshold of none"),
        pytest.param({"stuck_circuit_breaker_threshold": "3"}, id="text"),
        pytest.param({"stuck_circuit_breaker_threshold": 2.5}, id="half an execution"),
        pytest.param({"stuck_circuit_breaker_threshold": 2**31}, id="more than can be kept"),
        pytest.param({"stuck_circuit_breaker_window_minutes": 10_081}, id="more than a week"),
        pytest.param({"stuck_circuit_breaker_window_minutes": 0}, id="no window"),
        pytest.param({"threshold": 3}, id="another name"),
    ],
)
def test_what_makes_no_sense_is_refused(engine: sa.Engine, body: dict[str, Any]) -> None:
    with running(engine) as (http, _, _):
        assert http.put(PATH, headers=ADMIN, json=body).status_code == 422
    assert rows(engine, tables.system_config_versions) == []


def test_nobody_else_may(engine: sa.Engine) -> None:
    asking = {
        "nobody": ({}, 401),
        "a member with all roles of a tenant": (bearer(token("admin")), 403),
        "operations of all tenants": (bearer(staff_token("ops_admin")), 403),
        "a platform admin of one tenant": (bearer(staff_token("platform_admin", tenants=["t1"])), 403),
    }
    with running(engine) as (http, _, _):
        for who, (headers, status) in asking.items():
            assert http.get(PATH, headers=headers).status_code == status, who
            body = {"stuck_circuit_breaker_threshold": 1}
            assert http.put(PATH, headers=headers, json=body).status_code == status, who
    assert rows(engine, tables.system_config) == []


def test_the_audit_says_who(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        http.put(PATH, headers=ADMIN, json={"stuck_circuit_breaker_threshold": 7})
    audited = row(engine, tables.audit_logs, action_type="change_system_config")
    assert (audited["tenant_id"], audited["actor_user_id"], audited["metadata"]) == (
        None,
        "u9",
        {"stuck_circuit_breaker_threshold": 7, "stuck_circuit_breaker_window_minutes": None},
    )
