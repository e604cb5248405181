"""A browser whose user signs in with a token, at the whole application."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi.testclient import TestClient

from tests.api.given import form_token

ORIGIN = "http://localhost:8080"


@contextmanager
def signed_in(http: TestClient, token: str) -> Iterator[TestClient]:
    """Another browser at the same console, in which somebody has signed in; follows no redirects by itself."""
    with fresh(http) as browser:
        answer = sign_in(browser, token)
        assert answer == (303, "/console/tasks"), answer
        yield browser


@contextmanager
def fresh(http: TestClient) -> Iterator[TestClient]:
    """Another browser at the same console, without cookies."""
    client = TestClient(http.app, base_url=ORIGIN, headers={"Origin": ORIGIN}, follow_redirects=False)
    try:
        yield client
    finally:
        client.cookies.clear()


def sign_in(browser: TestClient, token: str, following: str = "") -> tuple[int, str]:
    """Send the form; the status, and where it leads."""
    page = browser.get("/console/sign-in")
    data = {"form_token": form_token(page.text), "token": token, "next": following}
    answer = browser.post("/console/sign-in", data=data)
    return answer.status_code, answer.headers.get("location", "")
