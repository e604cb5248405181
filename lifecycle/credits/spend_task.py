"""The task of spend anomalies: those of one tenant and kind that come together are one thing to do (50.9, 60.5).

What drives up one workflow, such as a new price or a loop, often drives up all of a tenant's, and their sum as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.case_told import in_credits
from lifecycle.credits.spend_anomaly import SpendAnomaly
from lifecycle.ids import stable_id
from lifecycle.kinds import OPEN_TASK_STATUSES, Priority, SpendRise, TaskContext, TaskKind
from lifecycle.options import LifecycleOptions
from lifecycle.texts import at_time, brief, one_line
from lifecycle.turns import wait_for_turn
from lifecycle.workflows import version_of_workflow

#: An anomaly joins the open task of another one that is less than this away from it in event time: as long as a burst
#: takes to end without a further hour; a drift's week.
WINDOWS = {SpendRise.BURST: timedelta(hours=24), SpendRise.DRIFT: timedelta(days=7)}

#: What several are called.
PLURALS = {SpendRise.BURST: "bursts", SpendRise.DRIFT: "drifts"}

_tasks = tables.tasks.c
_joined = tables.task_decisions.c
_decisions = tables.decisions.c


@dataclass(frozen=True, slots=True)
class SpendTask:
    """The task that an anomaly has joined."""

    id: str
    #: The decision on its first anomaly.
    opened_by: str
    #: How many anomalies it tells of, this one included.
    count: int


def open_or_join(
    connection: sa.Connection, anomaly: SpendAnomaly, *, tenant: str, options: LifecycleOptions
) -> SpendTask:
    """Have the anomaly join the task that is open for its tenant and kind, or open one.

    The transaction is the caller's. One after another for a tenant and kind: what was opened is committed before the
    next one looks.
    """
    wait_for_turn(connection, stable_id("spend_task", anomaly.tenant_id, anomaly.rise))
    window = WINDOWS[anomaly.rise]
    task = connection.execute(
        sa.select(_tasks.id, _tasks.decision_id, _tasks.context_id)
        .join(tables.decisions, _decisions.decision_id == _tasks.decision_id)
        .where(
            _tasks.tenant_id == anomaly.tenant_id,
            _tasks.gathers == anomaly.rise,
            _tasks.status.in_(OPEN_TASK_STATUSES),
            _decisions.occurred_at > anomaly.occurred_at - window,
            _decisions.occurred_at < anomaly.occurred_at + window,
        )
        .order_by(_tasks.created_at.desc(), _tasks.id)
        .limit(1)
        .with_for_update(of=tables.tasks)
    ).first()
    if task is None:
        task_id = _open(connection, anomaly, tenant, options)
        _join(connection, anomaly, task_id)
        return SpendTask(task_id, anomaly.decision_id, 1)
    _join(connection, anomaly, task.id)
    count = connection.execute(
        sa.select(sa.func.count()).select_from(tables.task_decisions).where(_joined.task_id == task.id)
    ).scalar_one()
    changes: dict[str, Any] = {
        "title": f"Find out why {brief(tenant)} spends more than usual: {count:,} {PLURALS[anomaly.rise]}",
        "description": (
            f"{PLURALS[anomaly.rise].capitalize()} that come together often have one cause, such as a new price, a new"
            " prompt or a loop: look for what these have in common, first at those furthest above what was expected."
            f" No single run need be dear. All of them: {options.decisions_link(task.id)}"
        ),
    }
    if anomaly.workflow is None or anomaly.workflow.workflow_id != task.context_id:
        # It is about no single workflow, nor about its automation, any more.
        changes |= {"automation_version_id": None, "context_type": TaskContext.INTERNAL, "context_id": task.decision_id}
    _change(connection, task.id, changes)
    return SpendTask(task.id, task.decision_id, count)


def per(rise: SpendRise) -> str:
    """What amounts are of."""
    return "in one hour" if rise is SpendRise.BURST else "a day"


def _open(connection: sa.Connection, anomaly: SpendAnomaly, tenant: str, options: LifecycleOptions) -> str:
    """Write the task of a first anomaly; its id."""
    workflow = anomaly.workflow
    task_id = stable_id("spend_anomaly_task", anomaly.decision_id)
    if workflow is None:
        version_id, context, who = None, (TaskContext.INTERNAL, anomaly.decision_id), tenant
    else:
        version_id = version_of_workflow(connection, workflow.tenant_id, workflow.workflow_id)
        context, who = (TaskContext.WORKFLOW, workflow.workflow_id), f"“{workflow.name}”"
    connection.execute(
        sa.insert(tables.tasks),
        {
            "id": task_id,
            "tenant_id": anomaly.tenant_id,
            "automation_version_id": version_id,
            "context_type": context[0],
            "context_id": context[1],
            "kind": TaskKind.GENERAL_TODO,
            "idempotency_key": f"spend_anomaly:{anomaly.decision_id}",
            "title": one_line(f"Find out why {who} spends more than usual"),
            "description": (
                f"{in_credits(anomaly.spent)} credits {per(anomaly.rise)}, where {in_credits(anomaly.expected)} were"
                f" expected, as of {at_time(anomaly.occurred_at)}. No single run need be dear."
                f" {options.decision_link(anomaly.decision_id)}"
            ),
            "priority": Priority.MEDIUM,
            "created_by_system": True,
            "episode_id": stable_id("spend_anomaly", anomaly.decision_id),
            "decision_id": anomaly.decision_id,
            "gathers": anomaly.rise,
        },
    )
    return task_id


def _join(connection: sa.Connection, anomaly: SpendAnomaly, task_id: str) -> None:
    connection.execute(
        sa.insert(tables.task_decisions),
        {"tenant_id": anomaly.tenant_id, "task_id": task_id, "decision_id": anomaly.decision_id},
    )


def _change(connection: sa.Connection, task_id: str, changes: Mapping[str, Any]) -> None:
    connection.execute(
        sa.update(tables.tasks)
        .where(_tasks.id == task_id)
        .values(**changes, version=_tasks.version + 1, updated_at=sa.func.now())
    )
