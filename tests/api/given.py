"""What the pages are tested on: two tenants whose automations really were blocked and blacklisted by decisions."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa
from fastapi.testclient import TestClient

from api.app import create_app
from api.console.parts import ConsoleParts
from api.database import Database
from config.settings import PlatformApi
from dataflows.decisions import Decision, DecisionKind, ReasonCode
from lifecycle import tables
from lifecycle.options import LifecycleOptions
from lifecycle.platform import HttpPlatform
from lifecycle.seed import Document, seed
from sinks.services import ServicesSink

ORIGIN = "http://localhost:8080"
#: Text that does harm wherever it isn't shown as text.
HOSTILE = """<script>document.title='pwned'</script>"><img src=x onerror="document.title='pwned'">{{7*7}}'--"""
T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)

WORLD: Document = {
    "tenants": [
        {"id": "northwind", "name": "Northwind Traders"},
        {"id": "fabrikam", "name": "Fabrikam"},
    ],
    "systems": [
        {"system_key": "salesforce", "provider": "salesforce", "display_name": "Salesforce"},
        {"system_key": "gmail", "provider": "google", "display_name": "Gmail"},
        {"system_key": "netsuite", "provider": "oracle", "display_name": "NetSuite"},
    ],
    "automations": [
        {"id": "a1", "tenant_id": "northwind", "name": "Invoice sync"},
        {"id": "a2", "tenant_id": "northwind", "name": "Order confirmation mails"},
        {"id": "a3", "tenant_id": "fabrikam", "name": "Nightly stock reconciliation"},
    ],
    "automation_versions": [
        {"id": "v1", "tenant_id": "northwind", "automation_id": "a1", "version": 3, "status": "Live"},
        {"id": "v2", "tenant_id": "northwind", "automation_id": "a2", "version": 1, "status": "Paused"},
        {"id": "v3", "tenant_id": "fabrikam", "automation_id": "a3", "version": 7, "status": "Live"},
    ],
    "workflows": [
        {"workflow_id": "wf1", "tenant_id": "northwind", "name": "Sync invoices to the ledger"},
        {"workflow_id": "wf2", "tenant_id": "northwind", "name": "Send order confirmations"},
        {"workflow_id": "wf3", "tenant_id": "fabrikam", "name": "Reconcile stock overnight"},
    ],
    "workflow_bindings": [
        {"tenant_id": "northwind", "automation_version_id": "v1", "wrk_workflow_id": "wf1", "status": "active"},
        {"tenant_id": "northwind", "automation_version_id": "v2", "wrk_workflow_id": "wf2", "status": "active"},
        {"tenant_id": "fabrikam", "automation_version_id": "v3", "wrk_workflow_id": "wf3", "status": "active"},
    ],
}


def decision(name: str, **changes: Any) -> Decision:
    """A block of `v1` for refused credentials; its id follows from `name`."""
    facts = {
        "decision_id": str(uuid5(UUID(int=0), name)),
        "kind": DecisionKind.BLOCK_FOR_CREDENTIALS,
        "tenant_id": "northwind",
        "workflow_id": "wf1",
        "automation_version_id": "v1",
        "occurred_at": T0,
        "policy_id": "auth_failures",
        "policy_version": 4,
        "reason_code": ReasonCode.CONSECUTIVE_FAILURES,
        "observed": {
            "system_key": "salesforce",
            "consecutive_failures": 3,
            "auth_failures": 5,
            "runs": 12,
            "failure_ratio": 0.4167,
        },
        "threshold": {"consecutive_failures": 3, "failure_ratio": 0.5, "min_runs": 10, "window_seconds": 3600.0},
        "evidence": ["run-4711:failure", "run-4712:failure", "run-4713:failure"],
        "detail": {"failed_systems": ["gmail", "salesforce"]},
    }
    return Decision(**{**facts, **changes})


def stuck(execution: str, minutes: float = 0) -> Decision:
    """An execution of `wf3` without a sign of life."""
    at = T0 + timedelta(minutes=minutes)
    return decision(
        f"stuck {execution}",
        kind=DecisionKind.EXECUTION_STUCK,
        tenant_id="fabrikam",
        workflow_id="wf3",
        automation_version_id="v3",
        occurred_at=at,
        policy_id="stuck_executions",
        reason_code=ReasonCode.NO_ACTIVITY,
        observed={"last_activity_at": (at - timedelta(minutes=30)).isoformat()},
        threshold={"run_timeout_seconds": 1800.0, "queue_timeout_seconds": None},
        evidence=[f"{execution}:started", f"{execution}:running"],
        detail={"execution_id": execution},
    )


def blacklisting(minutes: float = 9) -> Decision:
    """`wf3` got stuck five times."""
    executions = [f"exec-{number}" for number in range(1, 6)]
    return decision(
        "blacklist",
        kind=DecisionKind.BLACKLIST_WORKFLOW,
        tenant_id="fabrikam",
        workflow_id="wf3",
        automation_version_id="v3",
        occurred_at=T0 + timedelta(minutes=minutes),
        policy_id="circuit_breaker",
        reason_code=ReasonCode.STUCK_THRESHOLD,
        observed={"stuck_count": 5, "newest_stuck_at": (T0 + timedelta(minutes=minutes)).isoformat()},
        threshold={"threshold": 5, "window_seconds": 3600.0},
        evidence=[f"{execution}:running" for execution in executions],
        detail={"stuck_count": 5, "execution_ids": executions, "reason": "auto:stuck:5"},
    )


def given_world(engine: sa.Engine, *decisions: Decision, **more: list[dict[str, Any]]) -> None:
    """The world above, in which these decisions were applied."""
    with engine.begin() as connection:
        seed(connection, WORLD)
        seed(connection, more)
    apply(engine, *decisions)


def apply(engine: sa.Engine, *decisions: Decision) -> None:
    """Apply decisions as the monitor does."""

    def refuse(refused: Decision, reason: str) -> None:
        raise AssertionError((refused.decision_id, reason))

    ServicesSink(engine, LifecycleOptions(public_url=ORIGIN), refuse).apply(decisions)


@contextmanager
def browser(database_url: str, *, name: str | None = "Ada") -> Iterator[TestClient]:
    """A browser's session at the console: keeps cookies, sends its origin, follows no redirects by itself."""
    console = ConsoleParts(
        platform=HttpPlatform(PlatformApi()), options=LifecycleOptions(public_url=ORIGIN), sign_in=None
    )
    app = create_app(Database(database_url), console)
    with TestClient(app, base_url=ORIGIN, headers={"Origin": ORIGIN}, follow_redirects=False) as client:
        if name is not None:
            token = form_token(client.get("/console/operator").text)
            client.post("/console/operator", data={"form_token": token, "name": name})
            client.get("/console/operator")  # the notice is read
        yield client


def form_token(html: str) -> str:
    """The token that the page's forms carry."""
    found = re.search(r'name="form_token" value="([^"]+)"', html)
    assert found, html
    return found[1]


def task_ids(engine: sa.Engine) -> list[str]:
    """All tasks, in the order of their titles."""
    with engine.connect() as connection:
        return list(connection.execute(sa.select(tables.tasks.c.id).order_by(tables.tasks.c.title)).scalars())
