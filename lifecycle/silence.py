"""What follows a silence: operations are told, and where one workflow is quiet there is something to do (20.6)."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.ids import stable_id
from lifecycle.kinds import Priority, Severity, TaskContext, TaskKind, Template
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import ops_recipients, tenant_name
from lifecycle.texts import brief, in_words, one_line
from lifecycle.workflows import Workflow


def stream_is_silent(
    connection: sa.Connection, limit: timedelta, last_run_at: datetime, *, decision_id: str, options: LifecycleOptions
) -> None:
    """Tell operations that nobody's runs come. The transaction is the caller's."""
    _tell(connection, None, "all automations", limit, last_run_at, decision_id, options, Severity.CRITICAL)


def workflow_is_quiet(
    connection: sa.Connection,
    workflow: Workflow,
    limit: timedelta,
    last_run_at: datetime,
    *,
    automation_version_id: str | None,
    decision_id: str,
    options: LifecycleOptions,
) -> None:
    """Tell operations that a workflow's runs don't come any more, and open a task. The transaction is the caller's."""
    name = one_line(workflow.name)
    connection.execute(
        insert(tables.tasks),
        {
            "id": stable_id("silence", decision_id),
            "tenant_id": workflow.tenant_id,
            "automation_version_id": automation_version_id,
            "context_type": TaskContext.WORKFLOW,
            "context_id": workflow.workflow_id,
            "kind": TaskKind.GENERAL_TODO,
            "idempotency_key": f"silence:{decision_id}",
            "title": one_line(f"Find out why “{name}” does not run any more"),
            "description": f"“{name}” has a regular rhythm, and for {in_words(limit)} no run of it came.",
            "priority": Priority.MEDIUM,
            "created_by_system": True,
            "decision_id": decision_id,
        },
    )
    what = f"“{brief(name)}” of {brief(tenant_name(connection, workflow.tenant_id))}"
    _tell(connection, workflow.tenant_id, what, limit, last_run_at, decision_id, options, Severity.WARNING)


def _tell(
    connection: sa.Connection,
    tenant_id: str | None,
    what: str,
    limit: timedelta,
    last_run_at: datetime,
    decision_id: str,
    options: LifecycleOptions,
    severity: Severity,
) -> None:
    notice = Notice(
        template=Template.SILENCE,
        severity=severity,
        episode_id=stable_id("silence", decision_id),
        decision_id=decision_id,
        link=options.decision_link(decision_id),
        context={
            "what": what,
            "limit": in_words(limit),
            "last_run_at": f"{last_run_at:%Y-%m-%d %H:%M:%S} UTC",
        },
        recipients=ops_recipients(options),
    )
    put_notices(connection, tenant_id=tenant_id, notices=[notice])
