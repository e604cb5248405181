"""What the lifecycle tells the monitor, through the outbox: control events of spec 20.2 besides status changes."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from lifecycle.ids import stable_id
from lifecycle.outbox import OutboxEvent, put_event


class ControlKind(StrEnum):
    """Events that go to the monitor's own topic alone."""

    CREDENTIAL_EVENT = "credential_event"  #: `system_key`, `status`
    HOLD_ENDED = "hold_ended"  #: `system_key`, `from`, `to`
    WORKFLOW_RELEASED = "workflow_released"


CONTROL_TYPES = frozenset(kind.value for kind in ControlKind)


class BroadcastKind(StrEnum):
    """Events about no workflow, which go to all partitions of the monitor's own topic."""

    SYSTEM_CONFIG_CHANGED = "system_config_changed"  #: `version`, `stuck_threshold`, `stuck_window_minutes`
    BASELINES_UPDATED = "baselines_updated"  #: `tenant_id`, `baselines`


BROADCAST_TYPES = frozenset(kind.value for kind in BroadcastKind)


def put_control_event(
    connection: sa.Connection,
    *,
    kind: ControlKind,
    cause: str,
    tenant_id: str,
    workflow_id: str,
    occurred_at: datetime,
    fields: Mapping[str, Any],
) -> None:
    """Write one event; the same kind, cause and workflow again add nothing. `fields` are those of the kind, as JSON."""
    event_id = stable_id(kind, cause, tenant_id, workflow_id)
    put_event(
        connection,
        OutboxEvent(
            event_id=event_id,
            type=kind,
            tenant_id=tenant_id,
            subject=workflow_id,
            message_key=workflow_id,
            occurred_at=occurred_at,
            payload={
                "kind": kind,
                "event_id": event_id,
                "tenant_id": tenant_id,
                "workflow_id": workflow_id,
                "occurred_at": occurred_at.isoformat(),
                **fields,
            },
        ),
    )


def put_broadcast(
    connection: sa.Connection,
    *,
    kind: BroadcastKind,
    cause: str,
    occurred_at: datetime,
    fields: Mapping[str, Any],
    tenant_id: str | None = None,
) -> None:
    """Write one event for all partitions; the same kind and cause again add nothing. `tenant_id`: whose row it is."""
    event_id = stable_id(kind, cause)
    put_event(
        connection,
        OutboxEvent(
            event_id=event_id,
            type=kind,
            tenant_id=tenant_id,
            subject=kind,
            message_key=kind,
            occurred_at=occurred_at,
            payload={"kind": kind, "event_id": event_id, "occurred_at": occurred_at.isoformat(), **fields},
        ),
    )
