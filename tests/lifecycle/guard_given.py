"""Many tenants with one Live automation each, and what the guard's tests ask of them."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from dataflows.decisions import Decision
from lifecycle import tables
from lifecycle.options import LifecycleOptions
from lifecycle.seed import Document, seed
from sinks.services import ServicesSink
from tests.sinks.given import blocks

SYSTEMS = [
    {"system_key": "crm", "provider": "salesforce", "display_name": "Salesforce"},
    {"system_key": "mail", "provider": "google", "display_name": "Gmail"},
]


def many_tenants(count: int) -> Document:
    """Tenants `t000` and on, with version `v000` Live on workflow `w000` and a contact."""
    numbers = [f"{number:03}" for number in range(count)]
    return {
        "tenants": [{"id": f"t{n}", "name": f"Tenant {n}"} for n in numbers],
        "contacts": [{"tenant_id": f"t{n}", "name": n, "email": f"contact@tenant{n}.example"} for n in numbers],
        "systems": SYSTEMS,
        "automations": [{"id": f"a{n}", "tenant_id": f"t{n}", "name": f"Automation {n}"} for n in numbers],
        "automation_versions": [
            {"id": f"v{n}", "tenant_id": f"t{n}", "automation_id": f"a{n}", "version": 1, "status": "Live"}
            for n in numbers
        ],
        "workflows": [{"workflow_id": f"w{n}", "tenant_id": f"t{n}", "name": f"Workflow {n}"} for n in numbers],
        "workflow_bindings": [
            {"tenant_id": f"t{n}", "automation_version_id": f"v{n}", "wrk_workflow_id": f"w{n}", "status": "active"}
            for n in numbers
        ],
    }


def given_tenants(engine: sa.Engine, count: int) -> None:
    """Write them."""
    with engine.begin() as connection:
        seed(connection, many_tenants(count))


def block_of(number: int, *systems: str, at: float = 0, cause: str = "e3", **changes: Any) -> Decision:
    """The decision to block tenant `number`'s version."""
    return blocks(
        *systems,
        at=at,
        cause=cause,
        tenant_id=f"t{number:03}",
        workflow_id=f"w{number:03}",
        automation_version_id=f"v{number:03}",
        **changes,
    )


def refuse_dead_letter(decision: Decision, code: str) -> None:
    """These decisions can all be applied."""
    raise AssertionError(f"{decision.decision_id}: {code}")


def apply(engine: sa.Engine, decisions: Iterable[Decision], options: LifecycleOptions | None = None) -> list[str]:
    """Apply decisions as the monitor's sink does; what became of each."""
    sink = ServicesSink(engine, options or LifecycleOptions(), refuse_dead_letter)
    return [f"{result.outcome} {result.reason}" for result in sink.apply(decisions)]


def statuses(engine: sa.Engine) -> dict[str, str]:
    """The versions that are not Live."""
    versions = tables.automation_versions.c
    with engine.connect() as connection:
        found = connection.execute(sa.select(versions.id, versions.status).where(versions.status != "Live"))
        return {row.id: row.status for row in found}
