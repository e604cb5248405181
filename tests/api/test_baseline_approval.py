"""A task that a proposed baseline waits for: approved or rejected where it is found, in the inbox and by the API."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from lifecycle import tables
from lifecycle.actors import WORKER
from lifecycle.credits.baselines import update_baselines
from lifecycle.credits.iso_weeks import period_of
from lifecycle.options import LifecycleOptions
from tests.api.console_given import signed_in
from tests.api.given import form_token
from tests.api.test_console import text_of
from tests.api.v1_given import bearer, running, staff_token, token
from tests.lifecycle.given import row, rows
from tests.lifecycle.ledger_given import entry, spend
from tests.lifecycle.worker import run_jobs

MONDAY, END = period_of("2026-W10")
ADMIN = staff_token("ops_admin")


@contextmanager
def waiting(engine: sa.Engine) -> Iterator[tuple[TestClient, dict[str, Any]]]:
    """A baseline of 100 that shall become 200, and its task."""
    with running(engine) as (http, _, _):
        before = [entry(MONDAY - timedelta(days=20, hours=hour), 100) for hour in range(8)]
        spend(engine, [*before, *[entry(MONDAY + timedelta(hours=12 * number), 200) for number in range(13)]])
        with engine.begin() as connection:
            for at in (MONDAY - timedelta(days=19), END):
                update_baselines(connection, at, actor_context=WORKER, options=LifecycleOptions())
        yield http, dict(row(engine, tables.tasks, kind="approval"))


def in_force(engine: sa.Engine) -> tuple[float, str, str]:
    """What the scenario's runs are compared with, where it is from, and who decided that."""
    found = row(engine, tables.credit_baselines, status="current")
    return float(found["median_credits"]), found["origin"], found["decided_by"]


@pytest.mark.parametrize(
    ("word", "says", "then"),
    [
        pytest.param("approve", "The baseline is in force.", (200, "approved", "u9"), id="approved"),
        pytest.param("reject", "The baseline stays as it was.", (100, "measured", "service:worker"), id="rejected"),
    ],
)
def test_it_is_decided_in_the_inbox(
    engine: sa.Engine, word: str, says: str, then: tuple[float, str, str], tmp_path: Path
) -> None:
    with waiting(engine) as (http, task), signed_in(http, ADMIN) as client:
        html = client.get("/console/tasks").text
        assert "100 → 200 credits (+100%), from 21 healthy runs" in text_of(html)
        assert "Complete:" not in html
        data = {"form_token": form_token(html), "version": task["version"]}
        done = client.post(f"/console/tasks/{task['id']}/{word}", data=data)
        assert (done.status_code, done.headers["location"]) == (303, "/console/tasks")
        assert says in text_of(client.get("/console/tasks").text)
        again = client.post(f"/console/tasks/{task['id']}/{word}", data=data)
        assert again.status_code == 303
        assert "closed already" in text_of(client.get("/console/tasks").text)
    assert in_force(engine) == then
    assert row(engine, tables.tasks, id=task["id"])["status"] == "complete"
    audits = [one["action_type"] for one in rows(engine, tables.audit_logs, actor="u9")]
    assert sorted(one for one in audits if one != "staff_access") == ["update_baseline", "update_task"]
    file = tmp_path / "baselines.json"
    run_jobs(engine, {}, options=LifecycleOptions(baselines_path=file))
    assert [one["median_credits"] for one in json.loads(file.read_bytes())["baselines"]] == [then[0]]


def test_who_looks_at_an_old_page_decides_nothing(engine: sa.Engine) -> None:
    with waiting(engine) as (http, task), signed_in(http, ADMIN) as client:
        html = client.get("/console/tasks").text
        data = {"form_token": form_token(html), "version": task["version"] + 1}
        client.post(f"/console/tasks/{task['id']}/approve", data=data)
        assert "Somebody changed this task meanwhile" in text_of(client.get("/console/tasks").text)
    assert in_force(engine) == (100, "measured", "service:worker")


def test_others_are_told_who_approves(engine: sa.Engine) -> None:
    with waiting(engine) as (http, task), signed_in(http, token("ops_build")) as client:
        html = client.get("/console/tasks").text
        assert "To approve takes ops_admin or admin." in text_of(html)
        data = {"form_token": form_token(html), "version": task["version"]}
        assert client.post(f"/console/tasks/{task['id']}/approve", data=data).status_code == 403
    assert in_force(engine) == (100, "measured", "service:worker")


@pytest.mark.parametrize(
    ("who", "operation", "status", "code"),
    [
        pytest.param(ADMIN, "approve", 200, None, id="approve"),
        pytest.param(ADMIN, "complete", 409, "approval_required", id="to complete it says nothing"),
        pytest.param(None, "approve", 403, "forbidden", id="somebody of operations who is no admin"),
    ],
)
def test_by_the_api(engine: sa.Engine, who: str | None, operation: str, status: int, code: str | None) -> None:
    with waiting(engine) as (http, task):
        body = {"operation": operation, "version": task["version"]}
        headers = bearer(who or token("ops_build"))
        answer = http.patch(f"/v1/tasks/{task['id']}", headers=headers, json=body)
    assert (answer.status_code, answer.json().get("error_code")) == (status, code)
    if code is None:
        assert answer.json()["task"]["status"] == "complete"
    elif code == "approval_required":
        assert "approve or reject it" in answer.json()["message"]
    assert in_force(engine)[0] == (100 if code else 200)


def test_a_task_without_a_baseline_is_not_approved(engine: sa.Engine) -> None:
    with waiting(engine) as (http, task):
        with engine.begin() as connection:
            connection.execute(sa.update(tables.tasks).values(idempotency_key="something else"))
        body = {"version": task["version"]}
        path, headers = f"/v1/tasks/{task['id']}", bearer(ADMIN)
        refused = http.patch(path, headers=headers, json=body | {"operation": "approve"})
        done = http.patch(path, headers=headers, json=body | {"operation": "complete"})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "status_prerequisite_missing")
    assert done.json()["task"]["status"] == "complete"
