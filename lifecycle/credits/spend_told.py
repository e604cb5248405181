"""What follows a spend anomaly: operations are told, and get one task; nothing is stopped (50.9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.credits.case_told import in_credits
from lifecycle.ids import stable_id
from lifecycle.kinds import Channel, Priority, Severity, SpendRise, TaskContext, TaskKind, Template
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import ops_recipients, tenant_name
from lifecycle.texts import at_time, one_line
from lifecycle.workflows import Workflow, version_of_workflow

#: Of the workflows that rose, so many are named.
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendAnomaly:
    """An episode, as its decision says it. Amounts are credits: of the hour (burst), or a day (drift)."""

    tenant_id: str
    #: None: the tenant's sum over all its workflows.
    workflow: Workflow | None
    decision_id: str
    #: The end of the hour or day.
    occurred_at: datetime
    rise: SpendRise
    spent: float
    expected: float
    limit: float
    #: Of a burst's hour.
    runs: int | None
    #: Ids of the workflows that rose most, where the tenant's sum did.
    risen: Sequence[str]


def tell_of_spend(connection: sa.Connection, anomaly: SpendAnomaly, *, options: LifecycleOptions) -> None:
    """Tell operations and open one task, both once an episode. The transaction is the caller's."""
    tenant = one_line(tenant_name(connection, anomaly.tenant_id))
    who = tenant if anomaly.workflow is None else one_line(anomaly.workflow.name)
    is_burst = anomaly.rise is SpendRise.BURST
    per = "in one hour" if is_burst else "a day"
    spent = f"{in_credits(anomaly.spent)} credits {per}"
    context = {
        "who": who,
        "workflow_name": None if anomaly.workflow is None else who,
        "tenant_name": tenant,
        "is_burst": is_burst,
        "spent": in_credits(anomaly.spent),
        "per": per,
        "expected": in_credits(anomaly.expected),
        "limit": in_credits(anomaly.limit),
        "runs": None if anomaly.runs is None else f"{anomaly.runs:,}",
        "risen": [one_line(workflow_id) for workflow_id in anomaly.risen[:_NAMED]],
        "at": at_time(anomaly.occurred_at),
        "credits_link": options.credits_link(anomaly.tenant_id),
    }
    link = options.decision_link(anomaly.decision_id)
    _add_task(
        connection,
        anomaly,
        title=one_line(f"Find out why “{who}” spends more than usual"),
        description=f"{spent}, where {context['expected']} were expected, as of {context['at']}."
        f" No single run need be dear. {link}",
    )
    notice = Notice(
        template=Template.SPEND_ANOMALY,
        severity=Severity.WARNING,
        episode_id=stable_id("spend_anomaly", anomaly.decision_id),
        decision_id=anomaly.decision_id,
        link=link,
        context=context,
        recipients=ops_recipients(options, (Channel.IN_APP, Channel.SLACK)),
        # What drives up one workflow of a tenant often drives up others: they are told as one.
        cause=anomaly.rise,
    )
    put_notices(connection, tenant_id=anomaly.tenant_id, notices=[notice])


def _add_task(connection: sa.Connection, anomaly: SpendAnomaly, *, title: str, description: str) -> None:
    workflow = anomaly.workflow
    if workflow is None:
        version_id, context = None, (TaskContext.INTERNAL, anomaly.decision_id)
    else:
        version_id = version_of_workflow(connection, workflow.tenant_id, workflow.workflow_id)
        context = (TaskContext.WORKFLOW, workflow.workflow_id)
    connection.execute(
        insert(tables.tasks).on_conflict_do_nothing(),
        {
            "id": stable_id("spend_anomaly_task", anomaly.decision_id),
            "tenant_id": anomaly.tenant_id,
            "automation_version_id": version_id,
            "context_type": context[0],
            "context_id": context[1],
            "kind": TaskKind.GENERAL_TODO,
            "idempotency_key": f"spend_anomaly:{anomaly.decision_id}",
            "title": title,
            "description": description,
            "priority": Priority.MEDIUM,
            "created_by_system": True,
            "episode_id": stable_id("spend_anomaly", anomaly.decision_id),
            "decision_id": anomaly.decision_id,
        },
    )
