"""Silences: what nobody shall be told for a while (60.5)."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.v1.context import ContextOfRequest
from api.v1.entered import entered_router
from api.v1.forms import Form, Id, Line
from lifecycle.capabilities import Capability
from lifecycle.kinds import Channel, Severity, Template
from lifecycle.notice_silences import Matcher, add_silence, end_silence, list_silences

router = entered_router(prefix="/silences", tags=["silences"])


class Silence(Form):
    """Notices that match all that it names are not told; null matches everything."""

    id: str
    tenant_id: str | None
    template: str | None
    channel: Channel | None
    severity: Severity | None
    reason: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = Field(description="before it expired")
    ended_by: str | None


class Silences(Form):
    """The newest first, at most 500."""

    items: list[Silence]


class SilenceRequest(BaseModel):
    """What shall not be told, until when and why; at least one thing is named."""

    model_config = ConfigDict(extra="forbid")

    tenant_id: Id | None = None
    template: Template | None = None
    channel: Channel | None = None
    severity: Severity | None = None
    reason: Annotated[Line, Field(min_length=1, pattern=r"\S")]
    expires_at: AwareDatetime = Field(description="within 30 days from now")


@router.get("")
def list_all_silences(context: ContextOfRequest, active: bool = True) -> Silences:
    """Those in force, or (`active=false`) those that are over."""
    context.access.needs(Capability.PLATFORM)
    with context.access.read() as connection:
        return Silences(items=[Silence.model_validate(one) for one in list_silences(connection, active=active)])


@router.post("", status_code=HTTPStatus.CREATED)
def add_a_silence(context: ContextOfRequest, body: SilenceRequest) -> Silence:
    """Silence what matches."""
    context.access.needs(Capability.PLATFORM)
    with context.access.write_platform() as connection:
        added = add_silence(
            connection,
            Matcher(tenant_id=body.tenant_id, template=body.template, channel=body.channel, severity=body.severity),
            reason=body.reason,
            expires_at=body.expires_at,
            actor_context=context.access.actor,
        )
        return Silence.model_validate(added)


@router.delete("/{silence_id}")
def end_a_silence(context: ContextOfRequest, silence_id: UUID) -> Silence:
    """End it before it expires."""
    context.access.needs(Capability.PLATFORM)
    with context.access.write_platform() as connection:
        return Silence.model_validate(end_silence(connection, str(silence_id), actor_context=context.access.actor))
