"""What integration monitors learn of credentials (30.4)."""

from datetime import UTC, datetime

from fastapi import APIRouter

from api.v1.context import Context, ContextOfRequest, RowId, findable
from api.v1.forms import CredentialRequest, CredentialResponse, InvalidCredentialRequest
from lifecycle.credentials import record_credential_event
from lifecycle.kinds import CredentialStatus

router = APIRouter(prefix="/credentials", tags=["credentials"])


@router.post("/{credential_id}/validated")
def credential_validated(
    context: ContextOfRequest, credential_id: RowId, body: CredentialRequest
) -> CredentialResponse:
    """A credential was seen to work. It may be what a block waits for, which then ends."""
    return _record(context, credential_id, body, CredentialStatus.ACTIVE)


@router.post("/{credential_id}/invalidated")
def credential_invalidated(
    context: ContextOfRequest, credential_id: RowId, body: InvalidCredentialRequest
) -> CredentialResponse:
    """A credential was seen not to work. The monitor hears of it for every workflow that needs it."""
    return _record(context, credential_id, body, CredentialStatus(body.status))


def _record(
    context: Context, credential_id: str, body: CredentialRequest, status: CredentialStatus
) -> CredentialResponse:
    tenant_id = context.access.owner("credential", findable(credential_id))
    with context.access.write(tenant_id) as connection:
        result = record_credential_event(
            connection,
            tenant_id=tenant_id,
            credential_id=findable(credential_id),
            status=status,
            occurred_at=body.occurred_at or datetime.now(UTC),
            event_id=body.event_id,
            actor_context=context.access.actor,
            options=context.options,
        )
    return CredentialResponse(
        id=credential_id,
        status=result.status,
        outcome=result.outcome,
        unblocked=list(result.unblocked),
        awaiting_a_person=list(result.awaiting_a_person),
    )
