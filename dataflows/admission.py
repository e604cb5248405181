"""Who is let in now, and who waits because the registry does not have its version yet (spec 10, Identity).

The registry is asked beside the stream: at once for a version that it was not asked for yet, then every second for
all that are waited for, one statement each time. A flood of made-up versions costs that, and room within the
parking's bounds.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from config.metrics import EVENTS_GIVEN_UP
from dataflows.events import Event, RunEvent
from dataflows.parking import Freed, Parked, Parking
from dataflows.registry import Binding, LookUp, LookUpRegistry, binding_of_scenario

#: How often the registry is asked for all that are waited for.
ASK_AGAIN = timedelta(seconds=1)

#: How soon for those that it was not asked for yet.
ASK = timedelta(milliseconds=50)


class Admission:
    """The waiting events of one lane, and the registry that they wait for. For one thread."""

    def __init__(
        self,
        registry: LookUpRegistry,
        clock: Callable[[], int],
        patience: int,
        restored: Sequence[Parked] = (),
        parking: Parking | None = None,
    ) -> None:
        """`clock` is the receiving clock, `patience` how long an event waits, both in microseconds.

        `restored` waited when the snapshot was taken: they are judged anew.
        """
        self._registry = registry
        self._clock = clock
        self._restored = list(restored)
        self._parking = Parking(patience) if parking is None else parking
        self._patience = patience
        #: Since when something waits without a break.
        self._held_since: int | None = None
        self._look_up: tuple[LookUp, list[str], int] | None = None
        self._asked = self._asked_all = -float("inf")

    def holds_time(self) -> bool:
        """Whether the wall clock must not move the lane on: it would make late what waits.

        Where something waits all the time this ends after twice the patience, so that made-up versions don't keep
        a lane from noticing that others have gone quiet. While the registry does not answer it does not end.
        """
        if not self.waiting:
            self._held_since = None
            return False
        now = self._clock()
        if self._held_since is None:
            self._held_since = now
        oldest = self._parking.oldest
        is_answered = oldest is not None and now - oldest < 2 * self._patience
        return now - self._held_since < 2 * self._patience or not is_answered

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._parking.count + len(self._restored)

    def binding(self, event: RunEvent) -> Binding | None:
        """The binding that an event can be checked against now; None when it has to wait."""
        binding = self._registry.known(event.automation_version_id) or binding_of_scenario(event)
        if binding is None:
            return None
        if self._parking.count:
            workflow = event.workflow_id or binding.workflow
            if self._parking.holds(event.automation_version_id, event.tenant_id, workflow):
                return None
        return binding

    def must_wait(self, event: Event) -> bool:
        """Whether it has to wait for its version, or behind another one."""
        if isinstance(event, RunEvent):
            return self.binding(event) is None
        return self._parking.holds(None, event.tenant_id, event.workflow_id)

    def park(self, log: str, offset: int, raw: bytes, event: Event, arrived: int | None) -> None:
        """Let one wait that must; `arrived` is known of one that has waited before."""
        version = event.automation_version_id if isinstance(event, RunEvent) else None
        workflow = event.workflow_id
        if workflow is None and version is not None:
            binding = self._registry.known(version)
            workflow = None if binding is None else binding.workflow
        since = self._clock() if arrived is None else arrived
        self._parking.park(Parked(log, offset, raw, version, event.tenant_id, workflow, since))

    def free(self) -> Freed:
        """Those that wait no longer; asks the registry when it is time to. Costs next to nothing while none waits."""
        freed = Freed([], [])
        if not self._parking.count:
            return freed
        if self._look_up is not None:
            look_up, versions, asked_at = self._look_up
            answer = look_up.answer()
            if answer is not None:
                self._look_up = None
            if answer:
                freed = _both(freed, self._parking.free(self._is_known, set(versions), asked_at))
        if self._parking.is_full:
            freed = _both(freed, self._make_room())
        if self._look_up is None:
            self._ask()
        return freed

    def restored(self) -> list[Parked]:
        """Those that waited before the restart, once: whoever gets them judges them before all others."""
        restored, self._restored = self._restored, []
        return restored

    def everything(self) -> list[Parked]:
        """All that wait, for a snapshot."""
        return [*self._restored, *self._parking.everything()]

    def _is_known(self, version: str) -> bool:
        return self._registry.known(version) is not None

    def _make_room(self) -> Freed:
        """Give the oldest up, none before the registry was asked for it: with that answer nobody may be in the way."""
        versions, asked_at = self._parking.versions(unsought=True), self._clock()
        if versions:
            self._registry.look_up_now(versions)
        freed = self._parking.free(self._is_known, set(versions), asked_at)
        given_up = self._parking.give_up()
        EVENTS_GIVEN_UP.inc(len(given_up))
        return _both(freed, Freed([], given_up))

    def _ask(self) -> None:
        now = time.monotonic()
        if now >= self._asked_all + ASK_AGAIN.total_seconds():
            versions = self._parking.versions()
            self._asked_all = now
        elif now >= self._asked + ASK.total_seconds():
            versions = self._parking.versions(unsought=True)
        else:
            return
        self._asked = now
        if versions:
            self._look_up = self._registry.look_up(versions), versions, self._clock()


def _both(first: Freed, second: Freed) -> Freed:
    return Freed([*first.ready, *second.ready], [*first.expired, *second.expired])
