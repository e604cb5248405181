"""The console's pages of automations: who sees what, what can be done, and what is refused kindly."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from api.console import automations as automation_pages
from lifecycle import tables
from lifecycle.seed import seed
from tests.api.console_given import signed_in
from tests.api.given import HOSTILE, browser, form_token
from tests.api.test_console import text_of
from tests.api.v1_given import given_block, running, staff_token, token
from tests.lifecycle.given import given_world, rows, version

PAGE = "/console/automations/v1"


def ways(html: str) -> dict[str, str | None]:
    """What can be done, by its heading; and why not, None where it can."""
    found = {}
    for way in re.findall(r'<section class="way".*?</section>', html, re.DOTALL):
        label = re.search(r"<h3[^>]*>(.*?)</h3>", way)
        why_not = re.search(r'class="why-not"[^>]*>(.*?)</p>', way)
        assert label is not None
        assert (why_not is not None) is ("<button disabled" in way)
        found[label[1]] = None if why_not is None else unescape(why_not[1])
    return found


def send(client: TestClient, action: str, page: str = PAGE, **fields: str) -> tuple[int, str]:
    """Send one of the page's forms; the status, and the text of the page that comes of it."""
    html = client.get(page).text
    changed = re.search(r'<dt>Last changed</dt><dd><time datetime="([^"]+)"', html)
    assert changed is not None
    data = {"form_token": form_token(html), "updated_at": changed[1], **fields}
    answer = client.post(f"{page}/{action}", data=data)
    if answer.status_code == 303:
        return 303, text_of(client.get(answer.headers["location"]).text)
    return answer.status_code, text_of(answer.text)


def test_a_version_shows_why_it_is_blocked_and_how_it_came_there(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("ops_qa")) as client:
        given_block(engine)
        page = text_of(client.get(PAGE).text)
    assert "Invoice sync version 1" in page
    assert "Blocked since 2" in page
    assert "Credentials: The credentials for Salesforce are invalid or have expired." in page
    assert "When the block ends, it is Live again." in page
    assert "Tenant Acme" in page
    assert "Workflow wf1 active" in page
    assert "Project p1 Live" in page
    assert "High Renew the credentials for Salesforce Unclaimed" in page
    assert "Blocked for credentials : Live → Blocked Breakwater, by itself" in page
    assert "missing All tasks of the block are complete Tasks of the block that are still open: 1." in page
    assert "Credential c1 for Salesforce was not seen to work since the block." in page


_ROLES = "Your roles do not allow this. It takes "


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        pytest.param("viewer", {"Pause": False, "Block": False, "Archive": False}, id="a viewer may do nothing"),
        pytest.param("workflows_write", {"Pause": True, "Block": False, "Archive": False}, id="who writes may pause"),
        pytest.param("ops_qa", {"Pause": True, "Block": True, "Archive": False}, id="QA may not archive"),
        pytest.param("ops_release", {"Pause": False, "Block": True, "Archive": True}, id="release may not pause"),
        pytest.param("admin", {"Pause": True, "Block": True, "Archive": True}, id="an admin may do it all"),
    ],
)
def test_roles_decide_what_is_switched_on_and_the_rest_says_why(
    engine: sa.Engine, role: str, expected: dict[str, bool]
) -> None:
    with running(engine) as (http, _, _), signed_in(http, token(role)) as client:
        shown = ways(client.get(PAGE).text)
    assert {label: why_not is None for label, why_not in shown.items()} == expected
    assert all(why_not.startswith(_ROLES) for why_not in shown.values() if why_not)


def test_what_is_switched_off_is_refused_all_the_same(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("viewer")) as client:
        data = {
            "form_token": form_token(client.get(PAGE).text),
            "updated_at": version(engine)["updated_at"].isoformat(),
            "reason": "I want to",
        }
        for target in ("Paused", "Blocked", "Archived"):
            answer = client.post(f"{PAGE}/move", data={**data, "status": target})
            assert answer.status_code == 403
            assert "Your roles do not allow this." in answer.text
        assert client.post(f"{PAGE}/unblock", data={**data, "mode": "override"}).status_code == 303  # nothing to do
    assert version(engine)["status"] == "Live"


def test_the_owner_may_pause_what_is_theirs(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("viewer")) as client:
        with engine.begin() as connection:
            connection.execute(sa.update(tables.automations).values(owner_user_id="user-viewer"))
        assert ways(client.get(PAGE).text)["Pause"] is None
        assert send(client, "move", status="Paused")[0] == 303
    assert version(engine)["status"] == "Paused"


def test_pause_resume_block_and_archive(engine: sa.Engine) -> None:
    with running(engine) as (http, _, platform), signed_in(http, token("admin")) as client:
        status, page = send(client, "move", status="Paused", reason="A quiet weekend")
        assert (status, "Done. This is how it stands now. Automations / Invoice sync" in page) == (303, True)
        assert "Paused : Live → Paused user-admin" in page
        assert send(client, "move", status="Live")[0] == 303
        status, page = send(client, "move", status="Blocked", reason="The ledger is being moved")
        assert "By hand: The ledger is being moved" in page
        assert "Put right why “Invoice sync” is blocked" in page
        status, page = send(client, "move", status="Archived")
        assert "Archived since" in page
        assert "Nothing leads on from here." in page
    assert version(engine)["status"] == "Archived"
    assert platform.workflows["wf1"] == "inactive"
    audit = rows(engine, tables.audit_logs, actor="user-admin")
    assert {row["invoked_via"] for row in audit} == {"console"}


def test_a_block_without_a_reason_is_refused(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("ops_qa")) as client:
        status, page = send(client, "move", status="Blocked", reason="   ")
        assert (status, "Nothing was done. Say why the version is blocked." in page) == (400, True)
    assert version(engine)["status"] == "Live"


def test_what_was_typed_is_kept_in_the_form_that_was_refused_and_in_no_other(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("admin")) as client:
        data = {
            "form_token": form_token(client.get(PAGE).text),
            "updated_at": "2026-03-02T08:00:00Z",
            "status": "Blocked",
            "reason": "<b>since & then</b>",
        }
        answer = client.post(f"{PAGE}/move", data=data)
        assert answer.status_code == 409
        filled = re.findall(
            r'name="status" value="(\w+)">(?:(?!</form>).)*?<textarea[^>]*>([^<]*)<', answer.text, re.DOTALL
        )
    assert dict(filled) == {"Paused": "", "Blocked": "&lt;b&gt;since &amp; then&lt;/b&gt;", "Archived": ""}


def test_a_block_ends_when_its_tasks_are_complete(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("ops_qa")) as client:
        given_block(engine)
        status, page = send(client, "unblock", mode="tasks_complete")
        assert (status, "Complete the tasks of the block first, or override it." in page) == (400, True)
        assert "Open: Renew the credentials for Salesforce" in page
        tasks = client.get("/console/tasks").text
        found = re.search(r'formaction="(/console/tasks/[^"]+/complete)"', tasks)
        assert found is not None
        answer = client.post(found[1], data={"form_token": form_token(tasks), "version": "1"})
        assert answer.headers["location"] == PAGE
        page = client.get(PAGE).text
        assert "the automation can be unblocked now" in text_of(page)
        assert ways(page)["Unblock"] is None
        status, page = send(client, "unblock", mode="tasks_complete")
        assert (status, "Unblocked : Blocked → Live user-ops_qa" in page) == (303, True)
    assert version(engine)["status"] == "Live"


def test_a_block_ends_when_the_credentials_were_seen_to_work(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("ops_qa")) as client:
        given_block(engine)
        status, page = send(client, "unblock", mode="credentials_verified")
        assert (status, "The credentials were not all seen to work since the block." in page) == (400, True)
        with engine.begin() as connection:
            connection.execute(
                sa.update(tables.credentials)
                .where(tables.credentials.c.id == "c1")
                .values(last_validated_at=datetime.now(UTC) + timedelta(seconds=1))
            )
        shown = client.get(PAGE).text
        assert "met The credentials were seen to work since the block" in text_of(shown)
        assert ways(shown)["Unblock, since the credentials work"] is None
        assert send(client, "unblock", mode="credentials_verified")[0] == 303
    assert version(engine)["status"] == "Live"


def test_an_override_takes_the_right_and_a_reason(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        given_block(engine)
        with signed_in(http, token("ops_qa")) as client:
            assert ways(client.get(PAGE).text)["Override the block"] == f"{_ROLES}ops_admin or admin."
            assert send(client, "unblock", mode="override", reason="It works")[0] == 403
        with signed_in(http, token("ops_admin")) as client:
            assert send(client, "unblock", mode="override")[0] == 400
            assert send(client, "unblock", mode="override", reason="It works")[0] == 303
    assert version(engine)["status"] == "Live"


def test_a_page_that_is_stale_changes_nothing_and_says_so(engine: sa.Engine) -> None:
    with (
        running(engine) as (http, _, _),
        signed_in(http, token("ops_qa")) as ada,
        signed_in(http, token("admin")) as otto,
    ):
        html = otto.get(PAGE).text
        assert send(ada, "move", status="Paused")[0] == 303
        seen = re.search(r'name="updated_at" value="([^"]+)"', html)
        assert seen is not None
        data = {"form_token": form_token(html), "status": "Blocked", "updated_at": seen[1], "reason": "Too slow"}
        answer = otto.post(f"{PAGE}/move", data=data)
        assert answer.status_code == 409
        assert "somebody has changed this version since you opened its page" in answer.text
        assert "Paused since" in text_of(answer.text), "the page shows it as it is now"
    assert version(engine)["status"] == "Paused"


def test_a_deploy_asks_the_platform_and_archives_the_version_before(engine: sa.Engine) -> None:
    with running(engine) as (http, _, platform), signed_in(http, token("ops_build")) as client:
        with engine.begin() as connection:
            seed(connection, NEXT)
        platform.workflows["wf3"] = "inactive"
        page = "/console/automations/v3"
        assert ways(client.get(page).text)["Deploy"] is None
        status, text = send(client, "move", page, status="Live")
        assert (status, "Deployed : Ready to Launch → Live user-ops_build" in text) == (303, True)
        assert platform.workflows["wf3"] == "active"
    assert (version(engine, "v3")["status"], version(engine)["status"]) == ("Live", "Archived")


def test_while_the_platform_is_away_a_deploy_changes_nothing(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("ops_build")) as client:
        with engine.begin() as connection:
            seed(connection, NEXT)
        status, page = send(client, "move", "/console/automations/v3", status="Live")
        assert (status, "Nothing was done." in page) == (502, True)
    assert version(engine, "v3")["status"] == "Ready to Launch"


#: The next version of the automation, whose workflow the platform does not have until a test says so.
NEXT: dict[str, list[dict[str, Any]]] = {
    "automation_versions": [
        {"id": "v3", "tenant_id": "t1", "automation_id": "a1", "version": 2, "status": "Ready to Launch"}
    ],
    "workflows": [{"workflow_id": "wf3", "tenant_id": "t1", "name": "Nightly invoices, again"}],
    "workflow_bindings": [
        {"tenant_id": "t1", "automation_version_id": "v3", "wrk_workflow_id": "wf3", "status": "provisioned"}
    ],
}


def test_delivery_moves_show_what_is_missing(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("ops_qa")) as client:
        with engine.begin() as connection:
            seed(
                connection,
                {
                    "automation_versions": [
                        {"id": "v3", "tenant_id": "t1", "automation_id": "a1", "version": 2, "status": "QA & Testing"}
                    ],
                    "qa_results": [{"tenant_id": "t1", "automation_version_id": "v3", "pass_rate": 1}],
                },
            )
        page = "/console/automations/v3"
        text = text_of(client.get(page).text)
        assert "met Enough tests pass" in text
        assert "missing The QA checklist is complete There is no qa checklist." in text
        assert send(client, "move", page, status="Ready to Launch")[0] == 400
        assert send(client, "move", page, status="Build in Progress", reason="Two tests are wrong")[0] == 303
    assert version(engine, "v3")["status"] == "Build in Progress"


def test_tenants_find_nothing_of_others(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("admin")) as client:
        listed = client.get("/console/automations").text
        assert "Invoice sync" in listed
        assert "Lead import" not in listed
        assert 'name="tenant_id"' not in listed
        assert "Lead import" not in client.get("/console/automations?tenant_id=t2").text
        unknown, theirs = (client.get(f"/console/automations/{name}") for name in ("v99", "v2"))
        assert (unknown.status_code, theirs.status_code) == (404, 404)
        assert unknown.text == theirs.text.replace("/v2", "/v99")
        data = {"form_token": form_token(listed), "updated_at": datetime.now(UTC).isoformat(), "reason": "x"}
        assert client.post("/console/automations/v2/move", data={**data, "status": "Blocked"}).status_code == 404
        assert client.post("/console/automations/v2/unblock", data={**data, "mode": "override"}).status_code == 404
    assert version(engine, "v2")["status"] == "Live"


def test_staff_act_where_they_work_and_that_is_audited(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        with signed_in(http, staff_token("ops_qa", tenants=["t2"])) as client:
            assert client.get(PAGE).status_code == 404
            assert rows(engine, tables.audit_logs, action_type="staff_access") == []
        with signed_in(http, staff_token("ops_qa")) as client:
            assert client.get(PAGE).status_code == 200
            assert send(client, "move", status="Paused")[0] == 303
    access = rows(engine, tables.audit_logs, action_type="staff_access")
    assert {(row["tenant_id"], row["actor"], row["invoked_via"]) for row in access} == {("t1", "u9", "console")}


def test_the_list_is_filtered_and_paged(engine: sa.Engine) -> None:
    count = automation_pages.PAGE + 3
    with running(engine) as (http, _, _), signed_in(http, staff_token("viewer")) as client:
        with engine.begin() as connection:
            seed(
                connection,
                {
                    "automations": [
                        {"id": f"x{n:03}", "tenant_id": "t2", "name": f"Copy {n:03}"} for n in range(count)
                    ],
                    "automation_versions": [
                        {"id": f"x{n:03}", "tenant_id": "t2", "automation_id": f"x{n:03}", "version": 1,
                         "status": "Paused" if n == 1 else "Intake in Progress"}
                        for n in range(count)
                    ],
                },
            )  # fmt: skip
        names: list[str] = []
        link: str | None = "/console/automations?tenant_id=t2"
        while link is not None:
            page = client.get(link).text
            names += re.findall(r'class="title" href="[^"]+">([^<]+)</a>', page)
            following = re.search(r'href="([^"]+)" rel="next"', page)
            link = None if following is None else unescape(following[1])
        assert names == ["Lead import", *(f"Copy {n:03}" for n in range(count))]
        paused = client.get("/console/automations?status=Paused").text
        assert re.findall(r'class="title" href="[^"]+">([^<]+)</a>', paused) == ["Copy 001"]
        assert "No automation fits these filters." in client.get("/console/automations?status=Blocked").text
        assert client.get("/console/automations?status=Gone").status_code == 400


def test_tasks_and_decisions_lead_to_the_version(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("viewer")) as client:
        given_block(engine)
        assert f'<a href="{PAGE}">Invoice sync</a>' in client.get("/console/tasks").text


def test_hostile_text_is_shown_as_text(engine: sa.Engine) -> None:
    hostile = "a b?&#'\"<x>"
    with running(engine) as (http, _, _), signed_in(http, staff_token("admin")) as client:
        with engine.begin() as connection:
            for table in (tables.tenants, tables.automations):
                connection.execute(sa.update(table).values(name=HOSTILE))
            seed(
                connection,
                {
                    "automation_versions": [
                        {"id": hostile, "tenant_id": "t1", "automation_id": "a1", "version": 9, "status": "Paused"}
                    ]
                },
            )
        assert send(client, "move", status="Blocked", reason=HOSTILE)[0] == 303
        listed = client.get("/console/automations").text
        link = re.search(r'href="(/console/automations/a[^"]+)"', listed)
        assert link is not None
        pages = [listed, client.get(PAGE).text, client.get(unescape(link[1])).text, client.get("/console/tasks").text]
    for html in pages:
        assert "<script" not in html
        assert "<img src=x" not in html
        assert "&lt;script&gt;" in html
    assert "version 9" in pages[2]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param({"status": "Gone"}, 400, id="no such status"),
        pytest.param({"updated_at": "yesterday"}, 400, id="no time"),
        pytest.param({"updated_at": "2026-03-02T08:00:00"}, 400, id="a time without a zone"),
        pytest.param({"status": "Live"}, 303, id="the status that it has"),
        pytest.param({"status": "QA & Testing"}, 409, id="a move that there is not"),
        pytest.param({"status": "Blocked", "reason": "\x00"}, 400, id="a NUL for a reason"),
        pytest.param({"status": "Blocked", "reason": "x" * 5000}, 400, id="a very long reason"),
        pytest.param({"form_token": "A" * 43}, 403, id="a form of another"),
    ],
)
def test_forms_are_checked(engine: sa.Engine, fields: dict[str, str], status: int) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("admin")) as client:
        data = {
            "form_token": form_token(client.get(PAGE).text),
            "updated_at": version(engine)["updated_at"].isoformat(),
            "status": "Paused",
            **fields,
        }
        assert client.post(f"{PAGE}/move", data=data).status_code == status
    assert version(engine)["status"] == "Live"


def test_without_sign_in_the_operator_may_do_it_under_their_name(engine: sa.Engine, database_url: str) -> None:
    given_world(engine)
    with browser(database_url, name=None) as client:
        html = client.get(PAGE).text
        assert set(ways(html).values()) == {None}
        assert "Say who you are" in html
        data = {
            "form_token": form_token(html),
            "updated_at": version(engine)["updated_at"].isoformat(),
            "status": "Paused",
        }
        answer = client.post(f"{PAGE}/move", data=data)
        assert answer.headers["location"] == "/console/operator"
        assert version(engine)["status"] == "Live"
    assert rows(engine, tables.audit_logs) == rows(engine, tables.audit_logs, actor="service:seed")
    with browser(database_url, name="Ada") as client:
        assert send(client, "move", status="Paused")[0] == 303
    assert version(engine)["status"] == "Paused"
    assert rows(engine, tables.audit_logs, actor="operator:Ada")[-1]["invoked_via"] == "console"
