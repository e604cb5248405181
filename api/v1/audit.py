"""The audit log: who did what (30.2)."""

from typing import Annotated

from fastapi import Query

from api.v1.context import ContextOfRequest, storable_or_nothing
from api.v1.entered import entered_router
from api.v1.forms import AuditPage, AuditRow
from lifecycle.queries_audit import list_audit

router = entered_router(prefix="/audit", tags=["audit"])


@router.get("")
def list_audit_rows(
    context: ContextOfRequest,
    resource_type: Annotated[str | None, Query(max_length=128)] = None,
    resource_id: Annotated[str | None, Query(max_length=128)] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AuditPage:
    """What was done in all tenants that the one who asks may see, newest first."""
    with context.access.read() as connection:
        rows, following = list_audit(
            connection,
            resource_type=storable_or_nothing(resource_type),
            resource_id=storable_or_nothing(resource_id),
            before=before,
            limit=limit,
        )
    return AuditPage(items=[AuditRow.model_validate(row) for row in rows], next=following)
