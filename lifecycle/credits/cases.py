"""Credit cases: an incident opens one, or joins the one that is open for its scenario (50.4).

The partial unique index of open cases lets one in of however many come at once; the others wait for its commit, and
join it under its lock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.credits.case_actions import carry_out
from lifecycle.credits.case_audit import CaseOperation, audit_case
from lifecycle.credits.case_terms import (
    RESPONSE_TIMES,
    SENSITIVE_FLAGS,
    category_of,
    exposure_of,
    new_case_id,
    title_of,
    worst,
)
from lifecycle.credits.case_told import add_task, raise_task, tell_of_case
from lifecycle.credits.incident import Incident
from lifecycle.kinds import ActionResult, CaseAction, CaseSeverity, CaseStatus
from lifecycle.options import LifecycleOptions

_cases = tables.credit_cases.c

#: Two billion ids a day: one that is taken so often is a fault of ours.
_MAX_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What became of an incident."""

    #: The row's id, and the one that people use.
    id: str
    case_id: str
    #: False when it joined a case that was open.
    opened: bool
    #: What became of each action that was due.
    results: dict[CaseAction, ActionResult]


def record_incident(
    connection: sa.Connection,
    incident: Incident,
    *,
    actor_context: ActorContext,
    options: LifecycleOptions,
    draw_id: Callable[[date], str] = new_case_id,
) -> CaseResult:
    """Open a case or join the open one, and carry out what the incident asks for. The transaction is the caller's."""
    now = connection.execute(sa.select(sa.func.now(type_=_cases.opened_at.type))).scalar_one()
    case, opened = _open_or_lock(connection, incident, now, actor_context, draw_id)
    joined = connection.execute(_JOIN, _run(case.id, incident)).first() is not None
    if not joined:
        # A decision is claimed once, so this is another decision on a run that the case has.
        return CaseResult(id=case.id, case_id=case.case_id, opened=False, results={})
    raised = opened
    if not opened:
        raised = worst(CaseSeverity(case.severity), incident.severity) != case.severity
        case = _join(connection, case, incident, now, raised=raised)
    results = carry_out(
        connection, case, incident, opened=opened, raised=raised, actor_context=actor_context, options=options
    )
    audit_case(
        connection,
        case,
        CaseOperation.OPEN if opened else CaseOperation.JOIN,
        actor_context,
        decision_id=incident.decision_id,
        severity=case.severity,
        raised=raised and not opened,
        execution_id=incident.execution_id,
        actions={action.value: result.value for action, result in results.items()},
    )
    if opened:
        add_task(connection, case, decision_id=incident.decision_id, options=options)
    elif raised:
        raise_task(connection, case)
    if raised:
        tell_of_case(connection, case, incident, results, options=options)
    return CaseResult(id=case.id, case_id=case.case_id, opened=opened, results=results)


def lock_open_case(connection: sa.Connection, tenant_id: str, scenario: str) -> sa.Row[Any] | None:
    """The case that is open for a scenario, locked; None when there is none."""
    return connection.execute(
        sa.select(tables.credit_cases)
        .where(_cases.tenant_id == tenant_id, _cases.scenario == scenario, _cases.status != CaseStatus.RESOLVED)
        .with_for_update()
    ).first()


def insert_case(
    connection: sa.Connection, facts: dict[str, Any], now: datetime, draw_id: Callable[[date], str]
) -> sa.Row[Any] | None:
    """Write a case under an id of its own; None when one is open for its scenario."""
    for _ in range(_MAX_TRIES):
        written = connection.execute(_OPEN, {**facts, "case_id": draw_id(now.astimezone(UTC).date())}).first()
        if written is not None or _is_open(connection, facts):
            return written
    raise RuntimeError("no case id is free")


def _open_or_lock(
    connection: sa.Connection,
    incident: Incident,
    now: datetime,
    actor_context: ActorContext,
    draw_id: Callable[[date], str],
) -> tuple[sa.Row[Any], bool]:
    while True:
        written = insert_case(connection, _facts(incident, now, actor_context), now, draw_id)
        if written is not None:
            return written, True
        case = lock_open_case(connection, incident.tenant_id, incident.scenario)
        if case is not None:
            return case, False
        # It was resolved while we waited for its lock: the incident is a new case's.


def _is_open(connection: sa.Connection, facts: dict[str, Any]) -> bool:
    return (
        connection.execute(
            sa.select(_cases.id).where(
                _cases.tenant_id == facts["tenant_id"],
                _cases.scenario == facts["scenario"],
                _cases.status != CaseStatus.RESOLVED,
            )
        ).first()
        is not None
    )


def _facts(incident: Incident, now: datetime, actor_context: ActorContext) -> dict[str, Any]:
    return {
        "tenant_id": incident.tenant_id,
        "scenario": incident.scenario,
        "job_type": incident.job_type,
        "workflow_id": incident.workflow_id,
        "primary_execution_id": incident.execution_id,
        "automation_version_id": incident.automation_version_id,
        "opened_by": actor_context.actor,
        **_terms(incident.severity, _sensitive(incident.risk_flags), incident.scenario),
        "acknowledge_by": _acknowledge_by(incident.severity, now),
    }


def _join(
    connection: sa.Connection, case: sa.Row[Any], incident: Incident, now: datetime, *, raised: bool
) -> sa.Row[Any]:
    severity = worst(CaseSeverity(case.severity), incident.severity)
    values = _terms(severity, _sensitive([*case.sensitive_flags, *incident.risk_flags]), case.scenario)
    if raised:
        # Whoever acknowledged it has acknowledged something less grave.
        values |= {
            "raised_at": now,
            "acknowledge_by": _acknowledge_by(severity, now),
            "acknowledged_at": None,
            "acknowledged_by": None,
            "escalated_at": None,
        }
    return connection.execute(
        sa.update(tables.credit_cases)
        .where(_cases.id == case.id)
        .values(**values, version=_cases.version + 1, updated_at=sa.func.now())
        .returning(tables.credit_cases)
    ).one()


def _terms(severity: CaseSeverity, flags: list[str], scenario: str) -> dict[str, Any]:
    return {
        "severity": severity,
        "sensitive_flags": flags,
        "title": title_of(severity, flags, scenario),
        "category": category_of(flags),
        "exposure_band": exposure_of(severity, flags),
    }


def _sensitive(flags: Any) -> list[str]:
    return [flag for flag in SENSITIVE_FLAGS if flag in flags]


def _acknowledge_by(severity: CaseSeverity, now: datetime) -> datetime | None:
    return now + RESPONSE_TIMES[severity] if severity in RESPONSE_TIMES else None


def _run(case_id: str, incident: Incident) -> dict[str, Any]:
    return {
        "tenant_id": incident.tenant_id,
        "case_id": case_id,
        "workflow_id": incident.workflow_id,
        "execution_id": incident.execution_id,
        "decision_id": incident.decision_id,
        "occurred_at": incident.occurred_at,
        "severity": incident.severity,
        "credits_total": incident.credits_total,
        "baseline_credits": incident.baseline_credits,
        "variance_multiplier": incident.variance_multiplier,
        "misconfig_likelihood": incident.misconfig_likelihood,
        "risk_flags": list(incident.risk_flags),
        "risk_summary": incident.risk_summary,
    }


_OPEN = insert(tables.credit_cases).on_conflict_do_nothing().returning(tables.credit_cases)
_JOIN = insert(tables.credit_case_runs).on_conflict_do_nothing().returning(tables.credit_case_runs.c.execution_id)
