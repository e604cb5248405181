"""Ids remembered for a horizon of event time, in bounded room.

Two memories a lane: which events were seen, and which executions have ended. Ids are unique within a workflow
only, so each entry says whose it is. Entries leave in segments: the oldest segment goes as a whole once it is past
the horizon, or when the room that all memories of a process share is used up.
"""

from typing import Generic, TypeVar

import msgspec

#: What spec 10 asks for: repeats within this much event time count once.
HORIZON = 24 * 3600 * 1_000_000

#: Entries of a segment, about: a batch is not cut.
SEGMENT = 16_384

#: Entries that the full segments of a process may hold together; about 200 bytes each.
ROOM = 4_000_000


class EndedExecution(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is remembered of an execution that has ended."""

    #: Of its workflow.
    number: int
    #: Event time and arrival of the terminal event that is judged first of those that have come.
    time: int
    arrival: int
    #: Of the terminal event that the auth detector counted, or 0.
    status_code: int


#: What is remembered of an id: the number of its workflow, alone or with more.
V = TypeVar("V", int, EndedExecution)

#: An id, or (workflow number, id) where another workflow had the same id first.
Key = str | tuple[int, str]


class Row(msgspec.Struct, Generic[V], array_like=True):
    """Entries for a snapshot, in the order in which they came."""

    keys: list[Key]
    values: list[V]
    #: No entry has a later event time; None if that is not known yet.
    newest: int | None = None


class Room:
    """How many entries the memories of one process hold in full segments, and how many they may."""

    __slots__ = ("capacity", "used")

    def __init__(self, capacity: int = ROOM) -> None:
        self.capacity = capacity
        self.used = 0


class Memory(Generic[V]):
    """What is remembered of ids, by workflow number and id. Looking up and adding take about 0.2 µs.

    `index`, `keys` and `values` are open to the lane's inner loop: an id that is not in `index` may be put there with
    its value, and both at the end of the lists. All else goes through the methods.
    """

    __slots__ = (
        "_changed", "_collisions", "_full", "_has_forgotten", "_replaced", "_room", "_told", "_untold",
        "index", "keys", "values",
    )  # fmt: skip

    def __init__(self, room: Room) -> None:
        self.index: dict[Key, V] = {}
        #: The segment that is being filled.
        self.keys: list[Key] = []
        self.values: list[V] = []
        self._room = room
        self._full: list[Row[V]] = []
        #: Values that differ from those in the segments by now, and the keys of those that `news` has not told.
        self._replaced: dict[Key, V] = {}
        self._changed: list[Key] = []
        #: What `news` has not told: parts of full segments, and the one that is being filled from here on.
        self._untold: list[Row[V]] = []
        self._told = 0
        self._has_forgotten = False
        #: Ids that several workflows had; while there are none one look is enough.
        self._collisions = 0

    def __len__(self) -> int:
        return len(self.index)

    def get(self, number: int, name: str) -> V | None:
        """What is remembered of a workflow's id."""
        value = self.index.get(name)
        if value is not None and _owner(value) == number:
            return value
        return self.index.get((number, name)) if self._collisions else None

    def add(self, number: int, name: str, value: V) -> V | None:
        """Remember an id; None. If it is remembered already, what is known of it, and nothing changes."""
        key: Key = name
        known = self.index.get(name)
        if known is not None or self._collisions:
            if known is not None and _owner(known) == number:
                return known
            other = self.index.get((number, name))
            if other is not None:
                return other
            if known is not None:
                key = (number, name)
                self._collisions += 1
        self.index[key] = value
        self.keys.append(key)
        self.values.append(value)
        return None

    def replace(self, number: int, name: str, value: V) -> None:
        """Change what is remembered of a workflow's id; it must be remembered."""
        key: Key = name if _owner(self.index[name]) == number else (number, name)
        self.index[key] = self._replaced[key] = value
        self._changed.append(key)

    def pass_time(self, now: int) -> None:
        """Event time has come to `now`; call it after each batch.

        Full segments past the horizon are let go. The one that is being filled stays: it costs little, and one
        event from a clock that is a year ahead does not make a quiet lane forget.
        """
        if len(self.keys) >= SEGMENT:
            self._begin()
        full = self._full
        if full:
            for segment in reversed(full):
                if segment.newest is not None:
                    break
                segment.newest = now
            while full and full[0].newest is not None and full[0].newest < now - HORIZON:
                self._drop_oldest()

    def everything(self) -> list[Row[V]]:
        """All entries: full segments, the one that is being filled, and what was replaced. `news` begins after it."""
        self._is_told()
        rows = self._full.copy()
        rows.append(Row(self.keys, self.values))
        rows.append(Row(list(self._replaced), list(self._replaced.values())))
        return rows

    def news(self) -> Row[V]:
        """What was added and changed since the last time, without what is forgotten again."""
        keys: list[Key] = []
        values: list[V] = []
        for row in self._untold:
            keys += row.keys
            values += row.values
        keys += self.keys[self._told :]
        values += self.values[self._told :]
        if self._has_forgotten:
            keys = [key for key in keys if key in self.index]
            values = [self.index[key] for key in keys]
        changed = [key for key in self._changed if key in self.index]
        self._is_told()
        return Row(keys + changed, values + [self.index[key] for key in changed])

    def restore(self, rows: list[Row[V]]) -> None:
        """The inverse of `everything`, into an empty memory."""
        self._full, (filling, replaced) = rows[:-2], rows[-2:]
        self.keys, self.values = filling.keys, filling.values
        self._replaced = dict(zip(replaced.keys, replaced.values, strict=True))
        for row in rows:
            self.index.update(zip(row.keys, row.values, strict=True))
        self._room.used += sum(len(segment.keys) for segment in self._full)
        self._collisions = sum(isinstance(key, tuple) for key in self.index)
        self._is_told()

    def learn(self, row: Row[V]) -> None:
        """Take over `news` of the memory that was restored."""
        index = self.index
        for key, value in zip(row.keys, row.values, strict=True):
            if key in index:
                self._replaced[key] = value
            else:
                self.keys.append(key)
                self.values.append(value)
                self._collisions += isinstance(key, tuple)
            index[key] = value
        if len(self.keys) >= SEGMENT:
            self._begin()
        self._is_told()

    def _is_told(self) -> None:
        self._untold = []
        self._told = len(self.keys)
        self._changed = []
        self._has_forgotten = False

    def _begin(self) -> None:
        self._untold.append(Row(self.keys[self._told :], self.values[self._told :]))
        self._told = 0
        self._full.append(Row(self.keys, self.values))
        self._room.used += len(self.keys)
        self.keys, self.values = [], []
        while len(self._full) > 1 and self._room.used > self._room.capacity:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        keys = self._full.pop(0).keys
        self._has_forgotten = True
        self._room.used -= len(keys)
        for key in keys:
            if self.index.pop(key, None) is not None and isinstance(key, tuple):
                self._collisions -= 1
            if self._replaced:
                self._replaced.pop(key, None)


def _owner(value: int | EndedExecution) -> int:
    return value if isinstance(value, int) else value.number
