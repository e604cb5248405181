"""Events that are ahead of the registry wait here, while those of other versions go on (spec 10, Identity).

What follows a waiting event in its version or its workflow waits behind it, so that the order within a workflow is
kept. Pure: whoever owns it asks the registry, and hands in the receiving clock.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from typing import NamedTuple

import msgspec

#: Messages that may wait in a lane, and their bytes: a snapshot holds them all.
MAX_COUNT = 10_000
MAX_BYTES = 8 << 20

#: What messages share that must keep their order: a version, or a workflow of a tenant. Another tenant's events
#: can't be held up by naming it.
Key = str | tuple[str, str]


class Parked(msgspec.Struct, array_like=True, frozen=True):
    """A message that waits, as it is kept in a snapshot."""

    #: Name of the log that it was read from, and its offset there.
    log: str
    offset: int
    raw: bytes
    #: None for a control event: it waits for its workflow alone.
    version: str | None
    tenant: str
    workflow: str | None
    #: The receiving clock when it was read, in microseconds.
    arrived: int


class Freed(NamedTuple):
    """What waits no longer, each in the order in which it came."""

    #: To be judged as if they were read now. Nothing that still waits was before them.
    ready: list[Parked]
    #: Their version has not come in time.
    expired: list[Parked]


class Parking:
    """The waiting messages of one lane, bounded in number and bytes.

    A call costs O(1), `versions` as much as there are versions and workflows.
    """

    def __init__(self, patience: int, *, max_count: int = MAX_COUNT, max_bytes: int = MAX_BYTES) -> None:
        """`patience`: microseconds that a message waits for its version."""
        self._patience = patience
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._messages: OrderedDict[int, Parked] = OrderedDict()
        #: The messages of each key, the first first.
        self._lines: dict[Key, deque[int]] = {}
        #: Versions that were looked for in vain since their first message came.
        self._sought: set[str] = set()
        self._number = 0
        self.bytes = 0

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._messages)

    @property
    def oldest(self) -> int | None:
        """When the one came that has waited longest; None when none waits."""
        return next((message.arrived for message in self._messages.values()), None)

    @property
    def is_full(self) -> bool:
        """Whether a bound is passed."""
        return self.count > self._max_count or self.bytes > self._max_bytes

    def holds(self, version: str | None, tenant: str, workflow: str | None) -> bool:
        """Whether a message must wait, whatever the registry knows: because one before it does."""
        lines = self._lines
        return version in lines or (workflow is not None and (tenant, workflow) in lines)

    def park(self, message: Parked) -> None:
        """Let a message wait. One without a version must be held by another."""
        number = self._number
        self._number += 1
        self._messages[number] = message
        self.bytes += len(message.raw)
        for key in _keys(message):
            self._lines.setdefault(key, deque()).append(number)

    def versions(self, *, unsought: bool = False) -> list[str]:
        """What the registry is to be asked for; `unsought` are those that no answer was about yet."""
        return [key for key in self._lines if isinstance(key, str) and not (unsought and key in self._sought)]

    def free(self, is_known: Callable[[str], bool], sought: Collection[str], asked_at: int) -> Freed:
        """Let go of what waits for a version that is known now, and of what has waited long enough in vain.

        `sought` are the versions that the registry has answered about, `asked_at` the receiving clock when it was
        asked: whoever is given up was asked for after its time was up. Costs as much as was asked for, and what
        waits behind it.
        """
        freed: tuple[list[int], list[int]] = [], []
        messages: dict[int, Parked] = {}
        candidates = {self._lines[version][0] for version in sought if version in self._lines}
        known: dict[str, bool] = {}
        while candidates:
            number = candidates.pop()
            message = self._messages[number]
            if not self._leads(number, message):
                continue
            version = message.version
            if version is not None and version not in known:
                known[version] = is_known(version)
            is_ready = version is None or known[version]
            if is_ready or (version in sought and message.arrived <= asked_at - self._patience):
                freed[not is_ready].append(number)
                messages[number] = message
                candidates |= self._remove(number, message)
        self._sought |= {version for version in sought if version in self._lines}
        ready, expired = ([messages[number] for number in sorted(numbers)] for numbers in freed)
        return Freed(ready, expired)

    def give_up(self) -> list[Parked]:
        """Let go of the oldest until a tenth of the bounds is free, so that a flood does not need this for each."""
        given_up = []
        while (
            self.count > self._max_count - self._max_count // 10 or self.bytes > self._max_bytes - self._max_bytes // 10
        ):
            number = next(iter(self._messages))
            message = self._messages[number]
            self._remove(number, message)
            given_up.append(message)
        return given_up

    def everything(self) -> list[Parked]:
        """All that wait, in the order in which they came: for a snapshot, to be judged anew after a restart."""
        return list(self._messages.values())

    def _leads(self, number: int, message: Parked) -> bool:
        return all(self._lines[key][0] == number for key in _keys(message))

    def _remove(self, number: int, message: Parked) -> set[int]:
        """Take out the first message of its lines; those that are the first now."""
        del self._messages[number]
        self.bytes -= len(message.raw)
        firsts = set()
        for key in _keys(message):
            line = self._lines[key]
            line.popleft()
            if line:
                firsts.add(line[0])
            else:
                del self._lines[key]
                self._sought.discard(key)  # a workflow is not in it
        return firsts


def _keys(message: Parked) -> list[Key]:
    keys: list[Key] = []
    if message.version is not None:
        keys.append(message.version)
    if message.workflow is not None:
        keys.append((message.tenant, message.workflow))
    return keys
