"""Settings that are changed while everything runs (40.2); of the platform, so for its admins alone."""

from typing import Annotated

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from api.v1.context import ContextOfRequest
from api.v1.entered import entered_router
from api.v1.forms import Form
from lifecycle.capabilities import Capability
from lifecycle.system_config import BOUNDS, DEFAULTS, ConfigKey, change_system_config, good_config, read_versions

router = entered_router(tags=["system config"])

_THRESHOLD, _WINDOW = BOUNDS[ConfigKey.STUCK_THRESHOLD], BOUNDS[ConfigKey.STUCK_WINDOW_MINUTES]


class SystemConfigForm(Form):
    """What is set, and what holds where nothing is."""

    stuck_circuit_breaker_threshold: int | None = Field(description="null: as the policies say", examples=[5])
    stuck_circuit_breaker_window_minutes: int | None = Field(description="null: as the policies say", examples=[60])
    defaults: dict[ConfigKey, int]
    #: None while nothing was ever set.
    policy_version: int | None = Field(examples=[1001])
    effective_at: AwareDatetime | None


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: A whole number of JSON, which 5.0 is as well as 5; texts and truth values are none.
_Threshold = Annotated[int, Field(ge=_THRESHOLD[0], le=_THRESHOLD[1], strict=True), BeforeValidator(_whole)]
_Window = Annotated[int, Field(ge=_WINDOW[0], le=_WINDOW[1], strict=True), BeforeValidator(_whole)]


class SystemConfigRequest(BaseModel):
    """What is to change; a field that is left out stays, null takes it back to what the policies say."""

    model_config = ConfigDict(extra="forbid")

    stuck_circuit_breaker_threshold: _Threshold | None = None
    stuck_circuit_breaker_window_minutes: _Window | None = None


@router.get("/system-config")
def read_the_system_config(context: ContextOfRequest) -> SystemConfigForm:
    """What is set now."""
    context.access.needs(Capability.PLATFORM)
    with context.access.write_platform() as connection:  # reads, but as the platform: who sees less sees nothing
        return _form(connection)


@router.put("/system-config")
def change_the_system_config(context: ContextOfRequest, body: SystemConfigRequest) -> SystemConfigForm:
    """Set values: a new version of the policy, which the monitor uses from now on in event time."""
    context.access.needs(Capability.PLATFORM)
    changes = {ConfigKey(name): getattr(body, name) for name in body.model_fields_set}
    with context.access.write_platform() as connection:
        change_system_config(connection, changes, actor_context=context.access.actor)
        return _form(connection)


def _form(connection: sa.Connection) -> SystemConfigForm:
    config, versions = good_config(connection), read_versions(connection)
    newest = versions[-1] if versions else None
    return SystemConfigForm(
        stuck_circuit_breaker_threshold=config[ConfigKey.STUCK_THRESHOLD],
        stuck_circuit_breaker_window_minutes=config[ConfigKey.STUCK_WINDOW_MINUTES],
        defaults=dict(DEFAULTS),
        policy_version=None if newest is None else newest.version,
        effective_at=None if newest is None else newest.effective_at,
    )
