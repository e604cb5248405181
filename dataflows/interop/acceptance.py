"""What every run event from outside must pass before it is written to the log, whatever form it came in."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import NamedTuple

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.decode import decode
from dataflows.events import RunEvent
from dataflows.interop.objects import read_object, text_in, write_object


class Accepted(NamedTuple):
    """A run event that can be written."""

    event_id: str
    #: The workflow: all its events go to one partition.
    key: bytes
    value: bytes


def within_claim(raw: bytes, tenants: Collection[str]) -> bytes:
    """A run event with the tenant that it belongs to: the sender's, where it names none and the sender has one.

    `Unusable` when it names another.
    """
    fields = read_object(raw)
    if "tenant_id" in fields:
        if text_in(fields, "tenant_id") not in tenants:
            raise Unusable(DeadLetterCode.TENANT_MISMATCH, "the sender may not send events of this tenant")
        return raw
    if len(tenants) != 1:
        raise Unusable(DeadLetterCode.MISSING_FIELD, "missing: tenant_id")
    return write_object({**fields, "tenant_id": next(iter(tenants))})


def accept(raw: bytes, *, latest: datetime, workflow_of: Callable[[str, str], str | None]) -> Accepted:
    """Check a run event, and find the workflow whose partition it goes to.

    `latest` is the latest event time that is believed. `workflow_of` gives the workflow of (tenant, version), None for
    a version that it does not know; asked only for an event without `workflow_id`. `Unusable` when it can't be used:
    control events are none of a sender's business.
    """
    event = decode(raw)
    if not isinstance(event, RunEvent):
        raise Unusable(DeadLetterCode.INVALID_FIELD, "invalid: kind")
    if event.occurred_at > latest:
        raise Unusable(DeadLetterCode.FUTURE_TIMESTAMP, "further ahead of the receiving clock than is believed")
    if event.workflow_id is not None:
        return Accepted(event.event_id, event.workflow_id.encode(), raw)
    workflow_id = workflow_of(event.tenant_id, event.automation_version_id)
    if workflow_id is None:
        # Without it the event might go to another partition than its workflow's other ones.
        raise Unusable(DeadLetterCode.UNKNOWN_AUTOMATION_VERSION, "no such automation version; say its workflow_id")
    value = write_object({**read_object(raw), "workflow_id": workflow_id})
    return Accepted(event.event_id, workflow_id.encode(), value)
