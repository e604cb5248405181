"""A lineage event from a topic: what it becomes, or the dead letter that says why it can't be used."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from dataflows.dead_letters import MAX_KEPT_BYTES, DeadLetter, Position, Unusable
from dataflows.interop.acceptance import accept
from dataflows.interop.openlineage import to_run_event
from dataflows.interop.references import LookUp


class Bridged(NamedTuple):
    """A run event to be written."""

    key: bytes
    value: bytes


def bridge_message(
    raw: bytes,
    place: tuple[str, int, int],
    *,
    latest: datetime,
    look_up: LookUp,
    workflow_of: Callable[[str, str], str | None],
) -> Bridged | DeadLetter | None:
    """What becomes of a message at (topic, partition, offset); None when it says nothing of the course of a run.

    An empty message is one that says nothing. `latest` is the latest event time that is believed.
    """
    if not raw:
        return None
    try:
        event = to_run_event(raw, look_up)
        if event is None:
            return None
        accepted = accept(event, latest=latest, workflow_of=workflow_of)
    except Unusable as fault:
        topic, partition, offset = place
        return DeadLetter(
            position=Position(source=topic, partition=partition, offset=offset),
            code=fault.code,
            explanation=fault.explanation,
            raw=raw[:MAX_KEPT_BYTES],
            sha256=hashlib.sha256(raw).hexdigest(),
            size=len(raw),
        )
    return Bridged(accepted.key, accepted.value)
