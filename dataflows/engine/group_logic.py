"""Key groups as bytewax sees them."""

from collections.abc import Callable, Iterable

from bytewax.operators import StatefulBatchLogic

from config.metrics import CONFLICTING_TERMINAL, DECISIONS, EVENTS, EVENTS_LATE, WORKFLOWS_MOVED
from dataflows.decisions import Decision
from dataflows.engine.delivery import Delivery
from dataflows.engine.key_groups import KeyGroup

Build = Callable[[bytes | None], "GroupLogic"]


class GroupLogic(StatefulBatchLogic[Delivery, Decision, bytes]):
    """One key group. Its snapshot is bytes of our own, so the recovery store holds no class of this code.

    Time is the stream's: `notify_at` is wall clock and is not used. Deliveries carry the watermark.
    """

    def __init__(self, group: KeyGroup) -> None:
        self._group = group

    def on_batch(self, values: list[Delivery]) -> tuple[Iterable[Decision], bool]:
        """Take in deliveries in their order."""
        decisions = [
            timed.decision
            for partition, watermark, events in values
            for timed in self._group.process(partition, events, watermark)
        ]
        self._count(decisions)
        return decisions, self.RETAIN

    def snapshot(self) -> bytes:
        """The group's state."""
        return self._group.snapshot()

    def _count(self, decisions: list[Decision]) -> None:
        """Hand the group's counts on to the process's metrics, once a batch."""
        counts = self._group.counts
        if counts.events:
            EVENTS.labels("used").inc(counts.events)
        if counts.duplicates:
            EVENTS.labels("duplicate").inc(counts.duplicates)
        if counts.late:
            EVENTS_LATE.inc(counts.late)
        if counts.conflicting:
            CONFLICTING_TERMINAL.inc(counts.conflicting)
        if counts.moved:
            WORKFLOWS_MOVED.inc(counts.moved)
        counts.events = counts.duplicates = counts.late = counts.conflicting = counts.moved = 0
        for decision in decisions:
            DECISIONS.labels(decision.kind.value).inc()


def group_builder(new_group: Callable[[], KeyGroup]) -> Build:
    """What bytewax calls for a key that it sees first, with the snapshot when there is one."""

    def build(snapshot: bytes | None) -> GroupLogic:
        group = new_group()
        if snapshot is not None:
            group.restore(snapshot)
        return GroupLogic(group)

    return build
