"""Credit cases over HTTP and in the console: who sees them, and who does what with them (50.4)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from lifecycle.kinds import CaseStatus
from tests.api.v1_given import bearer, running, staff_token, token
from tests.lifecycle.cases_given import apply, case, holds, incident

URL = "/v1/cases"


@contextmanager
def with_case(engine: sa.Engine, severity: str = "SEV1") -> Iterator[tuple[TestClient, str]]:
    """The application, and the id of a case of tenant t1."""
    with running(engine) as (http, _, _):
        apply(engine, incident(severity))
        yield http, str(case(engine)["case_id"])


def ask(http: TestClient, method: str, path: str, *roles: str, **body: Any) -> tuple[int, Any]:
    """Ask as a member of t1 with these roles."""
    answer = http.request(method, f"{URL}{path}", json=body or None, headers=bearer(token(*roles)))
    return answer.status_code, answer.json()


def test_a_case_is_listed_and_read_with_all_that_belongs_to_it(engine: sa.Engine) -> None:
    with with_case(engine, "SEV0") as (http, case_id):
        status, page = ask(http, "GET", "", "viewer")
        assert (status, [one["case_id"] for one in page["items"]], page["next"]) == (200, [case_id], None)
        status, found = ask(http, "GET", f"/{case_id}", "viewer")
    assert status == 200
    assert (found["case"]["severity"], found["case"]["status"]) == ("SEV0", "Open")
    assert [run["execution_id"] for run in found["runs"]] == ["RUN-1"]
    assert {one["action"]: one["result"] for one in found["actions"]} == {
        "quarantine": "done",
        "block_dispatch": "done",
        "create_case": "done",
        "page_lock": "not_configured",
        "slack_escalate": "not_configured",
    }
    assert [one["kind"] for one in found["holds"]] == ["block_dispatch", "quarantine"]


def test_attempts_at_its_evidence_hygiene_task_are_read_with_it(engine: sa.Engine) -> None:
    with with_case(engine) as (http, case_id):
        ask(http, "PATCH", f"/{case_id}", "ops_qa", stage="Wave-1 Sent", wt_gate_for_automation="❌ BLOCKED")
        _, found = ask(http, "GET", f"/{case_id}", "viewer")
    (receipt,) = found["receipts"]
    said = {"outcome": "blocked", "reason": "❌ BLOCKED", "gate": "❌ BLOCKED", "task_id": None}
    assert said.items() <= receipt.items()


@pytest.mark.parametrize(
    ("query", "count"),
    [
        pytest.param("?severity=SEV1", 1, id="of its severity"),
        pytest.param("?severity=SEV0", 0, id="of another severity"),
        pytest.param("?status=Open", 1, id="of its status"),
        pytest.param("?status=Resolved", 0, id="of another status"),
        pytest.param("?tenant_id=t1", 1, id="of its tenant"),
        pytest.param("?tenant_id=t2", 0, id="of another tenant"),
        pytest.param("?tenant_id=%00", 0, id="of a tenant that nobody can be"),
    ],
)
def test_lists_are_filtered(engine: sa.Engine, query: str, count: int) -> None:
    with with_case(engine) as (http, _):
        status, page = ask(http, "GET", query, "viewer")
    assert (status, len(page["items"])) == (200, count)


def test_lists_are_read_page_by_page(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        for number in range(3):
            apply(engine, incident(execution=f"R{number}", scenario=f"S{number}"))
        _, first = ask(http, "GET", "?limit=2", "viewer")
        _, second = ask(http, "GET", f"?limit=2&cursor={first['next']}", "viewer")
        assert ask(http, "GET", "?cursor=nonsense", "viewer")[0] == 400
    assert [one["scenario"] for one in (*first["items"], *second["items"])] == ["S2", "S1", "S0"]
    assert second["next"] is None


def test_a_case_goes_its_way(engine: sa.Engine) -> None:
    with with_case(engine) as (http, case_id):
        status, answer = ask(http, "POST", f"/{case_id}/acknowledge", "ops_build")
        assert (status, answer["already_applied"], answer["case"]["acknowledged_by"]) == (200, False, "user-ops_build")
        assert holds(engine) == []
        assert ask(http, "POST", f"/{case_id}/acknowledge", "ops_build")[1]["already_applied"]
        status, answer = ask(http, "PATCH", f"/{case_id}", "ops_build", status="Investigating", version=2)
        assert (status, answer["case"]["status"]) == (200, "Investigating")
        status, answer = ask(http, "PATCH", f"/{case_id}", "ops_build", fix="x", version=2)
        assert (status, answer["error_code"]) == (409, "concurrency_conflict")
        status, answer = ask(http, "PATCH", f"/{case_id}", "ops_build", status="Open")
        assert (status, answer["error_code"]) == (409, "invalid_status_transition")
        status, answer = ask(http, "PATCH", f"/{case_id}", "ops_admin", status="Resolved")
        assert (status, [detail["field"] for detail in answer["details"]]) == (400, ["root_cause", "recurrence_notes"])
        done = {"status": "Resolved", "root_cause": "Misconfig", "recurrence_notes": "A limit. password=hunter2"}
        status, answer = ask(http, "PATCH", f"/{case_id}", "ops_admin", **done)
        assert (status, answer["case"]["status"]) == (200, "Resolved")
        assert answer["case"]["recurrence_notes"] == "A limit. password=***"
        status, answer = ask(http, "POST", f"/{case_id}/reopen", "ops_admin")
        assert (status, answer["case"]["status"]) == (201, "Open")
        assert ask(http, "GET", f"/{answer['case']['case_id']}", "viewer")[1]["reopened_from"] == case_id


@pytest.mark.parametrize(
    ("method", "path", "role", "body", "status"),
    [
        pytest.param("POST", "/acknowledge", "viewer", {}, 403, id="a viewer acknowledges nothing"),
        pytest.param("POST", "/acknowledge", "member", {}, 403, id="a member acknowledges nothing"),
        pytest.param("POST", "/acknowledge", "ops_billing", {}, 200, id="operations acknowledge"),
        pytest.param("PATCH", "", "member", {"fix": "x"}, 403, id="a member changes nothing"),
        pytest.param("PATCH", "", "ops_qa", {"fix": "x"}, 200, id="operations say what they found"),
        pytest.param(
            "PATCH",
            "",
            "ops_release",
            {"status": "Resolved", "root_cause": "Misconfig", "recurrence_notes": "x"},
            403,
            id="a SEV1 is resolved by admins alone",
        ),
        pytest.param("POST", "/release-holds", "ops_build", {}, 403, id="holds are released by admins alone"),
        pytest.param("POST", "/release-holds", "ops_admin", {}, 200, id="an admin of operations releases holds"),
        pytest.param("POST", "/release-holds", "admin", {}, 200, id="an admin releases holds"),
        pytest.param("POST", "/reopen", "ops_admin", {}, 409, id="an open case is not reopened"),
        pytest.param("PATCH", "", "admin", {"status": "Closed"}, 422, id="a status that there is not"),
        pytest.param("PATCH", "", "admin", {"stage": "x" * 121}, 422, id="a stage that is too long"),
        pytest.param("PATCH", "", "admin", {"fix": "x" * 4001}, 422, id="more than is kept"),
    ],
)
def test_roles_decide(engine: sa.Engine, method: str, path: str, role: str, body: dict[str, Any], status: int) -> None:
    with with_case(engine) as (http, case_id):
        assert ask(http, method, f"/{case_id}{path}", role, **body)[0] == status
    if status != 200:
        assert case(engine)["version"] == 1
        assert holds(engine) == [("wf1", "require_ack", None)]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "", id="read"),
        pytest.param("PATCH", "", id="change"),
        pytest.param("POST", "/acknowledge", id="acknowledge"),
        pytest.param("POST", "/release-holds", id="release"),
        pytest.param("POST", "/reopen", id="reopen"),
    ],
)
def test_a_case_of_another_tenant_is_not_there(engine: sa.Engine, method: str, path: str) -> None:
    with running(engine) as (http, _, _):
        apply(engine, incident(tenant_id="t2", workflow_id="wf2", automation_version_id="v2"))
        theirs = str(case(engine)["case_id"])
        body = {"json": {"fix": "mine"}} if method == "PATCH" else {}
        for headers in (bearer(token("admin")), bearer(staff_token("admin", tenants=["t1"]))):
            answers = [
                http.request(method, f"{URL}/{case_id}{path}", headers=headers, **body)
                for case_id in (theirs, "CASE-20260302-NOBODY")
            ]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert answers[0].json()["message"] == answers[1].json()["message"]
            assert http.get(URL, headers=headers).json()["items"] == []
        assert http.get(f"{URL}/{theirs}", headers=bearer(staff_token("admin"))).status_code == 200
    assert case(engine)["version"] == 1


def test_every_status_is_known_to_the_description(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        document = http.get("/v1/openapi.json").json()
    assert set(document["components"]["schemas"]["CaseStatus"]["enum"]) == {status.value for status in CaseStatus}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"slack_thread_url": "javascript:alert(1)"}, "slack_thread_url", id="a link that is a script"),
        pytest.param({"root_causes": "Misconfig"}, "root_causes", id="a field that a case has not"),
    ],
)
def test_what_a_case_can_not_take_is_named(engine: sa.Engine, body: dict[str, str], field: str) -> None:
    with with_case(engine) as (http, case_id):
        status, refusal = ask(http, "PATCH", f"/{case_id}", "ops_admin", **body)
    assert status == 422
    assert [detail["field"] for detail in refusal["details"]] == [f"body.{field}"]
    assert case(engine)["version"] == 1
