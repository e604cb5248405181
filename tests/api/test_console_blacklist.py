"""The console's page of the blacklist: who changes it, and what is shown of a workflow's past (40.4)."""

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from lifecycle import tables
from tests.api.console_given import signed_in
from tests.api.given import form_token
from tests.api.test_console import text_of
from tests.api.v1_given import running, staff_token, token
from tests.lifecycle.breaker_given import put_on
from tests.lifecycle.given import row, rows

PAGE = "/console/blacklist"
ADMIN = staff_token("platform_admin")


def send(client: TestClient, address: str = PAGE, **fields: str) -> tuple[int, str]:
    """Send a form of the page; the status, and the text of the page that comes of it."""
    response = client.post(address, data={"form_token": form_token(client.get(PAGE).text), **fields})
    if response.status_code == 303:
        return 303, text_of(client.get(response.headers["location"]).text)
    return response.status_code, text_of(response.text)


def test_a_workflow_is_added_removed_and_remembered(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, ADMIN) as client:
        status, page = send(client, workflow_id="wf1", reason="It <b>writes</b> twice.")
        assert status == 303
        assert "The workflow is on the blacklist." in page
        assert "Nightly invoices wf1 Acme manual:It <b>writes</b> twice." in page
        assert "That was done already." in send(client, workflow_id="wf1", reason="Again.")[1]
        status, page = send(client, f"{PAGE}/remove", tenant_id="t1", workflow_id="wf1", note="Mended.")
        assert status == 303
        assert "No workflow is on the blacklist." in page
        assert "Taken off it" in page
        assert f'href="{PAGE}/wf1"' in client.get(PAGE).text, "what is over can still be found"
        history = text_of(client.get(f"{PAGE}/wf1").text)
        assert client.get(f"{PAGE}/wf2").status_code == 404
    assert "It <b>writes</b> twice." in history
    assert "Mended." in history
    released = row(engine, tables.audit_logs, action_type="release_workflow")
    assert (released["actor"], released["invoked_via"]) == ("u9", "console")


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        pytest.param({"workflow_id": "nothing", "reason": "x"}, 404, "There is no such workflow.", id="unknown"),
        pytest.param({"workflow_id": "wf1", "reason": " "}, 400, "Say why", id="no reason"),
    ],
)
def test_what_is_refused_is_said(engine: sa.Engine, fields: dict[str, str], status: int, words: str) -> None:
    with running(engine) as (http, _, _), signed_in(http, ADMIN) as client:
        said, page = send(client, **fields)
    assert (said, words in page) == (status, True)
    assert rows(engine, tables.workflow_blacklist) == []


def test_who_may_not_change_it_sees_no_form_and_changes_nothing(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, token("admin")) as client:
        put_on(engine)
        html = client.get(PAGE).text
        assert "Put on the blacklist" not in html
        assert "takes platform_admin" in text_of(html)
        for address, fields in (
            (PAGE, {"workflow_id": "wf1", "reason": "x"}),
            (f"{PAGE}/remove", {"tenant_id": "t1", "workflow_id": "wf1"}),
        ):
            answer = client.post(address, data={"form_token": form_token(html), **fields})
            assert answer.status_code == 403
            assert "Nothing was done. Your roles do not allow this." in text_of(answer.text)
    assert row(engine, tables.workflow_blacklist)["removed_at"] is None


def test_a_form_without_its_token_changes_nothing(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, ADMIN) as client:
        assert client.post(PAGE, data={"workflow_id": "wf1", "reason": "x"}).status_code == 403
    assert rows(engine, tables.workflow_blacklist) == []
