"""Who may talk to the console, and what every answer carries."""

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from api.errors import refuse
from api.guard import MAX_BODY, Guard
from tests.api.given import ORIGIN, browser, decision, form_token, given_world, task_ids

SECRET = "sk-live-4f9a"


@pytest.fixture
def guarded() -> TestClient:
    """A guard before an application that says what it was sent, or fails."""

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.url.path == "/console/fail":
            raise RuntimeError(SECRET)
        answer: Response = PlainTextResponse(str(len(await request.body())))
        await answer(scope, receive, send)

    app = Guard(echo, public_url="https://watch.example/ops", allowed_hosts=["api"], refuse=refuse)
    return TestClient(app, base_url=ORIGIN)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("localhost:8080", 200, id="loopback by name"),
        pytest.param("127.0.0.1:8080", 200, id="loopback by address"),
        pytest.param("[::1]:8080", 200, id="loopback, IPv6"),
        pytest.param("10.2.3.4:8080", 200, id="an address: probes use it, and a rebound name can't"),
        pytest.param("watch.example", 200, id="the public name"),
        pytest.param("WATCH.example:443", 200, id="the public name, in capitals"),
        pytest.param("api:8080", 200, id="a name that was allowed"),
        pytest.param("evil.example", 421, id="a rebound name"),
        pytest.param("localhost.evil.example", 421, id="a name that begins like ours"),
        pytest.param("127.0.0.1.evil.example", 421, id="a name that begins like an address"),
        pytest.param("evil.example@localhost", 421, id="a host with a user"),
        pytest.param("localhost:x", 421, id="a port that is none"),
        pytest.param("[1:2]", 421, id="brackets around no address"),
        pytest.param("", 421, id="empty"),
        pytest.param("[", 421, id="no host at all"),
    ],
)
def test_only_our_own_names_are_answered(guarded: TestClient, host: str, status: int) -> None:
    assert guarded.get("/console", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        pytest.param(ORIGIN, 200, id="our own page"),
        pytest.param("https://watch.example", 200, id="our own page, by the public address"),
        pytest.param("http://watch.example", 403, id="the public name without TLS"),
        pytest.param("http://localhost:9999", 403, id="another port"),
        pytest.param("https://evil.example", 403, id="another site"),
        pytest.param("null", 403, id="a sandboxed page"),
        pytest.param("file://localhost:8080", 403, id="a file"),
        pytest.param("http://[", 403, id="no origin at all"),
        pytest.param(None, 403, id="no origin: no browser sent it"),
    ],
)
def test_only_our_own_pages_may_change_something(guarded: TestClient, origin: str | None, status: int) -> None:
    headers = {} if origin is None else {"Origin": origin}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert guarded.request(method, "/console", headers=headers).status_code == status
    assert guarded.get("/console", headers=headers).status_code == 200


def test_a_body_has_a_limit_with_and_without_a_length(guarded: TestClient) -> None:
    headers = {"Origin": ORIGIN}
    half = b"x" * (MAX_BODY // 2)
    assert guarded.post("/console", content=half * 2, headers=headers).text == str(MAX_BODY)
    assert guarded.post("/console", content=half * 2 + b"x", headers=headers).status_code == 413
    assert guarded.post("/console", content=iter([half, half]), headers=headers).text == str(MAX_BODY)
    assert guarded.post("/console", content=iter([half, half, b"x"]), headers=headers).status_code == 413


def test_an_error_of_ours_is_logged_without_its_words(guarded: TestClient) -> None:
    with capture_logs() as logs:
        answer = guarded.get("/console/fail")
    assert answer.status_code == 500
    assert [(line["event"], line["error"]) for line in logs] == [("request_failed", "RuntimeError")]
    assert "test_guard.py" in logs[0]["place"][-1]
    assert SECRET not in answer.text
    assert SECRET not in str(logs)


def test_every_answer_forbids_scripts_frames_and_guessing(database_url: str) -> None:
    with browser(database_url) as client:
        answers = [
            client.get("/console/tasks"),
            client.get("/console/nothing"),
            client.get("/console/tasks", headers={"Host": "evil.example"}),
            client.get("/static/console.css"),
            client.get("/metrics"),
        ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "script-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert answers[0].headers["cache-control"] == "no-store"


def test_cookies_are_kept_from_scripts_and_other_sites(database_url: str) -> None:
    with browser(database_url, name=None) as client:
        answer = client.get("/console/tasks")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "set-cookie" not in client.get("/console/tasks").headers, "one token serves all tabs"


def test_a_token_of_another_browser_is_refused(engine: sa.Engine, database_url: str) -> None:
    given_world(engine, decision("block"))
    path = f"/console/tasks/{task_ids(engine)[0]}/claim"
    with browser(database_url) as ada, browser(database_url) as eve:
        token = form_token(eve.get("/console/tasks").text)
        refused = ada.post(path, data={"form_token": token, "version": "1"})
        assert refused.status_code == 403
        assert "Open the page again" in refused.text
        ada.cookies.clear()
        assert ada.post(path, data={"form_token": token, "version": "1"}).status_code == 403
