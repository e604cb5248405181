"""Ask as tenant A for what is tenant B's: nothing of B's is shown or changed, and nobody can tell it is there."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fastapi.testclient import TestClient

#: The things of an address, each with an id of B's and one that nobody has.
Ids = dict[str, tuple[str, str]]

_ROUTES: Sequence[tuple[str, str, str, dict[str, Any] | None]] = (
    ("GET", "/v1/automation-versions/{id}", "version", None),
    ("GET", "/v1/automation-versions/{id}/history", "version", None),
    ("GET", "/v1/automation-versions/{id}/transitions", "version", None),
    ("GET", "/v1/decisions/{id}", "decision", None),
    ("GET", "/v1/automation-versions?automation_id={id}", "automation", None),
    ("GET", "/v1/automation-versions?after={id}", "version", None),
    ("GET", "/v1/tasks?automation_version_id={id}", "version", None),
    ("GET", "/v1/audit?resource_id={id}", "version", None),
    ("PATCH", "/v1/tasks/{id}", "task", {"operation": "claim", "version": 1}),
    ("PATCH", "/v1/tasks/{id}", "task", {"operation": "complete", "version": 1}),
    ("PATCH", "/v1/tasks/{id}", "task", {"operation": "assign", "version": 1, "assignee_user_id": "u1"}),
    ("POST", "/v1/automation-versions/{id}/unblock", "version", {"mode": "override", "reason": "mine"}),
    ("POST", "/v1/credentials/{id}/validated", "credential", {"event_id": "e"}),
    ("POST", "/v1/credentials/{id}/invalidated", "credential", {"event_id": "e", "status": "revoked"}),
    ("POST", "/v1/holds/{id}/release", "hold", {}),
    ("POST", "/v1/holds/{id}/reject", "hold", {"reason": "mine"}),
    ("GET", "/v1/cases/{id}", "credit_case", None),
    ("PATCH", "/v1/cases/{id}", "credit_case", {"status": "Investigating", "stage": "mine"}),
    ("POST", "/v1/cases/{id}/acknowledge", "credit_case", None),
    ("POST", "/v1/cases/{id}/release-holds", "credit_case", None),
    ("POST", "/v1/cases/{id}/reopen", "credit_case", None),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was asked, and what gave something away."""

    requests: int
    told_apart: Sequence[str]
    shown: Sequence[str]
    changed: bool


def ask(
    client: TestClient,
    engine: sa.Engine,
    tokens: Sequence[str],
    ids: Ids,
    statuses: Sequence[str],
    *,
    requests: int,
    seed: int = 0,
) -> Outcome:
    """Ask for B's ids and for ids of nobody, in pairs; compare the answers, and B's rows before and after."""
    chosen = random.Random(seed)
    before = rows_of(engine, "t2")
    told_apart, shown = [], []
    for _ in range(requests // 2):
        headers = {"Authorization": f"Bearer {chosen.choice(tokens)}"}
        method, path, kind, body = chosen.choice(_ROUTES)
        if chosen.random() < 0.3:
            method, path, kind = "PATCH", "/v1/automation-versions/{id}/status", "version"
            body = _status_body(chosen, statuses)
        answers = [client.request(method, path.format(id=row_id), json=body, headers=headers) for row_id in ids[kind]]
        theirs, nobodys = (_comparable(answer) for answer in answers)
        if theirs != nobodys:
            told_apart.append(f"{method} {path}: {theirs} {nobodys}")
        if "t2" in str(theirs) or "Globex" in str(theirs):
            shown.append(f"{method} {path}")
    return Outcome(requests // 2 * 2, told_apart, shown, rows_of(engine, "t2") != before)


def rows_of(engine: sa.Engine, tenant_id: str) -> dict[str, list[str]]:
    """Every row of a tenant, as text, by table."""
    with engine.connect() as connection:
        names = connection.execute(
            sa.text(
                "SELECT table_name FROM information_schema.columns"
                " WHERE column_name = 'tenant_id' AND table_schema = 'public' ORDER BY 1"
            )
        ).scalars()
        return {
            name: list(
                connection.execute(
                    sa.text(f"SELECT t::text FROM {name} t WHERE tenant_id = :tenant ORDER BY 1"),
                    {"tenant": tenant_id},
                ).scalars()
            )
            for name in names.all()
        }


def _status_body(chosen: random.Random, statuses: Sequence[str]) -> dict[str, Any]:
    return {
        "status": chosen.choice(statuses),
        "blocked_reason": "mine",
        "reason": "mine",
        "tenant_id": "t2",
        **({"last_known_status": chosen.choice(statuses)} if chosen.random() < 0.5 else {}),
    }


def _comparable(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    """An answer without what differs from request to request anyway."""
    body = answer.json()
    request_id = body.get("request_id", "") if isinstance(body, dict) else ""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    return answer.status_code, answer.content.replace(request_id.encode() or b"\x00", b""), headers
