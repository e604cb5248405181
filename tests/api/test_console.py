"""The console's pages over HTTP, on a real database."""

import re
import socket
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from api.console import decisions as decision_pages
from api.console import tasks as task_pages
from lifecycle import tables
from tests.api.given import (
    HOSTILE,
    T0,
    apply,
    blacklisting,
    browser,
    decision,
    form_token,
    given_world,
    stuck,
    task_ids,
)


def text_of(html: str) -> str:
    """What a reader sees: no tags, single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def task(engine: sa.Engine, task_id: str) -> sa.Row[tuple[object, ...]]:
    """A task's row."""
    with engine.connect() as connection:
        return connection.execute(sa.select(tables.tasks).where(tables.tasks.c.id == task_id)).one()


def audit_of(engine: sa.Engine, task_id: str) -> list[tuple[object, ...]]:
    """Who did what to a task, in order."""
    audit = tables.audit_logs.c
    query = sa.select(audit.actor, audit.invoked_via, audit["metadata"]["operation"].astext, audit.decision_id)
    with engine.connect() as connection:
        found = connection.execute(query.where(audit.resource_id == task_id).order_by(audit.id))
        return [tuple(row) for row in found]


def send(client: TestClient, task_id: str, operation: str, version: int = 1, **more: str) -> str:
    """Press a button of the list of tasks; the text of the page that follows."""
    token = form_token(client.get("/console/operator").text)
    data = {"form_token": token, "version": str(version), **more}
    answer = client.post(f"/console/tasks/{task_id}/{operation}", data=data)
    assert answer.status_code == 303, answer.text
    return text_of(client.get(answer.headers["location"]).text)


def test_a_block_gives_tasks_that_can_be_claimed_and_completed(engine: sa.Engine, database_url: str) -> None:
    block = decision("block")
    given_world(engine, block)
    gmail, salesforce = task_ids(engine)
    with browser(database_url) as client:
        html = client.get("/console/tasks").text
        assert '<a href="/console/tasks?automation_version_id=v1">' in html, "what to do leads there"
        page = text_of(html)
        assert "1 automation blocked" in page
        assert "2 open tasks" in page
        assert "High Renew the credentials for Salesforce Credentials · why" in page
        assert "Salesforce Northwind Traders Invoice sync v3 just now Unclaimed Claim Complete" in page

        assert "The task is yours." in send(client, salesforce, "claim")
        page = text_of(client.get("/console/tasks").text)
        assert "The task is yours." not in page, "a notice is shown once"
        assert "In progress Ada Complete" in page
        claimed = task(engine, salesforce)
        assert (claimed.status, claimed.assignee_user_id, claimed.version) == ("in_progress", "operator:Ada", 2)

        assert "The task is complete." in send(client, salesforce, "complete", 2)
        assert "1 open task" in text_of(client.get("/console/tasks").text)
        assert "Renew the credentials for Salesforce" in client.get("/console/tasks?status=complete").text
    completed = task(engine, salesforce)
    assert (completed.status, completed.version, completed.completed_at is not None) == ("complete", 3, True)
    assert audit_of(engine, salesforce) == [
        ("operator:Ada", "console", "claim", block.decision_id),
        ("operator:Ada", "console", "complete", block.decision_id),
    ]
    assert task(engine, gmail).status == "pending"


def test_a_stale_version_changes_nothing_and_says_so(engine: sa.Engine, database_url: str) -> None:
    given_world(engine, decision("block"))
    mine = task_ids(engine)[0]
    with browser(database_url, name="Ada") as ada, browser(database_url, name="Otto") as otto:
        send(ada, mine, "claim")
        page = send(otto, mine, "claim", version=1)
        assert "Somebody changed this task meanwhile" in page
        assert "Ada Take over Complete" in page
        assert "Somebody changed this task meanwhile" in send(otto, mine, "complete", version=1)
        assert task(engine, mine).assignee_user_id == "operator:Ada"
        assert "The task is yours." in send(otto, mine, "claim", version=2)
        assert task(engine, mine).assignee_user_id == "operator:Otto"


def test_a_button_pressed_twice_does_it_once(engine: sa.Engine, database_url: str) -> None:
    given_world(engine, decision("block"))
    mine = task_ids(engine)[0]
    with browser(database_url) as client:
        send(client, mine, "claim")
        assert "That was done already." in send(client, mine, "claim", version=1)
        send(client, mine, "complete", version=2)
        assert "That was done already." in send(client, mine, "complete", version=2)
        assert "This task is closed already" in send(client, mine, "claim", version=3)
    assert len(audit_of(engine, mine)) == 2


def test_a_name_is_asked_once_with_the_first_claim(engine: sa.Engine, database_url: str) -> None:
    given_world(engine, decision("block"))
    gmail, salesforce = task_ids(engine)
    with browser(database_url, name=None) as client:
        form = {"form_token": form_token(client.get("/console/tasks").text), "version": "1", "back": "kind=approval"}
        asked = client.post(f"/console/tasks/{gmail}/claim", data=form)
        assert "Who are you?" in asked.text
        assert task(engine, gmail).status == "pending"
        answer = client.post(f"/console/tasks/{gmail}/claim", data={**form, "name": f"  {'ä' * 300}\x00\n "})
        assert answer.headers["location"] == "/console/tasks?kind=approval"
        assert task(engine, gmail).assignee_user_id == f"operator:{'ä' * 79}…"
        assert client.post(f"/console/tasks/{salesforce}/claim", data=form).status_code == 303
        assert "ä" * 79 in client.get("/console/tasks").text


def test_a_name_can_not_pass_for_a_service(engine: sa.Engine, database_url: str) -> None:
    given_world(engine, decision("block"))
    mine = task_ids(engine)[0]
    with browser(database_url, name="service:monitor") as client:
        send(client, mine, "claim")
    assert audit_of(engine, mine)[0][0] == "operator:service:monitor"


def test_a_list_goes_back_to_where_the_form_was(engine: sa.Engine, database_url: str) -> None:
    given_world(engine, decision("block"))
    mine = task_ids(engine)[0]
    with browser(database_url) as client:
        page = client.get("/console/tasks?kind=credentials_issue&automation_version_id=v1").text
        back = re.search(r'name="back" value="([^"]*)"', page)
        assert back is not None
        token = form_token(page)
        for sent, location in [
            (unescape(back[1]), "/console/tasks?kind=credentials_issue&automation_version_id=v1"),
            ("https://evil.example/", "/console/tasks"),
            ("kind=nonsense", "/console/tasks"),
        ]:
            data = {"form_token": token, "version": "1", "back": sent}
            assert client.post(f"/console/tasks/{mine}/claim", data=data).headers["location"] == location


def test_filters_choose_tasks(engine: sa.Engine, database_url: str) -> None:
    executions = [stuck(f"exec-{number}", number) for number in range(5)]
    given_world(engine, decision("block"), *executions, blacklisting())
    with browser(database_url) as client:
        shown = {
            query: len(re.findall(r'<th scope="row"', client.get(f"/console/tasks?{query}").text))
            for query in (
                "",
                "status=&kind=",
                "kind=blacklist_review",
                "kind=credentials_issue",
                "status=pending",
                "status=in_progress",
                "status=complete",
                "automation_version_id=v1",
                "automation_version_id=unknown",
            )
        }
    assert list(shown.values()) == [3, 3, 1, 2, 3, 0, 0, 2, 0], shown


def test_pages_show_every_task_once_though_tasks_come_and_go(engine: sa.Engine, database_url: str) -> None:
    given_world(engine)
    count = 2 * task_pages.PAGE + 7
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.tasks),
            [
                {
                    "tenant_id": "northwind",
                    "context_type": "internal",
                    "context_id": "x",
                    "kind": "general_todo",
                    "title": f"Task {number:03}",
                    "priority": ("low", "medium", "high", "critical")[number % 4],
                    # A few share their time: the id decides between them.
                    "created_at": T0 + timedelta(minutes=number // 10),
                }
                for number in range(count)
            ],
        )
    seen: list[str] = []
    urgency: list[str] = []
    with browser(database_url) as client:
        link: str | None = "/console/tasks"
        while link is not None:
            page = client.get(link).text
            seen += re.findall(r"Task \d{3}(?=</span>)", page)
            urgency += re.findall(r'class="badge (\w+)"', page)
            following = re.search(r'href="([^"]+)" rel="next"', page)
            link = None if following is None else unescape(following[1])
            with engine.begin() as connection:
                last = sa.select(tables.tasks.c.id).where(tables.tasks.c.title == seen[-1]).scalar_subquery()
                connection.execute(sa.delete(tables.tasks).where(tables.tasks.c.id == last))
    assert len(seen) == len(set(seen)) == count
    assert urgency == sorted(urgency, key=["critical", "high", "medium", "low"].index)


def test_pages_show_every_decision_once(engine: sa.Engine, database_url: str) -> None:
    count = decision_pages.PAGE + 5
    given_world(engine, *(stuck(f"exec-{number}", number // 3) for number in range(count)))
    with browser(database_url) as client:
        first = client.get("/console/decisions").text
        following = re.search(r'href="([^"]+)" rel="next"', first)
        assert following is not None
        second = client.get(unescape(following[1])).text
        ids = re.findall(r'href="/console/decisions/([0-9a-f-]{36})"', first + second)
        times = re.findall(r'<time datetime="([^"]+)"', first + second)
    assert len(ids) == len(set(ids)) == count
    assert times == sorted(times, reverse=True)


def test_a_decision_shows_what_was_observed_its_evidence_and_what_was_done(
    engine: sa.Engine, database_url: str
) -> None:
    block = decision("block")
    given_world(engine, block)
    with browser(database_url) as client:
        listed = text_of(client.get("/console/decisions?kind=block_for_credentials").text)
        assert "Block for credentials consecutive_failures Sync invoices to the ledger Northwind Traders" in listed
        assert "2026-03-02 08:00:00 UTC Applied Blocked" in listed
        page = text_of(client.get(f"/console/decisions/{block.decision_id}").text)
    assert "as many times in a row as the policy allows" in page
    assert "Refused in a row decided 3 at least 3" in page
    assert "Share of runs refused 41.67 % more than 50 %" in page
    assert "Runs in the window 12 at least 10" in page
    assert "Window 1 h" in page
    assert "Systems Gmail, Salesforce" in page
    assert "1 run-4711:failure" in page
    assert "3 run-4713:failure" in page
    assert "The automation was blocked." in page
    assert "Blocked The credentials for Gmail and Salesforce are invalid or have expired." in page
    assert "Renew the credentials for Gmail Gmail Unclaimed" in page
    assert "Status changed Live → Blocked" in page
    assert "Automation blocked" in page
    assert "Breakwater, by itself" in page


def test_a_blacklisting_is_shown_with_its_row(engine: sa.Engine, database_url: str) -> None:
    trip = blacklisting()
    given_world(engine, stuck("exec-1"), trip)
    with browser(database_url) as client:
        html = client.get(f"/console/decisions/{trip.decision_id}").text
        silence = text_of(client.get(f"/console/decisions/{stuck('exec-1').decision_id}").text)
        blacklist = text_of(client.get("/console/blacklist").text)
    page = text_of(html)
    assert 'href="/console/blacklist/wf3"' in html
    assert "Stuck executions in the window decided 5 at least 5" in page
    assert "On the blacklist since" in page
    assert "Find out why “Reconcile stock overnight” keeps getting stuck" in page
    assert "Workflow blacklisted" in page
    assert "Without a sign of life decided 30 min 30 min" in silence
    assert "Reconcile stock overnight wf3 Fabrikam 5 executions stuck within 1 h · why" in blacklist


def test_a_refused_decision_says_why(engine: sa.Engine, database_url: str) -> None:
    unknown = decision("unknown", tenant_id="nobody", automation_version_id="v1")
    given_world(engine, unknown)
    with browser(database_url) as client:
        page = text_of(client.get(f"/console/decisions/{unknown.decision_id}").text)
    assert "Nothing was done: this tenant has no such automation version." in page
    assert "Invoice sync" not in page, "another tenant's automation is not named"
    assert "Northwind" not in page


def test_empty_lists_say_what_will_appear(engine: sa.Engine, database_url: str) -> None:
    given_world(engine)
    with browser(database_url) as client:
        assert "Nothing to do." in client.get("/console/tasks").text
        assert "No task fits these filters." in client.get("/console/tasks?kind=approval").text
        assert "Nothing was decided yet." in client.get("/console/decisions").text
        assert "No decision fits these filters." in client.get("/console/decisions?kind=silence").text
        assert "No workflow is on the blacklist." in client.get("/console/blacklist").text


def test_hostile_text_is_shown_as_text(engine: sa.Engine, database_url: str) -> None:
    hostile = decision(
        "hostile",
        reason_code="consecutive_failures",
        observed={"system_key": HOSTILE, "consecutive_failures": 3, HOSTILE: HOSTILE},
        evidence=[HOSTILE[:128]],
        detail={"failed_systems": [HOSTILE], HOSTILE: [HOSTILE]},
    )
    given_world(engine)
    with engine.begin() as connection:
        for table in (tables.tenants, tables.automations, tables.workflows, tables.systems):
            name = table.c.display_name if table is tables.systems else table.c.name
            connection.execute(sa.update(table).values({name: HOSTILE}))
    apply(engine, hostile)
    with browser(database_url, name=HOSTILE[:80]) as client:
        send(client, task_ids(engine)[0], "claim")
        for path in ("/console/tasks", "/console/decisions", f"/console/decisions/{hostile.decision_id}"):
            html = client.get(path).text
            assert "<script" not in html
            assert "<img src=x" not in html
            assert "49" not in re.findall(r">([^<]*onerror[^<]*)<", html)
            assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/console/decisions/%00", 404, id="a NUL is no id"),
        pytest.param("/console/decisions/1", 404, id="a number is no id"),
        pytest.param("/console/decisions/' OR 1=1 --", 404, id="SQL is no id"),
        pytest.param(f"/console/decisions/{uuid4()}", 404, id="an id of nothing"),
        pytest.param("/console/nothing", 404, id="no such page"),
        pytest.param("/console/tasks?kind=%00", 400, id="NUL as kind"),
        pytest.param("/console/tasks?status=unheard", 400, id="unknown status"),
        pytest.param("/console/tasks?automation_version_id=a%00b", 400, id="NUL in a version's id"),
        pytest.param(f"/console/tasks?automation_version_id={'x' * 129}", 400, id="an id longer than ids are"),
        pytest.param("/console/tasks?automation_version_id=%ff%fe", 200, id="invalid UTF-8 is some other id"),
        pytest.param("/console/tasks?automation_version_id=%ed%a0%80", 200, id="so is a lone surrogate"),
        pytest.param("/console/tasks?cursor=garbage", 400, id="no cursor"),
        pytest.param(f"/console/tasks?cursor=n0.1.{uuid4()}", 400, id="a cursor of another order"),
        pytest.param(f"/console/tasks?cursor=u9.{'9' * 18}.{uuid4()}", 400, id="a cursor beyond the last year"),
        pytest.param(f"/console/tasks?cursor=u9.{'٣' * 3}.{uuid4()}", 400, id="a cursor in other digits"),
        pytest.param(f"/console/tasks?cursor=u0.0.{uuid4()}", 200, id="a made-up cursor that can be one"),
        pytest.param(f"/console/decisions?cursor=n0.-{'9' * 17}.{uuid4()}", 400, id="a cursor before the first year"),
        pytest.param("/console/decisions?kind=unheard", 400, id="unknown kind of decision"),
        pytest.param("/console/tasks?utm_source=mail", 200, id="parameters of others are left out"),
        pytest.param(f"/console/tasks?x={'y' * 5000}", 414, id="a very long address"),
    ],
)
def test_bad_addresses_are_answered_and_never_an_error_of_ours(database_url: str, path: str, status: int) -> None:
    with browser(database_url) as client:
        answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert "<h1>" in answer.text
    assert "/console/tasks" in answer.text


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({}, 303, id="as the page sends it"),
        pytest.param({"version": "0"}, 400, id="no version"),
        pytest.param({"version": "9" * 30}, 400, id="a version that no column holds"),
        pytest.param({"version": "1\x00"}, 400, id="a NUL in the version"),
        pytest.param({"version": None}, 400, id="version left out"),
        pytest.param({"form_token": None}, 403, id="token left out"),
        pytest.param({"form_token": "A" * 43}, 403, id="token of another"),
        pytest.param({"form_token": "ä" * 43}, 403, id="token that is none"),
        pytest.param({"back": "x" * 3000}, 400, id="too long a way back"),
        pytest.param({"name": "\x00"}, 303, id="a name without a letter changes nothing"),
        pytest.param({"name": "x" * 70_000}, 413, id="a body larger than any form"),
    ],
)
def test_forms_are_checked(engine: sa.Engine, database_url: str, changes: dict[str, str | None], status: int) -> None:
    given_world(engine, decision("block"))
    with browser(database_url) as client:
        data = {"form_token": form_token(client.get("/console/tasks").text), "version": "1", **changes}
        sent = {name: value for name, value in data.items() if value is not None}
        answer = client.post(f"/console/tasks/{task_ids(engine)[0]}/claim", data=sent)
    assert answer.status_code == status, answer.text


def test_unknown_tasks_and_operations_are_not_found(database_url: str) -> None:
    with browser(database_url) as client:
        data = {"form_token": form_token(client.get("/console/operator").text), "version": "1"}
        assert client.post(f"/console/tasks/{uuid4()}/claim", data=data).status_code == 404
        assert client.post(f"/console/tasks/{uuid4()}/delete", data=data).status_code == 404
        assert client.post("/console/tasks/1/claim", data=data).status_code == 404
        assert client.get(f"/console/tasks/{uuid4()}/claim").status_code == 405


def test_while_the_database_is_away_pages_say_so(postgres: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with browser(f"postgresql+psycopg://nobody@127.0.0.1:{port}/nothing", name=None) as client:
        for path in ("/console/tasks", "/console/decisions", f"/console/decisions/{uuid4()}", "/console/blacklist"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "The database does not answer." in answer.text


def test_a_database_that_was_not_migrated_is_named(engine: sa.Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE tasks CASCADE")
    with browser(database_url) as client:
        answer = client.get("/console/tasks")
    assert answer.status_code == 503
    assert "breakwater migrate" in answer.text


def test_the_root_leads_to_the_tasks(database_url: str) -> None:
    with browser(database_url) as client:
        for path in ("/", "/console", "/console/"):
            assert client.get(path).headers["location"] == "/console/tasks"
        assert client.get("/static/console.css").status_code == 200
        assert client.get("/static/../app.py").status_code == 404
