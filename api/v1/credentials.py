"""What integration monitors learn of credentials (30.4)."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query

from api.v1.context import Context, ContextOfRequest, RowId, storable_or_nothing
from api.v1.entered import entered_router
from api.v1.forms import Credential, CredentialPage, CredentialRequest, CredentialResponse, InvalidCredentialRequest
from lifecycle.credentials import record_credential_event
from lifecycle.kinds import CredentialStatus
from lifecycle.queries_credentials import list_credentials

router = entered_router(prefix="/credentials", tags=["credentials"])


@router.get("")
def list_all_credentials(
    context: ContextOfRequest,
    status: Annotated[CredentialStatus | None, Query()] = None,
    after: Annotated[str | None, Query(max_length=128, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CredentialPage:
    """Credentials by id: what is known of them, never what they hold."""
    with context.access.read() as connection:
        rows, following = list_credentials(connection, status=status, after=storable_or_nothing(after), limit=limit)
    return CredentialPage(items=[Credential.model_validate(row) for row in rows], next=following)


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
    tenant_id = context.access.owner("credential", credential_id)
    with context.access.write(tenant_id) as connection:
        result = record_credential_event(
            connection,
            tenant_id=tenant_id,
            credential_id=credential_id,
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
