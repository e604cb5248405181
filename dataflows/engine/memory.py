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
    #: Tells the record of its credits from another one; 0 when it had none.
    record: int = 0


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

    `index`, `keys` and `values` are open to the lane's inner loop: while nothing `has_strays`, an id that is not in
    `index` may be put there with its value, and both at the end of the lists. All else goes through the methods.
    """

    __slots__ = (
        "_changed", "_collisions", "_cut", "_full", "_replaced", "_room", "_told", "_untold",
        "has_strays", "horizon", "index", "keys", "values",
    )  # fmt: skip

    def __init__(self, room: Room, horizon: int = HORIZON) -> None:
        #: For how long an entry is kept, if there is room for it, in microseconds of event time.
        self.horizon = horizon
        self.index: dict[Key, V] = {}
        #: The segment that is being filled.
        self.keys: list[Key] = []
        self.values: list[V] = []
        self._room = room
        self._full: list[Row[V]] = []
        #: Values that differ from those in the segments by now, and the keys of those that `news` has not told.
        self._replaced: dict[Key, V] = {}
        self._changed: dict[Key, None] = {}
        #: What `news` has not told: full segments, each from an index on, and the one that is being filled.
        self._untold: list[tuple[Row[V], int]] = []
        self._told = 0
        #: What stands for a segment whose beginning `news` has told, and that is forgotten again.
        self._cut: Row[V] | None = None
        #: Ids that several workflows had; while there are none one look is enough.
        self._collisions = 0
        #: Of some of those the workflow that had it first may be forgotten already: `index` has no such id alone.
        self.has_strays = False

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
        first = self.index.get(name)
        key: Key = name if first is not None and _owner(first) == number else (number, name)
        self.index[key] = self._replaced[key] = value
        self._changed[key] = None

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
            while full and full[0].newest is not None and full[0].newest < now - self.horizon:
                self._drop_oldest()

    def everything(self) -> list[Row[V]]:
        """All entries: full segments, the one that is being filled, and what was replaced. `news` begins after it."""
        self._is_told()
        rows = self._full.copy()
        rows.append(Row(self.keys, self.values))
        rows.append(Row(list(self._replaced), list(self._replaced.values())))
        return rows

    def news(self) -> list[Row[V]]:
        """What was added and changed since the last time, without what is forgotten again.

        The rest of each segment that is full by now, then that of the one being filled, then what was replaced.
        """
        rows = [] if self._cut is None else [self._cut]
        rows += [Row(segment.keys[told:], segment.values[told:], segment.newest) for segment, told in self._untold]
        rows.append(Row(self.keys[self._told :], self.values[self._told :]))
        rows.append(Row(list(self._changed), [self.index[key] for key in self._changed]))
        self._is_told()
        return rows

    def restore(self, rows: list[Row[V]]) -> None:
        """The inverse of `everything`, into an empty memory."""
        self._full, (filling, replaced) = rows[:-2], rows[-2:]
        self.keys, self.values = filling.keys, filling.values
        self._replaced = dict(zip(replaced.keys, replaced.values, strict=True))
        for row in rows:
            self.index.update(zip(row.keys, row.values, strict=True))
        self._room.used += sum(len(segment.keys) for segment in self._full)
        self._collisions = sum(isinstance(key, tuple) for key in self.index)
        self.has_strays = self._collisions > 0
        self._is_told()

    def learn(self, rows: list[Row[V]]) -> None:
        """Take over `news` of the memory that was restored; then both have the same segments."""
        full, filling, replaced = rows[:-2], rows[-2], rows[-1]
        for row in full:
            self._append(row)
            self._begin(row.newest)
        self._append(filling)
        for key, value in zip(replaced.keys, replaced.values, strict=True):
            self.index[key] = self._replaced[key] = value
        self.has_strays = self._collisions > 0
        self._is_told()

    def _append(self, row: Row[V]) -> None:
        index = self.index
        for key, value in zip(row.keys, row.values, strict=True):
            while key in index and self._full:
                # It had been forgotten when it was added again.
                self._drop_oldest()
            index[key] = value
            self._collisions += isinstance(key, tuple)
        self.keys += row.keys
        self.values += row.values

    def _is_told(self) -> None:
        self._untold = []
        self._told = len(self.keys)
        self._cut = None
        self._changed = {}

    def _begin(self, newest: int | None = None) -> None:
        segment = Row(self.keys, self.values, newest)
        self._untold.append((segment, self._told))
        self._told = 0
        self._full.append(segment)
        self._room.used += len(self.keys)
        self.keys, self.values = [], []
        while len(self._full) > 1 and self._room.used > self._room.capacity:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        segment = self._full.pop(0)
        if self._untold and self._untold[0][0] is segment and self._untold.pop(0)[1]:
            self._cut = Row([], [], segment.newest)
        self._room.used -= len(segment.keys)
        for key in segment.keys:
            if self.index.pop(key, None) is not None and isinstance(key, tuple):
                self._collisions -= 1
            if self._replaced:
                self._replaced.pop(key, None)
                self._changed.pop(key, None)
        self.has_strays = self._collisions > 0


def _owner(value: int | EndedExecution) -> int:
    return value if isinstance(value, int) else value.number
