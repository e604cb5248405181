"""The durable record of stuck executions (40.1)."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables

_stuck = tables.stuck_executions


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One run of a workflow; its id is unique within that workflow."""

    tenant_id: str
    workflow_id: str
    execution_id: str
    automation_version_id: str | None


def record_stuck(
    connection: sa.Connection, execution: Execution, *, stuck_at: datetime, reason_code: str, decision_id: str
) -> None:
    """Record that an execution is stuck; once, whatever the number of calls."""
    _merge(
        connection,
        execution,
        {"stuck_at": stuck_at, "reason_code": reason_code, "stuck_decision_id": decision_id},
    )


def record_recovered(
    connection: sa.Connection, execution: Execution, *, recovered_at: datetime, decision_id: str
) -> None:
    """Record that an execution moved again. May come before `record_stuck`: the row is the same in the end."""
    _merge(connection, execution, {"recovered_at": recovered_at, "recovered_decision_id": decision_id})


def _merge(connection: sa.Connection, execution: Execution, facts: dict[str, datetime | str]) -> None:
    row = {
        "tenant_id": execution.tenant_id,
        "workflow_id": execution.workflow_id,
        "execution_id": execution.execution_id,
        "automation_version_id": execution.automation_version_id,
        **facts,
    }
    connection.execute(_merging(tuple(facts)), row)


@cache
def _merging(facts: tuple[str, ...]) -> sa.Insert:
    statement = insert(_stuck)
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "workflow_id", "execution_id"],
        # The first word on each fact stands.
        set_={name: sa.func.coalesce(_stuck.c[name], statement.excluded[name]) for name in facts},
    )
