"""The API as its users see it: moves, answers, errors, tenants, rates (30.7)."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth.access import Access
from api.auth.principal import Principal
from api.database import Database
from lifecycle import tables
from lifecycle.capabilities import Role
from tests.api.v1_given import AUTH, EVERYTHING, bearer, given_block, running, staff_token, token
from tests.lifecycle.given import row, rows, version
from tests.lifecycle.platform_given import Platform

OPS = bearer(token(Role.OPS_ADMIN))
QA = bearer(token(Role.OPS_QA))
VIEWER = bearer(token(Role.VIEWER))
STAFF = bearer(staff_token(Role.OPS_ADMIN))


@pytest.fixture
def world(engine: sa.Engine) -> Iterator[tuple[TestClient, Platform]]:
    """The application, and the platform that it asks."""
    with running(engine) as (http, _, platform):
        yield http, platform


@pytest.fixture
def http(world: tuple[TestClient, Platform]) -> TestClient:
    """The application."""
    return world[0]


def status_of(http: TestClient, version_id: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    """PATCH a status."""
    return http.patch(f"/v1/automation-versions/{version_id}/status", json=body, headers=headers)


def test_a_version_is_blocked_by_hand_and_comes_back_when_its_task_is_complete(
    engine: sa.Engine, http: TestClient
) -> None:
    blocked = status_of(http, "v1", {"status": "Blocked", "blocked_reason": "  The ERP moves. "}, QA)
    assert blocked.status_code == 200
    answer = blocked.json()
    assert (answer["automation_version"]["status"], answer["already_applied"]) == ("Blocked", False)
    assert answer["automation_version"]["blocked_reason"] == "The ERP moves."
    assert answer["project"] == {"id": "p1", "status": "Live"}
    task = http.get("/v1/tasks", headers=QA).json()["items"][0]
    early = http.post("/v1/automation-versions/v1/unblock", json={}, headers=QA)
    assert (early.status_code, early.json()["error_code"]) == (400, "status_prerequisite_missing")
    done = http.patch(f"/v1/tasks/{task['id']}", json={"operation": "complete", "version": 1}, headers=QA)
    assert done.json()["unblock_offered"] == "v1"
    back = http.post("/v1/automation-versions/v1/unblock", json={}, headers=QA)
    assert back.json()["automation_version"]["status"] == "Live"
    steps = http.get("/v1/automation-versions/v1/history", headers=VIEWER).json()["items"]
    assert [(step["from_status"], step["to_status"]) for step in steps] == [
        ("Blocked", "Live"),
        ("Live", "Blocked"),
        (None, "Live"),
    ]
    assert row(engine, tables.audit_logs, action_type="block_automation")["actor"] == "user-ops_qa"


def test_naming_the_status_that_it_was_blocked_from_is_an_unblock_and_any_other_is_none(
    engine: sa.Engine, http: TestClient
) -> None:
    given_block(engine)
    assert status_of(http, "v1", {"status": "Paused"}, OPS).status_code == 409
    assert status_of(http, "v1", {"status": "Live"}, OPS).status_code == 400
    over = status_of(http, "v1", {"status": "Live", "override": True, "reason": "The provider was down."}, OPS)
    assert over.json()["automation_version"]["status"] == "Live"


def test_a_credential_that_works_again_ends_the_block(engine: sa.Engine, http: TestClient) -> None:
    given_block(engine)
    said = http.post("/v1/credentials/c1/validated", json={"event_id": "e1"}, headers=OPS)
    assert (said.status_code, said.json()["unblocked"]) == (200, ["v1"])
    assert version(engine)["status"] == "Live"


def test_a_deploy_goes_through_the_platform_and_its_failure_is_a_502(
    engine: sa.Engine, world: tuple[TestClient, Platform]
) -> None:
    http, platform = world
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.automation_versions)
            .where(tables.automation_versions.c.id == "v1")
            .values(status="Ready to Launch")
        )
    del platform.workflows["wf1"]
    failed = status_of(http, "v1", {"status": "Live"}, OPS)
    assert (failed.status_code, failed.json()["error_code"]) == (502, "deployment_failed")
    platform.workflows["wf1"] = "inactive"
    live = status_of(http, "v1", {"status": "Live", "deployment_reason": "Go"}, OPS)
    assert live.json()["automation_version"]["status"] == "Live"
    assert platform.workflows["wf1"] == "active"


def test_stale_hints_are_a_conflict_only_where_something_would_change(http: TestClient) -> None:
    shown = http.get("/v1/automation-versions/v1", headers=QA)
    etag = shown.headers["etag"]
    paused = http.patch(
        "/v1/automation-versions/v1/status", json={"status": "Paused"}, headers={**QA, "If-Match": etag}
    )
    assert paused.status_code == 200
    again = http.patch("/v1/automation-versions/v1/status", json={"status": "Paused"}, headers={**QA, "If-Match": etag})
    assert (again.status_code, again.json()["already_applied"]) == (200, True)
    stale = http.patch("/v1/automation-versions/v1/status", json={"status": "Live"}, headers={**QA, "If-Match": etag})
    assert (stale.status_code, stale.json()["error_code"]) == (409, "concurrency_conflict")


def test_every_refusal_has_the_same_form(http: TestClient) -> None:
    refusals = {
        "unknown_status": status_of(http, "v1", {"status": "Sideways"}, OPS),
        "invalid_status_transition": status_of(http, "v1", {"status": "Needs Pricing"}, OPS),
        "blocked_reason_required": status_of(http, "v1", {"status": "Blocked", "blocked_reason": " "}, OPS),
        "forbidden": status_of(http, "v1", {"status": "Paused"}, VIEWER),
        "automation_version_not_found": status_of(http, "v2", {"status": "Paused"}, OPS),
        "unauthenticated": status_of(http, "v1", {"status": "Paused"}, {}),
        "malformed": status_of(http, "v1", {"status": 7}, OPS),
        "not_found": http.get("/v1/nothing", headers=OPS),
        "method_not_allowed": http.put("/v1/tasks", headers=OPS),
    }
    statuses = [400, 409, 400, 403, 404, 401, 422, 404, 405]
    for (code, response), status in zip(refusals.items(), statuses, strict=True):
        body = response.json()
        assert (response.status_code, body["error_code"]) == (status, code)
        assert set(body) == {"error_code", "message", "details", "request_id"}
        assert body["message"]


def test_fields_that_the_server_owns_are_ignored(engine: sa.Engine, http: TestClient) -> None:
    body = {"status": "Paused", "tenant_id": "t2", "project_id": "p9", "updated_at": "2020-01-01T00:00:00Z"}
    assert status_of(http, "v1", body, QA).status_code == 200
    assert version(engine)["tenant_id"] == "t1"


# ---- tenants


def test_another_tenants_version_is_exactly_as_unknown_as_none(http: TestClient) -> None:
    for path in ("", "/history", "/transitions"):
        other, nobody = (
            http.get(f"/v1/automation-versions/{version_id}{path}", headers=OPS) for version_id in ("v2", "v9")
        )
        assert other.status_code == nobody.status_code == 404
        assert {**other.json(), "request_id": ""} == {**nobody.json(), "request_id": ""}


def test_a_list_shows_the_tenants_own_alone_and_staff_see_theirs(http: TestClient) -> None:
    def seen(headers: dict[str, str]) -> set[str]:
        return {one["id"] for one in http.get("/v1/automation-versions", headers=headers).json()["items"]}

    assert seen(VIEWER) == {"v1"}
    assert seen(STAFF) == {"v1", "v2"}
    assert seen(bearer(staff_token(Role.OPS_ADMIN, tenants=["t2"]))) == {"v2"}
    assert seen(bearer(staff_token(Role.OPS_ADMIN, tenants=["t3"]))) == set()


def test_what_staff_change_is_in_the_owners_tenant_and_audited(engine: sa.Engine, http: TestClient) -> None:
    assert status_of(http, "v2", {"status": "Paused"}, STAFF).status_code == 200
    assert version(engine, "v2")["status"] == "Paused"
    audit = row(engine, tables.audit_logs, action_type="staff_access")
    assert (audit["tenant_id"], audit["actor"]) == ("t2", "u9")
    only = bearer(staff_token(Role.OPS_ADMIN, tenants=["t1"]))
    assert status_of(http, "v2", {"status": "Live"}, only).status_code == 404


def test_a_query_that_forgot_its_filter_shows_no_other_tenants_rows(engine: sa.Engine, http: TestClient) -> None:
    del http  # its world is what is read
    database = Database(engine.url.render_as_string(hide_password=False))
    member = Access(database, Principal(subject="user-viewer", roles=frozenset({"viewer"}), tenant_id="t1"))
    with member.read() as connection:
        for table in tables.metadata.sorted_tables:
            if "tenant_id" in table.c:
                tenants = set(connection.execute(sa.select(table.c.tenant_id)).scalars())
                assert tenants <= {"t1"}, table.name
        assert connection.execute(sa.select(tables.automation_versions.c.id)).scalars().all() == ["v1"]
    with pytest.raises(sa.exc.ProgrammingError, match="row-level security"), member.write("t1") as connection:
        connection.execute(
            sa.insert(tables.tasks).values(
                tenant_id="t2", context_type="internal", context_id="x", kind="general_todo", title="x"
            )
        )
    database.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE memberships SET status = 'suspended' WHERE user_id = 'user-viewer'",
        "DELETE FROM memberships WHERE user_id = 'user-viewer'",
        "UPDATE memberships SET roles = '{member}' WHERE user_id = 'user-viewer'",
        "UPDATE tenants SET status = 'suspended' WHERE id = 't1'",
    ],
)
def test_a_token_ends_with_what_it_was_given_for(engine: sa.Engine, http: TestClient, change: str) -> None:
    assert http.get("/v1/automation-versions", headers=VIEWER).status_code == 200
    with engine.begin() as connection:
        connection.execute(sa.text(change))
    assert http.get("/v1/automation-versions", headers=VIEWER).status_code == 403


IDS = st.sampled_from(["v2", "v9", "a2", "wf2", "c2", "t2", "' OR '1'='1", "..", "%00", "v2%20"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(IDS, st.sampled_from(EVERYTHING), st.sampled_from(["status", "unblock", "validated", "read", "task"]))
def test_no_role_of_one_tenant_reads_or_changes_anothers(
    engine: sa.Engine, http: TestClient, row_id: str, role: str, what: str
) -> None:
    before = [dict(one) for table in (tables.automation_versions, tables.credentials) for one in rows(engine, table)]
    headers = bearer(token(role))
    answer = {
        "status": lambda: status_of(http, row_id, {"status": "Paused"}, headers),
        "unblock": lambda: http.post(f"/v1/automation-versions/{row_id}/unblock", json={}, headers=headers),
        "validated": lambda: http.post(f"/v1/credentials/{row_id}/validated", json={"event_id": "e"}, headers=headers),
        "read": lambda: http.get(f"/v1/automation-versions/{row_id}", headers=headers),
        "task": lambda: http.get("/v1/tasks", params={"automation_version_id": row_id}, headers=headers),
    }[what]()
    assert answer.status_code in (200, 403, 404, 405, 409)
    assert "Globex" not in answer.text
    assert "Lead import" not in answer.text
    after = [dict(one) for table in (tables.automation_versions, tables.credentials) for one in rows(engine, table)]
    assert after == before


# ---- rates, and what is away


def test_too_many_changes_are_told_when_to_come_back(engine: sa.Engine, redis_url: str) -> None:
    auth = AUTH.model_copy(update={"change_limit": "2/minute"})
    with running(engine, auth=auth, redis_url=redis_url) as (http, _, _platform):
        codes = [status_of(http, "v1", {"status": status}, QA).status_code for status in ("Paused", "Live", "Paused")]
        assert codes == [200, 200, 429]
        refused = status_of(http, "v1", {"status": "Paused"}, QA)
        assert 0 < int(refused.headers["retry-after"]) <= 60
        # Reading, and other people, go on.
        assert http.get("/v1/automation-versions/v1", headers=QA).status_code == 200
        assert status_of(http, "v1", {"status": "Paused"}, OPS).status_code == 200


def test_without_redis_each_process_counts_for_itself(engine: sa.Engine) -> None:
    auth = AUTH.model_copy(update={"change_limit": "1/minute"})
    with running(engine, auth=auth, redis_url="redis://127.0.0.1:1/0") as (http, _, _platform):
        codes = [status_of(http, "v1", {"status": status}, QA).status_code for status in ("Paused", "Live")]
        assert codes == [200, 429]


def test_a_database_that_is_away_is_a_503_with_a_time_to_come_back(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _platform):
        name = engine.url.database
        engine.dispose()
        admin = sa.create_engine(engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            connection.execute(
                sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
            )
            answer = http.get("/v1/automation-versions", headers=VIEWER)
            connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        admin.dispose()
    assert (answer.status_code, answer.json()["error_code"]) == (503, "database_away")
    assert int(answer.headers["retry-after"]) > 0
