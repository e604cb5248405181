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

#: What is remembered of an id: the number of its workflow, or a tuple that begins with it.
V = TypeVar("V", int, tuple[int, int, int, int])

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


class _Segment:
    """Keys in the order in which they came."""

    __slots__ = ("keys", "newest")

    def __init__(self, keys: list[Key], newest: int | None = None) -> None:
        self.keys = keys
        #: No entry has a later event time; None until time has passed since the last was added.
        self.newest = newest


class Memory(Generic[V]):
    """What is remembered of ids, by workflow number and id. Looking up and adding take about 0.2 µs.

    `index` and `keys` are open to the lane's inner loop: an id that is not in `index` may be put there with its
    value, and at the end of `keys`. All else goes through the methods.
    """

    __slots__ = ("_changed", "_collisions", "_full", "_room", "_told", "_untold", "index", "keys")

    def __init__(self, room: Room) -> None:
        self.index: dict[Key, V] = {}
        #: The segment that is being filled.
        self.keys: list[Key] = []
        self._room = room
        self._full: list[_Segment] = []
        #: What the last `news` did not have: keys of segments filled since, all of `keys` from here on, and keys
        #: whose value was replaced.
        self._untold: list[Key] = []
        self._told = 0
        self._changed: list[Key] = []
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
        return None

    def replace(self, number: int, name: str, value: V) -> None:
        """Change what is remembered of a workflow's id; it must be remembered."""
        key: Key = name if _owner(self.index[name]) == number else (number, name)
        self.index[key] = value
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
        """All entries, a segment a row; the last is the one that is being filled. `news` begins after it."""
        rows = [self._row(segment.keys, segment.newest) for segment in self._full]
        rows.append(self._row(self.keys))
        self._is_told()
        return rows

    def news(self) -> Row[V]:
        """What was added and changed since the last time, in bounded room a part of it perhaps forgotten again."""
        index = self.index
        keys = [key for key in (*self._untold, *self.keys[self._told :], *self._changed) if key in index]
        self._is_told()
        return self._row(keys)

    def restore(self, rows: list[Row[V]]) -> None:
        """The inverse of `everything`, into an empty memory."""
        for row in rows:
            self.index.update(zip(row.keys, row.values, strict=True))
            self._full.append(_Segment(row.keys, row.newest))
        self.keys = self._full.pop().keys
        self._room.used += sum(len(segment.keys) for segment in self._full)
        self._collisions = sum(isinstance(key, tuple) for key in self.index)
        self._is_told()

    def learn(self, row: Row[V]) -> None:
        """Take over `news` of the memory that was restored."""
        index = self.index
        for key, value in zip(row.keys, row.values, strict=True):
            if key not in index:
                self.keys.append(key)
                self._collisions += isinstance(key, tuple)
            index[key] = value
        if len(self.keys) >= SEGMENT:
            self._begin()
        self._is_told()

    def _row(self, keys: list[Key], newest: int | None = None) -> Row[V]:
        index = self.index
        return Row(keys, [index[key] for key in keys], newest)

    def _is_told(self) -> None:
        self._untold = []
        self._told = len(self.keys)
        self._changed = []

    def _begin(self) -> None:
        self._untold += self.keys[self._told :]
        self._told = 0
        self._full.append(_Segment(self.keys))
        self._room.used += len(self.keys)
        self.keys = []
        while len(self._full) > 1 and self._room.used > self._room.capacity:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        keys = self._full.pop(0).keys
        self._room.used -= len(keys)
        for key in keys:
            if self.index.pop(key, None) is not None and isinstance(key, tuple):
                self._collisions -= 1


def _owner(value: int | tuple[int, int, int, int]) -> int:
    return value if isinstance(value, int) else value[0]
