"""Signing in to the console: who is let in, what a session is, and how it ends."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.auth.tokens import mint
from api.console import session
from config.settings import Auth
from lifecycle import tables
from lifecycle.options import LifecycleOptions
from tests.api.console_given import ORIGIN, fresh, sign_in, signed_in
from tests.api.given import form_token
from tests.api.test_console import text_of
from tests.api.v1_given import AUTH, given_block, running, staff_token, token

#: Pages that somebody has to sign in for.
PAGES = ["/console/tasks", "/console/decisions", "/console/blacklist"]


def test_without_a_session_every_page_leads_to_the_sign_in_and_back(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), fresh(http) as browser:
        for path in PAGES:
            answer = browser.get(f"{path}?cursor=")
            assert answer.status_code == 303
            following = answer.headers["location"]
            assert following.startswith("/console/sign-in?next=%2Fconsole%2F")
        page = browser.get(following)
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
        assert 'name="next" value="/console/blacklist?cursor="' in page.text
        assert sign_in(browser, token("viewer"), "/console/blacklist?cursor=") == (303, "/console/blacklist?cursor=")
        assert browser.get("/console/blacklist?cursor=").status_code == 200


def test_a_session_is_a_cookie_that_neither_scripts_nor_other_sites_get(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), fresh(http) as browser:
        page = browser.get("/console/sign-in")
        answer = browser.post(
            "/console/sign-in", data={"form_token": form_token(page.text), "token": token("ops_qa"), "next": ""}
        )
        cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(session.COOKIE))
    attributes = {part.strip().partition("=")[0].lower() for part in cookie.split(";")[1:]}
    assert attributes == {"expires", "httponly", "path", "samesite"}
    assert "SameSite=lax" in cookie
    assert "Path=/console" in cookie


def test_the_name_is_shown_and_signing_out_ends_it(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("ops_qa")) as browser:
        page = browser.get("/console/tasks").text
        assert "Signed in as user-ops_qa Sign out" in text_of(page)
        assert browser.get("/console/operator").status_code == 404
        answer = browser.post("/console/sign-out", data={"form_token": form_token(page)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
        assert session.COOKIE not in browser.cookies
        assert browser.get("/console/tasks").status_code == 303


_OTHER = AUTH.model_copy(update={"development_key": SecretStr("another key, which the console does not know")})


def _expired(auth: Auth = AUTH) -> str:
    return mint(
        auth, subject="user-viewer", roles=["viewer"], tenant_id="t1", tenants=None, lifetime=timedelta(minutes=-5)
    )


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: "", id="nothing"),
        pytest.param(lambda: "no token at all", id="words"),
        pytest.param(lambda: "wrk_api_0123456789", id="a customer's API key"),
        pytest.param(_expired, id="an expired token"),
        pytest.param(lambda: token("viewer", auth=_OTHER), id="another key's token"),
        pytest.param(lambda: token("service", subject="service:worker"), id="a service's token"),
        pytest.param(lambda: token("viewer", subject="u9"), id="no member of the tenant"),
        pytest.param(lambda: token("viewer", tenant_id="t2"), id="a member of another tenant"),
        pytest.param(lambda: token("admin", subject="user-viewer"), id="a role that the membership does not have"),
        pytest.param(lambda: staff_token("nobody"), id="no role that is known"),
        pytest.param(lambda: "x" * 15_000, id="more than a cookie holds"),
        pytest.param(lambda: "ä\x00", id="what no header holds"),
    ],
)
def test_who_is_not_let_in_is_told_so_and_has_no_session(engine: sa.Engine, make: object) -> None:
    assert callable(make)
    with running(engine) as (http, _, _), fresh(http) as browser:
        page = browser.get("/console/sign-in")
        answer = browser.post("/console/sign-in", data={"form_token": form_token(page.text), "token": make()})
        assert answer.status_code == 403
        assert "This token" in text_of(answer.text)
        assert session.COOKIE not in browser.cookies
        assert browser.get("/console/tasks").status_code == 303


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("https://evil.example/console/tasks", id="another site"),
        pytest.param("//evil.example/console/tasks", id="another site, scheme left out"),
        pytest.param("/console//evil.example", id="two slashes"),
        pytest.param("/console/\\evil.example", id="a backslash"),
        pytest.param("/console/tasks\r\nSet-Cookie: a=b", id="a line break"),
        pytest.param("/v1/automation-versions", id="another part of the application"),
        pytest.param("/console/sign-in", id="the sign-in itself"),
        pytest.param("/console/sign-out", id="the sign-out"),
        pytest.param("javascript:alert(1)", id="a script"),
        pytest.param("/console/" + "x" * 1500, id="very long"),
        pytest.param("", id="nothing"),
    ],
)
def test_signing_in_leads_nowhere_but_into_the_console(engine: sa.Engine, address: str) -> None:
    with running(engine) as (http, _, _), fresh(http) as browser:
        assert sign_in(browser, token("viewer"), address) == (303, "/console/tasks")


def test_a_session_ends_with_the_membership(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("viewer")) as browser:
        assert browser.get("/console/tasks").status_code == 200
        with engine.begin() as connection:
            connection.execute(
                sa.update(tables.memberships)
                .where(tables.memberships.c.user_id == "user-viewer")
                .values(status="suspended")
            )
        answer = browser.get("/console/tasks")
        assert answer.status_code == 403
        assert "Your membership of this tenant does not allow this any more." in answer.text
        assert "/console/sign-in" in answer.text


def test_a_session_ends_with_its_token_and_with_the_key(engine: sa.Engine) -> None:
    with running(engine, auth=_OTHER) as (http, _, _), fresh(http) as browser:
        for kept, status in [(token("viewer", auth=_OTHER), 200), (token("viewer"), 303), (_expired(_OTHER), 303)]:
            answer = browser.get("/console/tasks", headers={"Cookie": f"{session.COOKIE}={kept}"})
            assert answer.status_code == status


def test_a_form_of_another_session_is_refused(engine: sa.Engine) -> None:
    """Even when both browsers have the same form cookie, which another application of this host could have set."""
    with running(engine) as (http, _, _), signed_in(http, token("ops_qa")) as ada, fresh(http) as eve:
        given_block(engine)
        eve.cookies.update({"breakwater_form": ada.cookies["breakwater_form"]})
        page = eve.get("/console/sign-in").text
        stolen = form_token(page)
        answer = ada.post("/console/sign-out", data={"form_token": stolen})
        assert answer.status_code == 403
        assert ada.get("/console/tasks").status_code == 200


def test_tries_are_counted_by_address_and_requests_by_user(engine: sa.Engine) -> None:
    tight = AUTH.model_copy(update={"address_limit": "2/minute", "user_limit": "3/minute"})
    with running(engine, auth=tight) as (http, _, _):
        with signed_in(http, token("viewer", auth=tight)) as browser:
            answers = [browser.get("/console/tasks").status_code for _ in range(4)]
            assert answers == [200, 200, 200, 429]
        with fresh(http) as browser:
            assert sign_in(browser, "wrong")[0] == 403
            page = browser.get("/console/sign-in")
            refused = browser.post("/console/sign-in", data={"form_token": form_token(page.text), "token": "wrong"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert "Too fast" in refused.text


def test_tenants_see_their_own_rows_and_staff_those_of_theirs(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        given_block(engine)
        given_block_of_t2(engine)
        seen = {}
        for name, bearer in {
            "t1": token("viewer"),
            "staff of t2": staff_token("ops_qa", tenants=["t2"]),
            "staff": staff_token("ops_qa"),
        }.items():
            with signed_in(http, bearer) as browser:
                pages = "".join(browser.get(path).text for path in PAGES)
                seen[name] = ("Invoice sync" in pages, "Lead import" in pages)
    assert seen == {"t1": (True, False), "staff of t2": (False, True), "staff": (True, True)}


def given_block_of_t2(engine: sa.Engine) -> None:
    """Another tenant's task."""
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.tasks).values(
                tenant_id="t2",
                automation_version_id="v2",
                context_type="automation_version",
                context_id="v2",
                kind="remediation",
                title="Put it right",
                priority="high",
            )
        )


@pytest.mark.parametrize(
    ("role", "may"),
    [
        pytest.param("ops_qa", True, id="operations change any task"),
        pytest.param("viewer", False, id="viewers see it, and why they can not"),
    ],
)
def test_roles_decide_who_changes_tasks(engine: sa.Engine, role: str, may: bool) -> None:
    with running(engine) as (http, _, _), signed_in(http, token(role)) as browser:
        given_block(engine)
        page = browser.get("/console/tasks").text
        found = re.search(r'action="(/console/tasks/[^"]+)/claim"', page)
        assert found is not None
        assert ("Your roles let you see all tasks" in page) is not may
        assert ("<button disabled" in page) is not may
        answer = browser.post(f"{found[1]}/claim", data={"form_token": form_token(page), "version": "1"})
        assert answer.status_code == (303 if may else 403)
    with engine.connect() as connection:
        task = connection.execute(sa.select(tables.tasks.c.status, tables.tasks.c.assignee_user_id)).one()
    assert tuple(task) == (("in_progress", f"user-{role}") if may else ("pending", None))


def test_another_tenants_task_is_not_found(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("ops_admin")) as browser:
        given_block_of_t2(engine)
        with engine.connect() as connection:
            task_id = connection.execute(sa.select(tables.tasks.c.id)).scalar_one()
        data = {"form_token": form_token(browser.get("/console/tasks").text), "version": "1"}
        assert browser.post(f"/console/tasks/{task_id}/complete", data=data).status_code == 404


def test_a_form_after_the_session_ended_leads_back_to_its_page(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), fresh(http) as browser:
        token_of_form = form_token(browser.get("/console/sign-in").text)
        for referer, following in [
            (f"{ORIGIN}/console/tasks?kind=approval", "%2Fconsole%2Ftasks%3Fkind%3Dapproval"),
            ("https://evil.example/console/decisions", "%2Fconsole%2Ftasks"),
        ]:
            answer = browser.post(
                "/console/tasks/00000000-0000-0000-0000-000000000000/claim",
                data={"form_token": token_of_form, "version": "1"},
                headers={"Referer": referer},
            )
            assert answer.headers["location"] == f"/console/sign-in?next={following}"


def test_https_makes_cookies_secure(engine: sa.Engine) -> None:
    options = LifecycleOptions(public_url="https://breakwater.example")
    with running(engine, options=options) as (http, _, _):
        client = TestClient(
            http.app, base_url="https://breakwater.example", headers={"Origin": "https://breakwater.example"},
            follow_redirects=False,
        )  # fmt: skip
        page = client.get("/console/sign-in")
        answer = client.post(
            "/console/sign-in", data={"form_token": form_token(page.text), "token": token("viewer"), "next": ""}
        )
        assert answer.status_code == 303
        cookies = [*page.headers.get_list("set-cookie"), *answer.headers.get_list("set-cookie")]
        assert len(cookies) == 3
        assert all("Secure" in cookie for cookie in cookies)
