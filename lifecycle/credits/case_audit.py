"""What audit rows say of credit cases."""

from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.kinds import AuditAction


class CaseOperation(StrEnum):
    """What was done with a case."""

    OPEN = "open"
    REOPEN = "reopen"
    JOIN = "join"
    ACKNOWLEDGE = "acknowledge"
    ESCALATE = "escalate"
    CHANGE = "change"
    RESOLVE = "resolve"
    RELEASE_HOLDS = "release_holds"


_OPENING = frozenset({CaseOperation.OPEN, CaseOperation.REOPEN})


def audit_case(
    connection: sa.Connection,
    case: sa.Row[Any],
    operation: CaseOperation,
    actor_context: ActorContext,
    *,
    decision_id: str | None = None,
    **metadata: Any,
) -> None:
    """Write one row; `metadata` is codes, ids and numbers."""
    write_audit(
        connection,
        tenant_id=case.tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.OPEN_CASE if operation in _OPENING else AuditAction.CHANGE_CASE,
                resource_type="credit_case",
                resource_id=case.case_id,
                episode_id=case.id,
                decision_id=decision_id,
                metadata={"operation": operation, **metadata},
            )
        ],
    )
