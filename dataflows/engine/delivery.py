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

#: Workflow ids whose group a process remembers.
_REMEMBERED = 1_000_000


class Router:
    """Parts a partition's events by key group."""

    def __init__(self, partition: str) -> None:
        self._partition = partition
        self._groups: dict[str, int] = {}

    def route(self, events: Iterable[Stamped], watermark: int, *, tick: bool) -> list[tuple[str, Delivery]]:
        """One delivery for each group that has events; for every group when it is time to `tick`."""
        groups = self._groups
        parts: dict[int, list[Stamped]] = {group: [] for group in range(GROUPS)} if tick else {}
        for stamped in events:
            workflow_id: str = stamped[3].workflow_id  # type: ignore[assignment]  # identity filled it in
            group = groups.get(workflow_id)
            if group is None:
                if len(groups) >= _REMEMBERED:
                    groups.clear()
                group = groups[workflow_id] = group_of(workflow_id)
            part = parts.get(group)
            if part is None:
                parts[group] = [stamped]
            else:
                part.append(stamped)
        return [(KEYS[group], Delivery(self._partition, watermark, part)) for group, part in parts.items()]
