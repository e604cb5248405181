"""`/api/platform/blacklist`: read and changed by the platform's admins, and by nobody else (40.4)."""

from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from lifecycle import tables
from tests.api.v1_given import EVERYTHING, bearer, running, staff_token, token
from tests.lifecycle.breaker_given import put_on, take_off
from tests.lifecycle.given import row, rows
from tests.lifecycle.guard_given import apply
from tests.sinks.given import blacklists

PATH = "/api/platform/blacklist"
ADMIN = bearer(staff_token("platform_admin"))


def add(http: TestClient, workflow_id: str = "wf1", reason: str = "It writes twice.", **more: Any) -> Any:
    """Ask to put a workflow on the list."""
    return http.post(PATH, headers=ADMIN, json={"workflow_id": workflow_id, "reason": reason, **more})


def remove(http: TestClient, workflow_id: str = "wf1", body: dict[str, Any] | None = None) -> Any:
    """Ask to take it off."""
    return http.request("DELETE", f"{PATH}/{workflow_id}", headers=ADMIN, json=body)


def test_add_show_remove_and_add_again(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        added, again = add(http), add(http, reason="Another.")
        listed = http.get(PATH, headers=ADMIN).json()
        removed = remove(http, body={"note": "Mended."})
        gone = http.get(PATH, headers=ADMIN).json()
        anew = add(http, reason="It does it again.")
        shown = http.get(f"{PATH}/wf1", headers=ADMIN).json()
    assert (added.status_code, again.status_code, removed.status_code, anew.status_code) == (201, 200, 200, 201)
    assert added.json() == again.json()
    wanted = {
        "tenant_id": "t1",
        "tenant_name": "Acme",
        "workflow_id": "wf1",
        "workflow_name": "Nightly invoices",
        "source": "manual",
        "reason": "manual:It writes twice.",
        "blacklisted_by": "u9",
        "removed_at": None,
    }
    assert listed == {"items": [added.json()["active"]], "next": None}
    assert {name: listed["items"][0][name] for name in wanted} == wanted
    assert removed.json()["active"] is None
    (before,) = removed.json()["history"]
    assert (before["removed_by"], before["removal_note"], before["removal_source"]) == ("u9", "Mended.", "manual")
    assert gone["items"] == []
    assert (shown["active"]["reason"], shown["history"]) == ("manual:It does it again.", [before])
    assert len(rows(engine, tables.outbox_events, type="workflow_released")) == 1


def test_what_the_breaker_did_is_shown_and_can_be_undone(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        apply(engine, [blacklists("x1", "x2", "x3")])
        shown = http.get(f"{PATH}/wf1", headers=ADMIN).json()["active"]
        assert remove(http).status_code == 200
        assert remove(http).status_code == 404
    assert (shown["source"], shown["stuck_count"], shown["window_seconds"]) == ("auto", 3, 3600)
    assert shown["execution_ids"] == ["x1", "x2", "x3"]
    assert row(engine, tables.workflow_blacklist)["removal_note"] is None


def test_pages_hold_every_row_once(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        for _ in range(5):
            put_on(engine)
            take_off(engine)
        put_on(engine, "wf2", "t2")
        seen, cursor = [], None
        for _ in range(3):
            query = {"active": "false", "limit": "2"} | ({} if cursor is None else {"cursor": cursor})
            page = http.get(PATH, headers=ADMIN, params=query).json()
            seen += [one["id"] for one in page["items"]]
            cursor = page["next"]
        of_t1 = http.get(PATH, headers=ADMIN, params={"tenant_id": "t1"}).json()
    assert (len(seen), len(set(seen)), cursor) == (5, 5, None)
    assert of_t1["items"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"workflow_id": "nothing", "reason": "x"}, 404, id="a workflow that nobody knows"),
        pytest.param(
            {"workflow_id": "wf1", "reason": "x", "tenant_id": "t2"}, 404, id="the workflow of another tenant"
        ),
        pytest.param({"workflow_id": "wf1", "reason": ""}, 422, id="no reason"),
        pytest.param({"workflow_id": "wf1", "reason": "   "}, 422, id="a reason of blanks"),
        pytest.param({"workflow_id": "wf1", "reason": "x" * 501}, 422, id="a reason that is too long"),
        pytest.param({"workflow_id": "wf1", "reason": "a\x00b"}, 422, id="a reason that can't be stored"),
        pytest.param({"workflow_id": "wf1"}, 422, id="no field for the reason"),
        pytest.param({"workflow_id": "", "reason": "x"}, 422, id="no workflow"),
        pytest.param({"workflow_id": "wf1", "reason": "x", "source": "auto"}, 422, id="a field that is the server's"),
    ],
)
def test_what_can_t_be_added_changes_nothing(engine: sa.Engine, body: dict[str, Any], status: int) -> None:
    with running(engine) as (http, _, _):
        answer = http.post(PATH, headers=ADMIN, json=body)
    assert answer.status_code == status
    assert {"error_code", "message", "details", "request_id"} == answer.json().keys()
    assert rows(engine, tables.workflow_blacklist) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("GET", "/wf1", None, 200, id="a workflow that never was on the list"),
        pytest.param("GET", "/nothing", None, 404, id="a workflow that nobody knows"),
        pytest.param("GET", "?limit=201", None, 422, id="more than a page holds"),
        pytest.param("GET", "?cursor=nonsense", None, 400, id="a cursor of no list"),
        pytest.param("DELETE", "/wf1", {"note": "x"}, 404, id="a workflow that is not on the list"),
        pytest.param("DELETE", "/wf1", {"note": "x" * 501}, 422, id="a note that is too long"),
    ],
)
def test_other_answers(engine: sa.Engine, method: str, path: str, body: dict[str, Any] | None, status: int) -> None:
    with running(engine) as (http, _, _):
        assert http.request(method, f"{PATH}{path}", headers=ADMIN, json=body).status_code == status


def test_rows_of_two_tenants_with_one_id_must_be_told_apart(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        put_on(engine)
        put_on(engine, "wf1", "t2")  # as if the workflow had been that tenant's before
        unclear = remove(http)
        told = remove(http, body={"tenant_id": "t2"})
        left = remove(http)
    assert (unclear.status_code, unclear.json()["details"][0]["code"]) == (409, "tenant_id_required")
    assert (told.status_code, left.status_code) == (200, 200)


def test_nobody_else_may(engine: sa.Engine) -> None:
    asking = {
        "nobody": ({}, 401),
        "who has a bad token": (bearer("x.y.z"), 401),
        "a member with all roles of a tenant": (bearer(token(*EVERYTHING)), 403),
        "operations of all tenants": (bearer(staff_token("ops_admin")), 403),
        "a service": (bearer(staff_token("service", subject="service:engine")), 403),
    }
    with running(engine) as (http, _, _):
        put_on(engine)
        for who, (headers, status) in asking.items():
            for method, path, body in (
                ("GET", "", None),
                ("GET", "/wf1", None),
                ("POST", "", {"workflow_id": "wf1", "reason": "x"}),
                ("DELETE", "/wf1", {"note": "x"}),
            ):
                answer = http.request(method, f"{PATH}{path}", headers=headers, json=body)
                assert answer.status_code == status, (who, method, path)
    assert row(engine, tables.workflow_blacklist)["removed_at"] is None


def test_an_admin_of_some_tenants_sees_and_changes_theirs_alone(engine: sa.Engine) -> None:
    headers = bearer(staff_token("platform_admin", tenants=["t2"]))
    with running(engine) as (http, _, _):
        put_on(engine)
        assert http.get(PATH, headers=headers).json()["items"] == []
        assert http.get(f"{PATH}/wf1", headers=headers).status_code == 404
        assert http.request("DELETE", f"{PATH}/wf1", headers=headers).status_code == 404
        assert http.post(PATH, headers=headers, json={"workflow_id": "wf1", "reason": "x"}).status_code == 404
        mine = http.post(PATH, headers=headers, json={"workflow_id": "wf2", "reason": "x"})
    assert mine.status_code == 201
