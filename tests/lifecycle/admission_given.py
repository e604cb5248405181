"""Workflows in every state that the gate tells apart, and words to ask it."""

from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import MONITOR
from lifecycle.admission.admissions import Answer, Request, Unanswerable, answer
from lifecycle.admission.gate_holds import put_gate_hold
from lifecycle.kinds import BlacklistSource, GateHoldKind, RefusalCode, Trigger
from tests.lifecycle.given import given_world

#: Workflow -> the status of its version, the kind of hold, and what the gate says. All are of tenant t1.
STATES: dict[str, tuple[str, RefusalCode | None]] = {
    "live": ("Live", None),
    "blacklisted": ("Live", RefusalCode.WORKFLOW_BLACKLISTED),
    "paused": ("Paused", RefusalCode.AUTOMATION_PAUSED),
    "blocked": ("Blocked", RefusalCode.AUTOMATION_BLOCKED),
    "archived": ("Archived", RefusalCode.AUTOMATION_ARCHIVED),
    "never launched": ("Ready to Launch", RefusalCode.AUTOMATION_NOT_LIVE),
    "quarantined": ("Live", RefusalCode.WORKFLOW_ON_HOLD),
    "waits for an ack": ("Live", RefusalCode.WORKFLOW_ON_HOLD),
}
_MORE_COLUMNS: dict[str, str] = {
    "Blocked": "status = 'Blocked', blocked_from_status = 'Live', blocked_reason = 'credentials', blocked_at = now(),"
    " block_episode_id = gen_random_uuid()",
    "Archived": "status = 'Archived', archived_at = now()",
}


def given_states(engine: sa.Engine) -> None:
    """A workflow for each state."""
    given_world(
        engine,
        automations=[{"id": f"a {state}", "tenant_id": "t1", "name": state} for state in STATES],
        automation_versions=[
            {
                "id": f"v {state}",
                "tenant_id": "t1",
                "automation_id": f"a {state}",
                "version": 1,
                "status": "Live" if status in _MORE_COLUMNS else status,
            }
            for state, (status, _) in STATES.items()
        ],
        workflows=[{"workflow_id": state, "tenant_id": "t1", "name": state} for state in STATES],
        workflow_bindings=[
            {
                "tenant_id": "t1",
                "automation_version_id": f"v {state}",
                "wrk_workflow_id": state,
                "status": "active",
            }
            for state in STATES
        ],
    )
    with engine.begin() as connection:
        for state, (status, _) in STATES.items():
            if status in _MORE_COLUMNS:
                changes = _MORE_COLUMNS[status]
                connection.exec_driver_sql(f"UPDATE automation_versions SET {changes} WHERE id = 'v {state}'")
        hold(connection, "quarantined", GateHoldKind.QUARANTINE)
        hold(connection, "waits for an ack", GateHoldKind.REQUIRE_ACK)
        blacklist(connection, "blacklisted")


def blacklist(connection: sa.Connection, workflow_id: str, tenant_id: str = "t1") -> None:
    """Put a workflow on the list."""
    connection.execute(
        sa.insert(tables.workflow_blacklist),
        {
            "tenant_id": tenant_id,
            "workflow_id": workflow_id,
            "workflow_name": workflow_id,
            "source": BlacklistSource.MANUAL,
            "reason": "manual:test",
            "blacklisted_by": "u9",
        },
    )


def unblacklist(connection: sa.Connection, workflow_id: str) -> None:
    """Take it off."""
    listed = tables.workflow_blacklist
    connection.execute(
        sa.update(listed).where(listed.c.workflow_id == workflow_id).values(removed_at=sa.func.now(), removed_by="u9")
    )


def hold(connection: sa.Connection, workflow_id: str, kind: GateHoldKind, execution_id: str | None = None) -> None:
    """Hold a workflow of t1, or what an execution of it asks for."""
    assert put_gate_hold(
        connection,
        tenant_id="t1",
        workflow_id=workflow_id,
        kind=kind,
        execution_id=execution_id,
        actor_context=MONITOR,
    )


def request(workflow_id: str = "live", key: str = "k1", **changes: Any) -> Request:
    """A request of a service that acts for t1."""
    asked = {
        "workflow_id": workflow_id,
        "trigger": Trigger.SCHEDULE,
        "idempotency_key": key,
        "tenants": frozenset({"t1"}),
    }
    return Request(**{**asked, **changes})


def ask(engine: sa.Engine, *requests: Request) -> list[Answer | Unanswerable]:
    """Ask in one transaction."""
    with engine.begin() as connection:
        return answer(connection, requests)


def ask_one(engine: sa.Engine, asked: Request) -> Answer:
    """Ask for one that can be answered."""
    (found,) = ask(engine, asked)
    assert isinstance(found, Answer), found
    return found
