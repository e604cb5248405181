"""The console's pages of credit cases: what they show, who works on a case, and what forms do (50.4)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from lifecycle import tables
from lifecycle.options import LifecycleOptions
from tests.api.console_given import signed_in
from tests.api.given import form_token
from tests.api.test_console import text_of
from tests.api.v1_given import running, staff_token, token
from tests.lifecycle.cases_given import apply, case, holds, incident
from tests.lifecycle.given import row

PAGE = "/console/cases"
RESOLUTION = {"status": "Resolved", "root_cause": "Misconfig", "recurrence_notes": "The iterator has a limit."}


@contextmanager
def with_case(engine: sa.Engine, severity: str = "SEV0") -> Iterator[tuple[TestClient, str]]:
    """The application, and the page of a case of tenant t1."""
    with running(engine) as (http, _, _):
        apply(engine, incident(severity, flags=("pii_exposure",)), options=LifecycleOptions())
        yield http, f"{PAGE}/{case(engine)['case_id']}"


def send(client: TestClient, address: str, form: str, **fields: str) -> tuple[int, str]:
    """Send a form of a case's page; the status, and the text of the page that comes of it."""
    data = {"form_token": form_token(client.get(PAGE).text), **fields}
    response = client.post(f"{address}/{form}", data=data)
    if response.status_code == 303:
        return 303, text_of(client.get(response.headers["location"]).text)
    return response.status_code, text_of(response.text)


def test_a_case_is_shown_with_its_run_what_was_done_and_what_it_holds_back(engine: sa.Engine) -> None:
    with with_case(engine) as (http, address), signed_in(http, token("viewer")) as client:
        listed = text_of(client.get(PAGE).text)
        html = client.get(address).text
        decision = f"/console/decisions/{row(engine, tables.credit_case_runs)['decision_id']}"
        behind = client.get(decision).text
    assert "SEV0 · PII exposure · BINDER_EXPORT" in listed
    assert "to be acknowledged" in listed
    page = text_of(html)
    assert "At the stage “Wave-1 Sent” the evidence is to be checked: with the gate “✅ ALLOWED”" in page
    assert "What it holds back What the run asks for: RUN-1" in page
    assert "All runs of the workflow: wf1" in page
    assert "Lock the page Not set up" in page
    assert "Start nothing that the run asks for Done" in page
    assert "SEV0: 2,480 credits primary in quarantine" in page
    assert f'href="{decision}"' in html
    assert f'href="{address}"' in behind, "and back to the case"


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        pytest.param("https://www.notion.so/1", True, id="a page"),
        pytest.param("javascript:alert(1)", False, id="no address of a page"),
        pytest.param(None, False, id="no page yet"),
    ],
)
def test_a_case_leads_to_its_page_in_notion(engine: sa.Engine, url: str | None, linked: bool) -> None:
    with with_case(engine) as (http, address), signed_in(http, token("viewer")) as client:
        with engine.begin() as connection:
            page = {"kind": "case", "tenant_id": "t1", "object_id": case(engine)["id"], "url": url}
            connection.execute(sa.insert(tables.notion_pages).values(page))
        html = client.get(address).text
    assert (f'href="{url}"' in html) is linked
    assert ("Notion page" in text_of(html)) is linked


@pytest.mark.parametrize(
    ("credits_total", "shown"),
    [
        pytest.param(0.25, "0.25", id="less than one"),
        pytest.param(1200.5, "1,200.5", id="a part of one"),
        pytest.param(1e300, f"{10**300:,}"[:20], id="more digits than a decimal usually has"),
    ],
)
def test_any_amount_is_shown_as_it_is(engine: sa.Engine, credits_total: float, shown: str) -> None:
    with running(engine) as (http, _, _):
        apply(engine, incident("SEV1", observed={"credits_total": credits_total, "variance_multiplier": 7.75}))
        with signed_in(http, token("viewer")) as client:
            page = text_of(client.get(f"{PAGE}/{case(engine)['case_id']}").text)
    assert f"SEV1: {shown}" in page


def test_a_case_is_worked_on_until_it_is_resolved(engine: sa.Engine) -> None:
    with with_case(engine) as (http, address), signed_in(http, staff_token("ops_admin")) as client:
        assert send(client, address, "acknowledge")[0] == 303
        assert "That was done already." in send(client, address, "acknowledge")[1]
        status, page = send(client, address, "change", status="Investigating", version=str(case(engine)["version"]))
        assert (status, "SEV0 Investigating since" in page) == (303, True)
        stale = send(client, address, "change", version="1", fix="x")
        assert (stale[0], "Nothing was done. The case was changed meanwhile" in stale[1]) == (409, True)
        version = str(case(engine)["version"])
        status, page = send(client, address, "change", status="Resolved", version=version)
        assert (status, "Say why it happened. Say how it is kept from happening again." in page) == (400, True)
        status, page = send(client, address, "change", version=version, **RESOLUTION)
        assert (status, "SEV0 Resolved since" in page, "The iterator has a limit." in page) == (303, True, True)
        assert holds(engine) == []
        assert "No case is open." in text_of(client.get(PAGE).text)
        status, page = send(client, address, "reopen")
        assert (status, f"Goes on from {address.rsplit('/', 1)[-1]}" in page) == (303, True)


def test_what_was_typed_is_kept_when_the_form_is_refused(engine: sa.Engine) -> None:
    with with_case(engine) as (http, address), signed_in(http, staff_token("ops_admin")) as client:
        data = {"form_token": form_token(client.get(PAGE).text), "version": "1", "status": "Resolved"}
        html = client.post(f"{address}/change", data={**data, "recurrence_notes": "A limit on items"}).text
    assert re.search(r'name="recurrence_notes"[^>]*>A limit on items</textarea>', html)


def test_what_a_form_leaves_out_stays_as_it_is(engine: sa.Engine) -> None:
    with with_case(engine) as (http, address), signed_in(http, staff_token("ops_admin")) as client:
        send(client, address, "change", version="1", fix="A limit", root_cause="", recurrence_notes="")
        send(client, address, "change", version="2", stage="Wave-1 Sent", wt_gate_for_automation="✅ ALLOWED")
    found = case(engine)
    assert (found["fix"], found["stage"], found["wt_gate_for_automation"]) == ("A limit", "Wave-1 Sent", "✅ ALLOWED")
    assert found["root_cause"] is None


def test_attempts_at_its_evidence_hygiene_task_are_shown_with_what_came_of_them(engine: sa.Engine) -> None:
    with with_case(engine) as (http, address), signed_in(http, staff_token("ops_admin")) as client:
        assert "Evidence hygiene" not in text_of(client.get(address).text)
        send(client, address, "change", version="1", stage="Wave-1 Sent", wt_gate_verdict="a name is missing")
        send(client, address, "change", version="2", stage="Draft", wt_gate_for_automation="✅ ALLOWED")
        _, page = send(client, address, "change", version="3", stage="Wave-1 Sent")
    attempts = re.search(r"Evidence hygiene Attempt .* When (.*) Runs ", page)
    assert attempts is not None
    created, blocked = re.split(r" (?=Blocked)", attempts.group(1))
    assert created.startswith("Created ✅ ALLOWED —")
    assert blocked.startswith("Blocked — a name is missing")


@pytest.mark.parametrize(
    ("link", "status"),
    [
        pytest.param("https://acme.slack.com/archives/C01/p1700000000000001", 303, id="a page"),
        pytest.param("javascript:alert(1)", 400, id="a script"),
        pytest.param("https://acme.slack.com/\nx", 400, id="two lines"),
    ],
)
def test_a_case_links_to_where_it_is_talked_about(engine: sa.Engine, link: str, status: int) -> None:
    with with_case(engine) as (http, address), signed_in(http, staff_token("ops_admin")) as client:
        assert send(client, address, "change", version="1", slack_thread_url=link)[0] == status
        html = client.get(address).text
    assert (f'<a href="{link}" rel="noreferrer noopener">thread</a>' in html) == (status == 303)
    assert case(engine)["slack_thread_url"] == (link if status == 303 else None)


@pytest.mark.parametrize(
    ("role", "acknowledges", "resolves", "releases"),
    [
        pytest.param("ops_admin", True, True, True, id="operations' admins do everything"),
        pytest.param("ops_qa", True, False, False, id="operations work on it"),
        pytest.param("viewer", False, False, False, id="viewers look"),
        pytest.param("platform_admin", False, False, False, id="platform admins look"),
    ],
)
def test_roles_decide_what_can_be_done(
    engine: sa.Engine, role: str, acknowledges: bool, resolves: bool, releases: bool
) -> None:
    with with_case(engine) as (http, address), signed_in(http, staff_token(role)) as client:
        html = client.get(address).text
        assert (f'action="{address}/acknowledge"' in html) is acknowledges
        assert ('value="Resolved"' in html) is resolves
        assert (f'action="{address}/release-holds"' in html) is releases
        assert (send(client, address, "change", version="1", **RESOLUTION)[0] == 303) is resolves
        assert (send(client, address, "release-holds")[0] == 303) is releases
        assert (holds(engine) == []) is releases


@pytest.mark.parametrize(
    ("address", "status"),
    [
        pytest.param(f"{PAGE}/CASE-20260302-NOBODY", 404, id="no such case"),
        pytest.param(f"{PAGE}?severity=SEV9", 400, id="no such severity"),
        pytest.param(f"{PAGE}?cursor=x", 400, id="no cursor"),
        pytest.param(f"{PAGE}?status=Resolved", 200, id="resolved ones"),
    ],
)
def test_what_there_is_not_is_said(engine: sa.Engine, address: str, status: int) -> None:
    with with_case(engine) as (http, _), signed_in(http, token("viewer")) as client:
        assert client.get(address).status_code == status


def test_a_case_of_another_tenant_is_not_there(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        apply(engine, incident(tenant_id="t2", workflow_id="wf2", automation_version_id="v2"))
        address = f"{PAGE}/{case(engine)['case_id']}"
        with signed_in(http, token("admin")) as client:
            assert client.get(address).status_code == 404
            assert "No case is open." in text_of(client.get(PAGE).text)
            assert send(client, address, "acknowledge")[0] == 404
    assert case(engine)["acknowledged_at"] is None


def test_a_form_without_its_token_changes_nothing(engine: sa.Engine) -> None:
    with with_case(engine) as (http, address), signed_in(http, staff_token("ops_admin")) as client:
        assert client.post(f"{address}/acknowledge", data={}).status_code == 403
    assert case(engine)["acknowledged_at"] is None
