"""Who hears of a credit case: operations, by one task and by one notice for each step of its severity (50.4, 50.5)."""

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.credits.artifact_links import safe_link
from lifecycle.credits.case_actions import MESSAGES, notice_episode, told
from lifecycle.credits.case_statuses import GRAVE
from lifecycle.credits.incident import Incident
from lifecycle.ids import stable_id
from lifecycle.kinds import (
    OPEN_TASK_STATUSES,
    ActionResult,
    CaseAction,
    CaseSeverity,
    Channel,
    Priority,
    Severity,
    TaskContext,
    TaskKind,
    TaskStatus,
    Template,
)
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import on_call_recipients, ops_recipients, tenant_name
from lifecycle.task_closing import close_task
from lifecycle.texts import at_time, one_line

_PRIORITIES = {
    CaseSeverity.SEV0: Priority.CRITICAL,
    CaseSeverity.SEV1: Priority.HIGH,
    CaseSeverity.SEV2: Priority.MEDIUM,
}

_tasks = tables.tasks.c


def add_task(
    connection: sa.Connection, case: sa.Row[Any], *, decision_id: str | None, options: LifecycleOptions
) -> None:
    """The task of a new case."""
    connection.execute(
        insert(tables.tasks),
        {
            "id": stable_id("credit_case_task", case.id),
            "tenant_id": case.tenant_id,
            "automation_version_id": case.automation_version_id,
            "context_type": TaskContext.WORKFLOW,
            "context_id": case.workflow_id,
            "kind": TaskKind.CREDIT_CASE,
            "idempotency_key": _task_key(case),
            "title": case.title,
            "description": (
                f"{case.case_id}: find out why a run of “{one_line(case.scenario)}” is out of the ordinary, and resolve"
                f" the case. {options.case_link(case.case_id)}"
            ),
            "priority": _PRIORITIES[CaseSeverity(case.severity)],
            "created_by_system": True,
            "episode_id": case.id,
            "decision_id": decision_id,
        },
    )


def raise_task(connection: sa.Connection, case: sa.Row[Any]) -> None:
    """A case has become graver, and so has its task; one that somebody closed in the belief that it is done opens."""
    connection.execute(
        sa.update(tables.tasks)
        .where(_tasks.tenant_id == case.tenant_id, _tasks.idempotency_key == _task_key(case))
        .values(
            title=case.title,
            priority=_PRIORITIES[CaseSeverity(case.severity)],
            status=sa.case((_tasks.status.in_(OPEN_TASK_STATUSES), _tasks.status), else_=TaskStatus.PENDING),
            completed_at=None,
            version=_tasks.version + 1,
            updated_at=sa.func.now(),
        )
    )


def complete_task_of_case(connection: sa.Connection, case: sa.Row[Any], actor_context: ActorContext) -> None:
    """The case is resolved, and so nothing is left to do."""
    close_task(
        connection,
        tenant_id=case.tenant_id,
        idempotency_key=_task_key(case),
        actor_context=actor_context,
        episode_id=case.id,
    )


def tell_of_case(
    connection: sa.Connection,
    case: sa.Row[Any],
    incident: Incident,
    results: dict[CaseAction, ActionResult],
    *,
    options: LifecycleOptions,
) -> None:
    """One notice for each step of a case's severity; it says of actions only what is done."""
    severity = CaseSeverity(case.severity)
    channels = {Channel.IN_APP}
    if severity in GRAVE:
        channels.add(Channel.EMAIL)
    if MESSAGES & results.keys():
        channels.add(Channel.SLACK)
    on_call = on_call_recipients(options) if severity is CaseSeverity.SEV0 else ()
    done, not_done = told(results)
    multiplier = incident.variance_multiplier
    put_notices(
        connection,
        tenant_id=case.tenant_id,
        notices=[
            Notice(
                template=Template.CREDIT_CASE,
                severity=Severity.CRITICAL if severity in GRAVE else Severity.WARNING,
                episode_id=notice_episode(case, severity),
                decision_id=incident.decision_id,
                link=options.case_link(case.case_id),
                context={
                    "headline": case.title,
                    "tenant_name": one_line(tenant_name(connection, case.tenant_id)),
                    "case_id": case.case_id,
                    "severity": severity,
                    "scenario": one_line(case.scenario),
                    "job_type": one_line(incident.job_type),
                    "credits": in_credits(incident.credits_total),
                    "baseline": None
                    if incident.baseline_credits is None or multiplier is None
                    else in_credits(incident.baseline_credits),
                    "multiplier": None if multiplier is None else f"{multiplier:,.2f}",
                    "likelihood": one_line(incident.misconfig_likelihood),
                    "flags": ", ".join(incident.risk_flags) or "none",
                    "execution_id": one_line(incident.execution_id),
                    "at": at_time(incident.occurred_at),
                    "run_link": options.decision_link(incident.decision_id),
                    "artifacts_link": _artifacts_link(connection, incident),
                    "acknowledge_by": None if case.acknowledge_by is None else at_time(case.acknowledge_by),
                    "done": list(done),
                    "not_done": list(not_done),
                },
                recipients=(*ops_recipients(options, channels), *on_call),
            )
        ],
    )


def _artifacts_link(connection: sa.Connection, incident: Incident) -> str | None:
    """Where the run's artifacts are, if the ledger has the run by now and it says so."""
    runs = tables.credit_runs.c
    link: str | None = connection.execute(
        sa.select(runs.artifacts_link).where(
            runs.tenant_id == incident.tenant_id,
            runs.workflow_id == incident.workflow_id,
            runs.execution_id == incident.execution_id,
        )
    ).scalar()
    return safe_link(link)


def in_credits(amount: float) -> str:
    """An amount for people: `2,480`, `0.5`; at most two decimals, the nearest, ties to even."""
    return f"{round(Decimal(repr(float(amount))), 2):,f}".rstrip("0").rstrip(".") if amount % 1 else f"{amount:,.0f}"


def _task_key(case: sa.Row[Any]) -> str:
    return f"credit_case:{case.id}"
