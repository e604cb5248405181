"""The blast-radius guard: decisions that wait, and provider incidents (30.6)."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from api.v1.context import ContextOfRequest
from api.v1.entered import entered_router
from api.v1.forms import Done, Hold, HoldRequest, Holds, Incident, Incidents
from lifecycle.capabilities import Capability
from lifecycle.guard.holds import reject_hold
from lifecycle.guard.incidents import end_incident
from lifecycle.guard.reads import list_holds, list_incidents
from lifecycle.guard.release import release_hold
from lifecycle.kinds import HoldStatus

router = entered_router(tags=["guard"])


@router.get("/holds")
def list_decisions_that_wait(
    context: ContextOfRequest,
    status: Annotated[HoldStatus | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Holds:
    """Decisions that the guard holds, newest first; all of them, or those of a status."""
    with context.access.read() as connection:
        return Holds(items=[Hold.model_validate(row) for row in list_holds(connection, status=status, limit=limit)])


@router.post("/holds/{hold_id}/release")
def release_a_hold(context: ContextOfRequest, hold_id: UUID, body: HoldRequest) -> Done:
    """Let a decision go on, as one's own act."""
    tenant_id = context.access.owner("hold", str(hold_id))
    with context.access.write(tenant_id) as connection:
        done = release_hold(
            connection,
            hold_id=str(hold_id),
            actor_context=context.access.actor,
            reason=body.reason,
            options=context.options,
        )
    return Done(already_applied=not done)


@router.post("/holds/{hold_id}/reject")
def reject_a_hold(context: ContextOfRequest, hold_id: UUID, body: HoldRequest) -> Done:
    """Say no to a decision, with a reason."""
    tenant_id = context.access.owner("hold", str(hold_id))
    with context.access.write(tenant_id) as connection:
        done = reject_hold(
            connection, hold_id=str(hold_id), actor_context=context.access.actor, reason=body.reason or ""
        )
    return Done(already_applied=not done)


@router.get("/provider-incidents")
def list_provider_incidents(context: ContextOfRequest, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Incidents:
    """Provider incidents, newest first. They are of the platform: whoever sees one tenant only sees none."""
    with context.access.read() as connection:
        return Incidents(items=[Incident.model_validate(row) for row in list_incidents(connection, limit=limit)])


@router.post("/provider-incidents/{incident_id}/end")
def end_a_provider_incident(context: ContextOfRequest, incident_id: UUID) -> Done:
    """End an incident by hand: what it held is judged again on fresh evidence."""
    context.access.needs(Capability.HOLDS)
    with context.access.write_platform() as connection:
        done = end_incident(connection, incident_id=str(incident_id), actor_context=context.access.actor)
    return Done(already_applied=not done)
