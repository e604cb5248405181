"""What a source hands to key groups: one item a group, not one an event (design, section 2)."""

from collections.abc import Iterable
from typing import NamedTuple

from dataflows.dead_letters import DeadLetter
from dataflows.engine.key_groups import GROUPS, Stamped, group_of


class Delivery(NamedTuple):
    """A partition's events for one group, and how far the partition has come; without events it is a tick."""

    partition: str
    watermark: int
    events: list[Stamped]


#: What flows from a source: `(key of a group, delivery)`, or a message that can't be used.
Item = tuple[str, Delivery] | DeadLetter

KEYS = [f"{group:03d}" for group in range(GROUPS)]


class Router:
    """Parts a partition's events by key group."""

    def __init__(self, partition: str) -> None:
        self._partition = partition

    def route(self, events: Iterable[Stamped], watermark: int, *, tick: bool) -> list[tuple[str, Delivery]]:
        """One delivery for each group that has events; for every group when it is time to `tick`."""
        parts: list[list[Stamped]] = [[] for _ in range(GROUPS)]
        for stamped in events:
            workflow_id: str = stamped[3].workflow_id  # type: ignore[assignment]  # identity filled it in
            parts[group_of(workflow_id)].append(stamped)
        return [
            (key, Delivery(self._partition, watermark, part))
            for key, part in zip(KEYS, parts, strict=True)
            if part or tick
        ]
