"""`/api/platform/silences`: read, made and ended by the platform's admins, and by nobody else (60.5)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from lifecycle import tables
from tests.api.v1_given import bearer, running, staff_token, token
from tests.lifecycle.given import rows

PATH = "/api/platform/silences"
ADMIN = bearer(staff_token("platform_admin"))
UNKNOWN = uuid5(NAMESPACE_DNS, "nobody")


def add(http: TestClient, hours: float = 1, **body: Any) -> Any:
    """Ask for a silence."""
    expires_at = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    return http.post(PATH, headers=ADMIN, json={"reason": "Maintenance", "expires_at": expires_at, **body})


def test_add_list_and_end(engine: sa.Engine) -> None:
    """With its author and reason, and who ended it; the end is the first one."""
    with running(engine) as (http, _, _):
        added = add(http, tenant_id="t1", template="automation_blocked", channel="slack", severity="critical")
        listed = http.get(PATH, headers=ADMIN).json()
        ended, again = (http.delete(f"{PATH}/{added.json()['id']}", headers=ADMIN) for _ in range(2))
        none = http.get(PATH, headers=ADMIN).json()
        over = http.get(f"{PATH}?active=false", headers=ADMIN).json()
    assert added.status_code == 201
    assert listed == {"items": [added.json()]}
    wanted = {
        "tenant_id": "t1",
        "template": "automation_blocked",
        "channel": "slack",
        "severity": "critical",
        "reason": "Maintenance",
        "created_by": "u9",
        "ended_at": None,
    }
    assert {name: added.json()[name] for name in wanted} == wanted
    assert ended.json()["ended_by"] == "u9"
    assert again.json() == ended.json()
    assert none == {"items": []}
    assert over == {"items": [ended.json()]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({}, 409, id="it names nothing"),
        pytest.param({"channel": "slack", "reason": "  "}, 422, id="no reason"),
        pytest.param({"channel": "pigeon"}, 422, id="no channel of ours"),
        pytest.param({"channel": "slack", "hours": -1}, 409, id="it ends in the past"),
        pytest.param({"channel": "slack", "hours": 24 * 31}, 409, id="it ends too late"),
        pytest.param({"channel": "slack", "expires_at": "2026-03-02T08:00:00"}, 422, id="an end without a zone"),
        pytest.param({"tenant_id": "t999"}, 404, id="no tenant of ours"),
    ],
)
def test_what_is_no_silence_is_refused(engine: sa.Engine, body: dict[str, Any], status: int) -> None:
    """And nothing is written."""
    with running(engine) as (http, _, _):
        assert add(http, **body).status_code == status
        assert http.delete(f"{PATH}/{UNKNOWN}", headers=ADMIN).status_code == 404
    assert rows(engine, tables.notice_silences) == []


@pytest.mark.parametrize("who", [staff_token("ops_admin"), token("admin")], ids=["operations", "a tenant's admin"])
def test_nobody_else_may(engine: sa.Engine, who: str) -> None:
    """Read or change."""
    with running(engine) as (http, _, _):
        expires_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        body = {"channel": "slack", "reason": "x", "expires_at": expires_at}
        answers = [
            http.get(PATH, headers=bearer(who)),
            http.post(PATH, headers=bearer(who), json=body),
            http.delete(f"{PATH}/{UNKNOWN}", headers=bearer(who)),
        ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert rows(engine, tables.notice_silences) == []
