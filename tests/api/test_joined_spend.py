"""Spend anomalies that joined one task: in the inbox with the furthest of them, each a decision of the list; whose."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa
from fastapi.testclient import TestClient

from dataflows.decisions import Decision
from lifecycle import tables
from tests.api.console_given import signed_in
from tests.api.given import HOSTILE
from tests.api.test_console import text_of
from tests.api.v1_given import bearer, running, staff_token, token
from tests.lifecycle.given import row, rows
from tests.sinks.test_spend_anomaly import apply, burst, drift
from tests.sinks.test_spend_tasks import of

TASKS, DECISIONS = "/console/tasks", "/console/decisions"
NOBODYS = "00000000-0000-5000-8000-000000000009"

SEVERAL = [
    *(of(number, spent=100.0 * number) for number in range(1, 13)),
    of(20, workflow_id=None, spent=9000.0),
    burst(observed={"credits": 8000.0, "runs": 9, "score": 0.9}, evidence=["e1"]),
]
ANOTHERS = of(30, tenant_id="t2")


@contextmanager
def told(engine: sa.Engine, *decisions: Decision) -> Iterator[TestClient]:
    with running(engine) as (http, _, _):
        apply(engine, *decisions)
        yield http


def test_the_inbox_lists_those_furthest_above_what_was_expected(engine: sa.Engine) -> None:
    with told(engine, *SEVERAL, ANOTHERS) as http, signed_in(http, staff_token("ops_admin")) as client:
        html = client.get(TASKS).text
    page = text_of(html)
    assert "Find out why Acme spends more than usual: 14 bursts" in page
    assert "14 bursts; the 10 furthest above what was expected" in page
    listed = re.search(r'<ul class="joined">(.*?)</ul>', html, re.DOTALL)
    assert listed is not None
    lines = [text_of(line) for line in listed.group(1).split("</li>")][:-1]
    assert lines[:3] == [
        "all of Acme : 9,000 in an hour instead of 40.25, until 2026-03-02 09:00:00 UTC , on 2 events",
        "Nightly invoices : 8,000 in an hour instead of 40.25, until 2026-03-02 09:00:00 UTC , on 1 event",
        "scenario:S12 : 1,200 in an hour instead of 40.25, until 2026-03-02 09:00:00 UTC , on 2 events",
    ]
    assert len(lines) == 10
    assert f'href="/console/decisions/{SEVERAL[-1].decision_id}"' in listed.group(1)
    # The other tenant's is one alone, which its decision tells of.
    assert html.count('<ul class="joined">') == 1


def test_all_that_joined_are_decisions_of_one_list(engine: sa.Engine) -> None:
    many = [of(number) for number in range(1, 61)]
    with told(engine, *many, ANOTHERS, drift()) as http, signed_in(http, staff_token("ops_admin")) as client:
        (task,) = rows(engine, tables.tasks, tenant_id="t1", gathers="spend_burst")
        link = f"{DECISIONS}?task_id={task['id']}"
        assert f'href="{link}">All 60, each with its evidence</a>' in client.get(TASKS).text
        first = client.get(link).text
        following = re.search(r'href="([^"]*)" rel="next"', first)
        assert following is not None
        second = client.get(following.group(1).replace("&amp;", "&")).text
        one = text_of(client.get(f"{DECISIONS}/{many[5].decision_id}").text)
        none = text_of(client.get(f"{DECISIONS}?task_id={NOBODYS}").text)
        wrong = client.get(f"{DECISIONS}?task_id=x").status_code
    assert "Only what joined the task Find out why Acme spends more than usual: 60 bursts of Acme." in text_of(first)
    shown = re.findall(r'class="title" href="/console/decisions/([^"]+)"', first + second)
    assert sorted(shown) == sorted(decision.decision_id for decision in many)
    assert "It joined a task that operations have for others like it; nothing was stopped." in one
    assert "Find out why Acme spends more than usual: 60 bursts" in one
    assert "Only what joined one task, which is not there, or not for you." in none
    assert "No decision fits these filters." in none
    assert wrong == 400


def test_the_api_lists_them_too(engine: sa.Engine) -> None:
    with told(engine, *SEVERAL, ANOTHERS) as http:
        (task,) = rows(engine, tables.tasks, tenant_id="t1")
        mine = http.get("/v1/decisions", params={"task_id": task["id"]}, headers=bearer(token("viewer"))).json()
        others = http.get(
            "/v1/decisions", params={"task_id": task["id"]}, headers=bearer(staff_token("viewer", tenants=["t2"]))
        ).json()
        listed = http.get("/v1/tasks", headers=bearer(token("viewer"))).json()["items"]
    assert sorted(one["decision_id"] for one in mine["items"]) == sorted(one.decision_id for one in SEVERAL)
    assert others["items"] == []
    assert [one["title"] for one in listed] == ["Find out why Acme spends more than usual: 14 bursts"]


def test_another_tenant_sees_neither_task_nor_anomalies(engine: sa.Engine) -> None:
    with told(engine, *SEVERAL) as http, signed_in(http, staff_token("member", tenants=["t2"])) as client:
        task = row(engine, tables.tasks)
        inbox = text_of(client.get(TASKS).text)
        listed = text_of(client.get(f"{DECISIONS}?task_id={task['id']}").text)
    assert "Acme" not in inbox
    assert "Only what joined one task, which is not there, or not for you." in listed
    assert "Acme" not in listed


def test_names_of_workflows_are_shown_as_text(engine: sa.Engine) -> None:
    evil = f"scenario:{HOSTILE}"[:128]
    more = of(2, workflow_id=evil, after=timedelta(minutes=1))
    with told(engine, of(1), more) as http, signed_in(http, staff_token("ops_admin")) as client:
        html = client.get(TASKS).text
    assert evil in text_of(html)
    assert evil not in html
