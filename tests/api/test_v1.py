"""The API's own rules on a world of two tenants; what transitions ask for is tested with the lifecycle."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from lifecycle import tables
from lifecycle.automations import list_versions
from lifecycle.capabilities import Role
from lifecycle.errors import ErrorCode
from lifecycle.kinds import AccountStatus
from tests.api.v1_given import AUTH, bearer, given_block, running, staff_token, token
from tests.lifecycle.given import rows, version

V1 = "/v1/automation-versions/v1"
ADMIN = Role.ADMIN.value


def patch(client: TestClient, role: str, path: str = V1, headers: dict[str, str] | None = None, **body: Any) -> Any:
    """Ask for a status as a role."""
    return client.patch(f"{path}/status", json=body, headers=bearer(token(role)) | (headers or {}))


def error(answer: Any) -> tuple[int, str]:
    """Status and code, of a refusal in the one form."""
    body = answer.json()
    assert set(body) == {"error_code", "message", "details", "request_id"}, body
    return answer.status_code, body["error_code"]


def test_a_pause_and_a_resume_answer_with_the_state_after_them(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        before = client.get(V1, headers=bearer(token("viewer")))
        paused = patch(client, ADMIN, status="Paused", reason="Holidays", tenant_id="t2", project_id="p9")
        again = patch(client, ADMIN, status="Paused", last_known_status="Live")
        back = patch(client, ADMIN, status="Live", headers={"If-Match": paused.headers["ETag"]})
        history = client.get(f"{V1}/history", headers=bearer(token("viewer"))).json()
    body = paused.json()
    assert (paused.status_code, body["already_applied"]) == (200, False)
    assert (body["automation_version"]["status"], body["automation_version"]["tenant_id"]) == ("Paused", "t1")
    assert body["project"]["id"] == "p1"
    assert paused.headers["ETag"] not in ("", before.headers["ETag"])
    assert (again.status_code, again.json()["already_applied"]) == (200, True), "with stale hints too"
    assert back.json()["automation_version"]["status"] == "Live"
    assert [step["to_status"] for step in history["items"]] == ["Live", "Paused", "Live"]


@pytest.mark.parametrize(
    ("role", "body", "expected"),
    [
        pytest.param(ADMIN, {"status": "Flying"}, (400, "unknown_status"), id="a status that is none"),
        pytest.param(ADMIN, {"status": "Needs Pricing"}, (409, "invalid_status_transition"), id="pricing's status"),
        pytest.param(ADMIN, {"status": "Blocked"}, (400, "blocked_reason_required"), id="a block without a reason"),
        pytest.param("viewer", {"status": "Paused"}, (403, "forbidden"), id="a viewer who wants a pause"),
        pytest.param(ADMIN, {}, (422, "malformed"), id="a body without a status"),
        pytest.param(ADMIN, {"status": 7}, (422, "malformed"), id="a status that is a number"),
        pytest.param(
            ADMIN, {"status": "Paused", "last_known_status": "Blocked"}, (409, "concurrency_conflict"), id="an old hint"
        ),
    ],
)
def test_a_request_is_refused_for(
    engine: sa.Engine, role: str, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    with running(engine) as (client, _, _platform):
        assert error(patch(client, role, **body)) == expected
    assert version(engine)["status"] == "Live"


def test_a_version_changed_since_the_etag_is_a_conflict(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        for old in ('"2020-01-01T00:00:00+00:00"', '"nonsense"', 'W/"2020-01-01T00:00:00"'):
            answer = patch(client, ADMIN, status="Paused", headers={"If-Match": old})
            assert error(answer) == (409, "concurrency_conflict"), old
        assert patch(client, ADMIN, status="Paused", headers={"If-Match": "*"}).status_code == 200


def test_who_has_no_good_token_is_told_nothing(engine: sa.Engine) -> None:
    expired = jwt.encode(
        {
            "iss": "breakwater", "aud": "breakwater", "sub": "u1", "tenant_id": "t1", "roles": [ADMIN],
            "iat": datetime.now(UTC) - timedelta(hours=2), "exp": datetime.now(UTC) - timedelta(hours=1),
        },
        AUTH.development_key.get_secret_value() if AUTH.development_key else "",
        "HS256",
    )  # fmt: skip
    with running(engine) as (client, _, _platform):
        answers = [
            client.patch(f"{V1}/status", json={"status": "Paused"}, headers=headers)
            for headers in (
                {},
                {"Authorization": "Bearer"},
                {"Authorization": f"Basic {token(ADMIN)}"},
                bearer("nonsense"),
                bearer(expired),
                bearer("wrk_api_0123456789"),
                bearer(f"wrk_api_{token(ADMIN)}"),
            )
        ]
    assert {error(answer) for answer in answers} == {(401, "unauthenticated")}
    assert len({answer.json()["message"] for answer in answers}) == 1
    assert all(answer.headers["WWW-Authenticate"] == "Bearer" for answer in answers)
    assert version(engine)["status"] == "Live"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE memberships SET status = 'suspended' WHERE user_id = 'user-admin'", id="membership ended"),
        pytest.param("UPDATE memberships SET roles = '{viewer}' WHERE user_id = 'user-admin'", id="role taken away"),
        pytest.param("UPDATE tenants SET status = 'suspended' WHERE id = 't1'", id="tenant inactive"),
    ],
)
def test_a_token_is_worth_no_more_than_the_membership(engine: sa.Engine, statement: str) -> None:
    with running(engine) as (client, _, _platform):
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
        assert error(patch(client, ADMIN, status="Paused")) == (403, "forbidden")
        assert error(client.get(V1, headers=bearer(token(ADMIN)))) == (403, "forbidden")


def test_what_is_not_there_and_what_is_used_wrongly_is_said_in_the_same_form(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        headers = bearer(token(ADMIN))
        assert error(client.get("/v1/nothing", headers=headers)) == (404, "not_found")
        assert error(client.delete("/v1/tasks", headers=headers)) == (405, "method_not_allowed")
        assert error(client.get("/v1/tasks?cursor=x", headers=headers)) == (400, "bad_cursor")
        assert error(client.get("/v1/tasks?limit=0", headers=headers)) == (422, "malformed")
        broken = client.patch(f"{V1}/status", content=b"{", headers=headers | {"Content-Type": "application/json"})
        assert error(broken) == (422, "malformed")
        assert error(client.patch(f"{V1}/status", content=b" " * 100_000, headers=headers))[0] == 413


def test_one_request_too_many_is_told_how_long_to_wait(engine: sa.Engine) -> None:
    with running(engine, auth=AUTH.model_copy(update={"user_limit": "3/hour"})) as (client, _, _platform):
        answers = [client.get(V1, headers=bearer(token("viewer"))) for _ in range(4)]
        other = client.get(V1, headers=bearer(token("member")))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert error(answers[-1]) == (429, "rate_limited")
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 3600
    assert other.status_code == 200, "somebody else has a rate of their own"


def test_rates_are_counted_here_while_redis_is_away(engine: sa.Engine) -> None:
    auth = AUTH.model_copy(update={"user_limit": "2/hour"})
    with running(engine, auth=auth, redis_url="redis://127.0.0.1:1/0") as (client, _, _platform):
        answers = [client.get(V1, headers=bearer(token("viewer"))) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b'{"operation": 7}', id="no such request"),
        pytest.param(b'{"operation": "\xff"}', id="no UTF-8"),
    ],
)
def test_a_body_that_is_none_is_told_only_to_those_who_are_let_in(engine: sa.Engine, body: bytes) -> None:
    path = f"/v1/tasks/{uuid4()}"
    json = {"Content-Type": "application/json"}
    with running(engine) as (client, _, _platform):
        strangers = [client.patch(path, content=body, headers={**json, **who}) for who in ({}, bearer("none"))]
        member = client.patch(path, content=body, headers={**json, **bearer(token("ops_qa"))})
    assert [error(answer) for answer in strangers] == [(401, "unauthenticated")] * 2
    assert member.status_code in (400, 422)


def test_a_malformed_request_counts_once_for_the_rate(engine: sa.Engine) -> None:
    auth = AUTH.model_copy(update={"user_limit": "2/hour"})
    headers = bearer(token("viewer")) | {"Content-Type": "application/json"}
    with running(engine, auth=auth) as (client, _, _platform):
        answers = [client.patch(f"/v1/tasks/{uuid4()}", content=body, headers=headers) for body in (b"{", b"{}", b"{")]
    assert [answer.status_code for answer in answers] == [422, 422, 429]


def test_a_task_is_assigned_to_a_member_of_its_tenant_alone(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        given_block(engine)
        with engine.begin() as connection:
            connection.execute(
                sa.update(tables.memberships)
                .where(tables.memberships.c.user_id == "user-viewer")
                .values(status=AccountStatus.SUSPENDED)
            )
        ops = bearer(token("ops_qa"))
        (task,) = client.get("/v1/tasks", headers=ops).json()["items"]
        path, wanted = f"/v1/tasks/{task['id']}", {"operation": "assign", "version": task["version"]}
        strangers = ("u9", "nobody", "user-viewer")
        refused = [client.patch(path, json={**wanted, "assignee_user_id": who}, headers=ops) for who in strangers]
        given = client.patch(path, json={**wanted, "assignee_user_id": "user-member"}, headers=ops)
        again = {**wanted, "version": given.json()["task"]["version"], "assignee_user_id": "u9"}
        taken = client.patch(path, json=again, headers=bearer(staff_token("ops_qa")))
    assert [error(answer) for answer in refused] == [(422, "assignee_not_a_member")] * 3
    assert refused[0].json()["details"][0]["field"] == "assignee_user_id"
    assert given.json()["task"]["assignee_user_id"] == "user-member"
    assert taken.json()["task"]["assignee_user_id"] == "u9", "staff are no members, and take tasks themselves"


def test_tasks_are_done_and_then_the_unblock_is_offered(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        given_block(engine)
        ops = bearer(token("ops_qa"))
        (task,) = client.get("/v1/tasks", headers=ops).json()["items"]
        path = f"/v1/tasks/{task['id']}"
        refused = client.patch(
            path, json={"operation": "claim", "version": task["version"]}, headers=bearer(token("viewer"))
        )
        claimed = client.patch(path, json={"operation": "claim", "version": task["version"]}, headers=ops)
        stale = client.patch(path, json={"operation": "complete", "version": task["version"]}, headers=ops)
        early = client.post(f"{V1}/unblock", json={}, headers=ops)
        done = client.patch(
            path, json={"operation": "complete", "version": claimed.json()["task"]["version"]}, headers=ops
        )
        unblocked = client.post(f"{V1}/unblock", json={}, headers=ops)
    assert error(refused) == (403, "forbidden")
    assert claimed.json()["task"]["assignee_user_id"] == "user-ops_qa"
    assert claimed.json()["unblock_offered"] is None
    assert error(stale) == (409, "concurrency_conflict")
    assert error(early) == (400, "status_prerequisite_missing")
    assert early.json()["details"]
    assert done.json()["unblock_offered"] == "v1"
    assert unblocked.json()["automation_version"]["status"] == "Live"


def test_a_validated_credential_ends_the_block(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        given_block(engine)
        ops = bearer(token("ops_admin"))
        answer = client.post("/v1/credentials/c1/validated", json={"event_id": "e1"}, headers=ops)
        listed = client.get("/v1/credentials", headers=ops).json()["items"]
    assert answer.json()["unblocked"] == ["v1"]
    assert [(one["id"], one["status"]) for one in listed] == [("c1", "active")]
    assert version(engine)["status"] == "Live"


def test_staff_act_in_the_tenant_that_owns_the_row_and_that_is_audited(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        one = bearer(staff_token(ADMIN, tenants=["t2"]))
        allowed = client.patch("/v1/automation-versions/v2/status", json={"status": "Paused"}, headers=one)
        foreign = client.patch(f"{V1}/status", json={"status": "Paused"}, headers=one)
        listed = client.get("/v1/automation-versions", headers=one).json()["items"]
        looked = client.get(V1, headers=bearer(staff_token("viewer")))
        incidents = client.get("/v1/provider-incidents", headers=one)
    assert allowed.json()["automation_version"]["tenant_id"] == "t2"
    assert error(foreign) == (404, ErrorCode.AUTOMATION_VERSION_NOT_FOUND)
    assert [item["id"] for item in listed] == ["v2"]
    assert looked.status_code == 200
    audited = rows(engine, tables.audit_logs, action_type="staff_access")
    assert {row["tenant_id"] for row in audited} == {"t1", "t2"}
    assert {row["actor"] for row in audited} == {"u9"}
    assert incidents.json()["items"] == []


def test_the_database_hides_other_tenants_from_a_query_without_a_filter(engine: sa.Engine) -> None:
    """The route's query names no tenant at all: without row-level security it would list both."""
    with engine.connect() as connection, running(engine) as (client, _, _platform):
        mine = client.get("/v1/automation-versions", headers=bearer(token("viewer"))).json()["items"]
        everything, _next = list_versions(connection)
    assert [item["id"] for item in mine] == ["v1"]
    assert [one.id for one in everything] == ["v1", "v2"]


def test_the_audit_log_and_the_transitions_are_readable(engine: sa.Engine) -> None:
    with running(engine) as (client, _, _platform):
        patch(client, ADMIN, status="Paused", reason="Holidays")
        audit = client.get("/v1/audit?limit=2", headers=bearer(token("viewer"))).json()
        moves = client.get(f"{V1}/transitions", headers=bearer(token("viewer"))).json()["items"]
    assert {row["action_type"] for row in audit["items"]} >= {"pause_workflow"}
    assert {move["target"]: move["allowed"] for move in moves}["Live"] is False


def test_the_description_is_open_and_names_every_route(engine: sa.Engine) -> None:
    with running(engine) as (_, v1, _platform):
        paths = v1.openapi()["paths"]
    assert len(paths) >= 16
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert {"401", "403", "404", "409", "422", "429", "503"} <= set(operation["responses"]), (path, method)
            assert operation["security"], (path, method)
