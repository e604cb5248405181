"""Create the evidence hygiene task of a case, once for all time, with a receipt of every attempt (50.7).

The unique key of tasks lets one in of however many come at once; the others find it there. An attempt that fails is
taken back to before it and leaves its receipt, so the case's change is not lost with it; a sweep tries it again.
"""

import unicodedata
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.ids import stable_id
from lifecycle.kinds import AuditAction, CaseStatus, Priority, ReceiptOutcome, TaskContext, TaskKind

#: The stage whose beginning asks for the task, and what the gate must say for it.
WAVE_1_SENT = "Wave-1 Sent"
ALLOWED = "✅ ALLOWED"

TITLE = "Evidence Hygiene (Wave-1)"
MODE = "Draft-Only"

#: So often an attempt that failed is made, the first one counted.
MAX_ATTEMPTS = 5

_cases, _receipts, _tasks = tables.credit_cases.c, tables.run_receipts.c, tables.tasks.c


def plain(value: str | None) -> str:
    """A select's value as it is compared: without variation selectors and without spaces around it."""
    shown = "".join(char for char in value or "" if not _is_variation_selector(char))
    return shown.strip()


def enters_wave_1(before: str | None, after: str | None) -> bool:
    """Whether a stage becomes `Wave-1 Sent`; one that it was already does not become it again."""
    return plain(after) == WAVE_1_SENT != plain(before)


def task_key(case_id: str) -> str:
    """What the task of a case is known by, whatever state it is in."""
    return f"{case_id}:evidence_hygiene:v1"


def attempt_evidence_hygiene(
    connection: sa.Connection, case: sa.Row[Any], *, actor_context: ActorContext
) -> ReceiptOutcome:
    """Create the task if the gate allows it and it never was; the receipt says which. The stage is the caller's.

    Raises only what keeps the receipt itself from being written; then the caller's transaction is lost as a whole.
    """
    if plain(case.wt_gate_for_automation) != plain(ALLOWED):
        said = (case.wt_gate_verdict, case.wt_gate_for_automation)
        reason = next((value.strip() for value in said if plain(value)), None)
        _write_receipt(connection, case, ReceiptOutcome.BLOCKED, reason=reason)
        return ReceiptOutcome.BLOCKED
    try:
        with connection.begin_nested():  # the task and its receipt, or neither
            task_id, outcome = _create(connection, case, actor_context)
            _write_receipt(connection, case, outcome, task_id=task_id)
    except Exception as error:  # noqa: BLE001  (whatever it is, the attempt has its receipt)
        # Its text may quote the case.
        reason = type(getattr(error, "orig", None) or error).__name__
        _write_receipt(connection, case, ReceiptOutcome.ERROR, reason=reason)
        return ReceiptOutcome.ERROR
    return outcome


def repeat_failed_attempts(connection: sa.Connection, *, actor_context: ActorContext) -> list[ReceiptOutcome]:
    """Try again for cases that are still in the stage and whose last attempt failed; what came of each, by case.

    Cases that somebody changes at the moment are left for the next time.
    """
    last = (
        sa.select(_receipts.outcome)
        .where(_receipts.tenant_id == _cases.tenant_id, _receipts.case_id == _cases.id)
        .order_by(_receipts.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    failed = connection.execute(
        sa.select(tables.credit_cases)
        .where(_cases.status != CaseStatus.RESOLVED, last == ReceiptOutcome.ERROR, _COUNT_ERRORS < MAX_ATTEMPTS)
        .order_by(_cases.id)
        .with_for_update(skip_locked=True)
    ).all()
    return [
        attempt_evidence_hygiene(connection, case, actor_context=actor_context)
        for case in failed
        if plain(case.stage) == WAVE_1_SENT
    ]


def _create(connection: sa.Connection, case: sa.Row[Any], actor_context: ActorContext) -> tuple[str, ReceiptOutcome]:
    key = task_key(case.case_id)
    created: str | None = connection.execute(
        _CREATE,
        {
            "id": stable_id("evidence_hygiene_task", case.id),
            "tenant_id": case.tenant_id,
            "automation_version_id": case.automation_version_id,
            "context_type": TaskContext.WORKFLOW,
            "context_id": case.workflow_id,
            "kind": TaskKind.EVIDENCE_HYGIENE,
            "mode": MODE,
            "idempotency_key": key,
            "title": TITLE,
            "description": f"{case.case_id}: check the evidence that the first wave was sent with. Drafts only.",
            "priority": Priority.CRITICAL,
            "created_by_user_id": actor_context.user_id,
            "created_by_system": actor_context.system_initiated,
            "episode_id": case.id,
        },
    ).scalar()
    if created is None:
        there: str = connection.execute(
            sa.select(_tasks.id).where(_tasks.tenant_id == case.tenant_id, _tasks.idempotency_key == key)
        ).scalar_one()
        return there, ReceiptOutcome.DUPLICATE
    write_audit(
        connection,
        tenant_id=case.tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.CREATE_TASK,
                resource_type="task",
                resource_id=created,
                episode_id=case.id,
                metadata={"kind": TaskKind.EVIDENCE_HYGIENE, "case_id": case.case_id},
            )
        ],
    )
    return created, ReceiptOutcome.CREATED


def _write_receipt(
    connection: sa.Connection,
    case: sa.Row[Any],
    outcome: ReceiptOutcome,
    *,
    reason: str | None = None,
    task_id: str | None = None,
) -> None:
    connection.execute(
        sa.insert(tables.run_receipts).values(
            tenant_id=case.tenant_id,
            case_id=case.id,
            idempotency_key=task_key(case.case_id),
            outcome=outcome,
            reason=reason,
            gate=case.wt_gate_for_automation,
            task_id=task_id,
        )
    )


def _is_variation_selector(char: str) -> bool:
    return unicodedata.name(char, "").startswith("VARIATION SELECTOR")


_COUNT_ERRORS = (
    sa.select(sa.func.count())
    .where(
        _receipts.tenant_id == _cases.tenant_id,
        _receipts.case_id == _cases.id,
        _receipts.outcome == ReceiptOutcome.ERROR,
    )
    .scalar_subquery()
)
_CREATE = (
    insert(tables.tasks)
    .on_conflict_do_nothing(
        index_elements=["tenant_id", "idempotency_key"], index_where=_tasks.idempotency_key.is_not(None)
    )
    .returning(_tasks.id)
)
