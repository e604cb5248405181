"""What people do with a credit case: acknowledge, move on, resolve, reopen it, let its workflows run again (50.4).

Each function locks the case first; the transaction is the caller's. `LifecycleError` says no, and nothing was written.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.admission.gate_holds import release_gate_hold
from lifecycle.capabilities import Capability
from lifecycle.credits.case_audit import CaseOperation, audit_case
from lifecycle.credits.case_statuses import GRAVE, TRANSITIONS, missing_to_resolve
from lifecycle.credits.case_terms import RESPONSE_TIMES, new_case_id
from lifecycle.credits.case_told import add_task, complete_task_of_case
from lifecycle.credits.cases import insert_case
from lifecycle.credits.evidence_hygiene import attempt_evidence_hygiene, enters_wave_1
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.kinds import CaseSeverity, CaseStatus, GateHoldKind, RootCause
from lifecycle.options import LifecycleOptions
from lifecycle.texts import masked

_cases = tables.credit_cases.c
_holds = tables.gate_holds.c


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """What shall be different; None leaves a thing as it is."""

    status: CaseStatus | None = None
    root_cause: RootCause | None = None
    fix: str | None = None
    recurrence_notes: str | None = None
    #: Where the case stands in the process of whoever handles it, and what gates automation there (50.7).
    stage: str | None = None
    wt_gate_for_automation: str | None = None
    wt_gate_verdict: str | None = None
    slack_thread_url: str | None = None

    def differences(self, case: sa.Row[Any]) -> dict[str, Any]:
        """What of it is not so yet, as it is kept: what looks like a secret in texts is masked."""
        wanted = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: _without_secrets(value) if name in _TYPED else value for name, value in wanted.items()}
        return {
            name: value for name, value in kept.items() if value is not None and value != (getattr(case, name) or "")
        }


#: Texts that people write.
_TYPED = frozenset({"fix", "recurrence_notes", "wt_gate_verdict"})
MAX_NOTES = 4000


def acknowledge_case(connection: sa.Connection, *, case_id: str, actor_context: ActorContext) -> bool:
    """Say that somebody looks at it, which lets its workflows run that waited for that; False when somebody had.

    `not_found`, `forbidden`, `concurrency_conflict` when it is resolved.
    """
    case = _lock(connection, case_id)
    _needs(actor_context, Capability.TASKS)
    if case.acknowledged_at is not None:
        return False
    _refuse_resolved(case)
    _acknowledge(connection, case, actor_context)
    return True


def change_case(
    connection: sa.Connection,
    *,
    case_id: str,
    change: CaseChange,
    version: int | None = None,
    actor_context: ActorContext,
) -> bool:
    """Move a case on or resolve it, and say what was found; False when it is so already.

    Whoever moves a case has acknowledged it. Resolved by an admin of operations it holds nothing back any more.
    `not_found`, `forbidden`, `concurrency_conflict` when it is not at `version` any more or is resolved,
    `invalid_status_transition`, `status_prerequisite_missing` with all that a resolution lacks.
    """
    case = _lock(connection, case_id)
    _needs(actor_context, Capability.TASKS)
    values = change.differences(case)
    if not values:
        return False
    if version is not None and version != case.version:
        raise LifecycleError(ErrorCode.CONCURRENCY_CONFLICT, "The case was changed meanwhile; load it again.")
    status = values.get("status")
    if status is not None and status not in TRANSITIONS[CaseStatus(case.status)]:
        raise LifecycleError(
            ErrorCode.INVALID_STATUS_TRANSITION, f"A case that is {case.status} can't become {status}.", _ways(case)
        )
    _refuse_resolved(case)
    resolving = status is CaseStatus.RESOLVED
    if resolving:
        _check_resolution(case, change, actor_context)
        values |= {"resolved_at": sa.func.now(), "resolved_by": actor_context.actor}
    if status is not None and case.acknowledged_at is None:
        case = _acknowledge(connection, case, actor_context)
    changed = _update(connection, case, values)
    audit_case(
        connection,
        changed,
        CaseOperation.RESOLVE if resolving else CaseOperation.CHANGE,
        actor_context,
        from_status=case.status,
        to_status=changed.status,
        root_cause=changed.root_cause,
        fields=sorted(values.keys() - {"resolved_at", "resolved_by"}),
    )
    if enters_wave_1(case.stage, changed.stage):
        attempt_evidence_hygiene(connection, changed, actor_context=actor_context)
    if resolving:
        complete_task_of_case(connection, changed, actor_context)
        if Capability.CASES in actor_context.capabilities:
            _release(connection, changed, actor_context)
    return True


def release_holds_of_case(connection: sa.Connection, *, case_id: str, actor_context: ActorContext) -> int:
    """Let everything run that a case holds back, be it resolved or not; how many holds that ended.

    `not_found`, `forbidden` for all but operations' admins.
    """
    case = _lock(connection, case_id)
    _needs(actor_context, Capability.CASES)
    return _release(connection, case, actor_context)


def reopen_case(
    connection: sa.Connection,
    *,
    case_id: str,
    actor_context: ActorContext,
    options: LifecycleOptions,
    draw_id: Callable[[date], str] = new_case_id,
) -> str:
    """Open another case that goes on from a resolved one; its id. What the old one says stays as it is.

    Who reopens it has acknowledged it. `not_found`, `forbidden`, `invalid_status_transition` when it is not resolved,
    `concurrency_conflict` when another case is open for the scenario.
    """
    case = _lock(connection, case_id)
    _needs(actor_context, Capability.CASES if case.severity in GRAVE else Capability.TASKS)
    if case.status != CaseStatus.RESOLVED:
        raise LifecycleError(ErrorCode.INVALID_STATUS_TRANSITION, "Only a resolved case is reopened.", _ways(case))
    now = connection.execute(sa.select(sa.func.now(type_=_cases.opened_at.type))).scalar_one()
    kept = {name: getattr(case, name) for name in _KEPT}
    severity = CaseSeverity(case.severity)
    written = insert_case(
        connection,
        {
            **kept,
            "reopened_from": case.id,
            "opened_by": actor_context.actor,
            "acknowledge_by": now + RESPONSE_TIMES[severity] if severity in RESPONSE_TIMES else None,
            "acknowledged_at": now,
            "acknowledged_by": actor_context.actor,
        },
        now,
        draw_id,
    )
    if written is None:
        raise LifecycleError(ErrorCode.CONCURRENCY_CONFLICT, "Another case is open for this scenario.")
    audit_case(
        connection,
        written,
        CaseOperation.REOPEN,
        actor_context,
        severity=written.severity,
        reopened_from=case.case_id,
    )
    add_task(connection, written, decision_id=None, options=options)
    case_id_of_new: str = written.case_id
    return case_id_of_new


#: What a case that goes on from another has of it.
_KEPT = (
    "tenant_id", "scenario", "job_type", "workflow_id", "primary_execution_id", "automation_version_id", "title",
    "category", "severity", "exposure_band", "sensitive_flags",
)  # fmt: skip


def _without_secrets(text: str | None) -> str | None:
    return None if text is None else "\n".join(map(masked, text.splitlines())).strip()[:MAX_NOTES]


def _lock(connection: sa.Connection, case_id: str) -> sa.Row[Any]:
    row = connection.execute(sa.select(tables.credit_cases).where(_cases.case_id == case_id).with_for_update()).first()
    if row is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such case in this tenant.")
    return row


def _needs(actor_context: ActorContext, capability: Capability) -> None:
    if capability not in actor_context.capabilities:
        who = "operations' admins" if capability is Capability.CASES else "operations"
        raise LifecycleError(ErrorCode.FORBIDDEN, f"This is done by {who}.")


def _refuse_resolved(case: sa.Row[Any]) -> None:
    if case.status == CaseStatus.RESOLVED:
        raise LifecycleError(ErrorCode.CONCURRENCY_CONFLICT, "The case is resolved; reopen it to go on.")


def _check_resolution(case: sa.Row[Any], change: CaseChange, actor_context: ActorContext) -> None:
    severity = CaseSeverity(case.severity)
    if severity in GRAVE:
        _needs(actor_context, Capability.CASES)
    root_cause = change.root_cause or (None if case.root_cause is None else RootCause(case.root_cause))
    notes = case.recurrence_notes if change.recurrence_notes is None else _without_secrets(change.recurrence_notes)
    missing = missing_to_resolve(severity, root_cause, notes)
    if missing:
        raise LifecycleError(
            ErrorCode.STATUS_PREREQUISITE_MISSING, "The case can't be resolved yet; see what is missing.", missing
        )


def _ways(case: sa.Row[Any]) -> list[Detail]:
    return [
        Detail("possible_status", "status", f"It can become {status}.")
        for status in CaseStatus
        if status in TRANSITIONS[CaseStatus(case.status)]
    ]


def _acknowledge(connection: sa.Connection, case: sa.Row[Any], actor_context: ActorContext) -> sa.Row[Any]:
    changed = _update(
        connection, case, {"acknowledged_at": sa.func.clock_timestamp(), "acknowledged_by": actor_context.actor}
    )
    audit_case(connection, changed, CaseOperation.ACKNOWLEDGE, actor_context, severity=changed.severity)
    _release(connection, changed, actor_context, GateHoldKind.REQUIRE_ACK)
    return changed


def _release(
    connection: sa.Connection, case: sa.Row[Any], actor_context: ActorContext, kind: GateHoldKind | None = None
) -> int:
    workflows = connection.execute(
        sa.select(_holds.workflow_id)
        .where(_holds.tenant_id == case.tenant_id, _holds.case_id == case.id, _holds.released_at.is_(None))
        .distinct()
        .order_by(_holds.workflow_id)
    ).scalars()
    released = sum(
        release_gate_hold(
            connection,
            tenant_id=case.tenant_id,
            workflow_id=workflow_id,
            actor_context=actor_context,
            kind=kind,
            case_id=case.id,
        )
        for workflow_id in workflows.all()
    )
    if kind is None:
        runs = tables.credit_case_runs.c
        connection.execute(
            sa.update(tables.credit_case_runs)
            .where(runs.tenant_id == case.tenant_id, runs.case_id == case.id, runs.artifacts_quarantined)
            .values(artifacts_quarantined=False)
        )
        if released:
            audit_case(connection, case, CaseOperation.RELEASE_HOLDS, actor_context, holds=released)
    return released


def _update(connection: sa.Connection, case: sa.Row[Any], values: dict[str, Any]) -> sa.Row[Any]:
    return connection.execute(
        sa.update(tables.credit_cases)
        .where(_cases.id == case.id)
        .values(**values, version=_cases.version + 1, updated_at=sa.func.now())
        .returning(tables.credit_cases)
    ).one()
