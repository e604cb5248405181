"""Ids remembered for a horizon of event time, in bounded room.

Two memories a key group: which events were seen, and which executions have ended. Ids are unique within a
workflow only, so each entry says whose it is. Entries leave in segments: the oldest segment goes as a whole
once it is past the horizon, or when the room that all memories of a process share is used up; so a busy group
may have what quiet ones don't need. A segment that is full rarely changes again, so its encoding is made once
and a snapshot costs what is new.
"""

from typing import Generic, TypeVar

import msgspec

#: What spec 10 asks for: repeats within this much event time count once.
HORIZON = 24 * 3600 * 1_000_000

#: Entries of a segment.
SEGMENT = 4096

#: Entries that the full segments of a process may hold together; about 200 bytes each.
ROOM = 4_000_000

V = TypeVar("V", bound=tuple[int, ...])

#: An id, or (workflow number, id) where another workflow had the same id first.
Key = str | tuple[int, str]


class _Segment:
    """Entries in the order in which they came."""

    __slots__ = ("encoded", "keys", "newest")

    def __init__(self, newest: int) -> None:
        self.keys: list[Key] = []
        #: The latest event time of its entries.
        self.newest = newest
        self.encoded: msgspec.Raw | None = None


class Room:
    """How many entries the memories of one process hold in full segments, and how many they may."""

    __slots__ = ("capacity", "used")

    def __init__(self, capacity: int = ROOM) -> None:
        self.capacity = capacity
        self.used = 0


class Memory(Generic[V]):
    """`(workflow number, id) -> value`, where the value's first item is the workflow number.

    Looking up and adding take about 0.2 µs.
    """

    __slots__ = ("_collisions", "_index", "_room", "_segments")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._index: dict[Key, V] = {}
        self._segments: list[_Segment] = []
        #: Ids that several workflows had; while there are none one look is enough.
        self._collisions = 0

    def __len__(self) -> int:
        return len(self._index)

    def get(self, number: int, name: str) -> V | None:
        """What is remembered of a workflow's id."""
        value = self._index.get(name)
        if value is not None and value[0] == number:
            return value
        return self._index.get((number, name)) if self._collisions else None

    def add(self, name: str, value: V, time: int) -> bool:
        """Remember an id of workflow `value[0]`; False when it was remembered already, and nothing changes."""
        index = self._index
        key: Key = name
        known = index.get(name)
        if known is not None or self._collisions:
            number = value[0]
            if (known is not None and known[0] == number) or (number, name) in index:
                return False
            if known is not None:
                key = (number, name)
                self._collisions += 1
        index[key] = value
        segments = self._segments
        if not segments or len(segments[-1].keys) >= SEGMENT:
            self._begin(time)
        segment = segments[-1]
        segment.keys.append(key)
        if time > segment.newest:
            segment.newest = time
        return True

    def replace(self, name: str, value: V) -> None:
        """Change what is remembered of an id that is remembered."""
        known = self._index.get(name)
        key: Key = name if known is not None and known[0] == value[0] else (value[0], name)
        self._index[key] = value
        for segment in self._segments:
            segment.encoded = None

    def forget(self, now: int) -> None:
        """Let go of what is past the horizon at event time `now`; call it now and then.

        What fits into one segment stays: it costs little, and one event from a clock that is a year ahead
        does not make a quiet group forget.
        """
        while len(self._segments) > 1 and self._segments[0].newest < now - HORIZON:
            self._drop_oldest()

    def _begin(self, time: int) -> None:
        if self._segments:
            self._room.used += SEGMENT
        while len(self._segments) > 1 and self._room.used > self._room.capacity:
            self._drop_oldest()
        self._segments.append(_Segment(time))

    def _drop_oldest(self) -> None:
        self._room.used -= SEGMENT
        for key in self._segments.pop(0).keys:
            if self._index.pop(key, None) is not None and isinstance(key, tuple):
                self._collisions -= 1

    def snapshot(self) -> list[tuple[int, msgspec.Raw]]:
        """Everything, a segment a row: (newest, encoded entries)."""
        rows = []
        for segment in self._segments:
            encoded = segment.encoded
            if encoded is None:
                index = self._index
                encoded = msgspec.Raw(_encoder.encode([(_name(key), *index[key]) for key in segment.keys]))
                if segment is not self._segments[-1]:
                    segment.encoded = encoded
            rows.append((segment.newest, encoded))
        return rows

    def restore(self, rows: list[tuple[int, msgspec.Raw]]) -> None:
        """The inverse of `snapshot`, into an empty memory."""
        for newest, encoded in rows:
            segment: _Segment = _Segment(newest)
            self._segments.append(segment)
            for name, *value in _decoder.decode(encoded):
                key: Key = name
                if name in self._index:
                    key = (value[0], name)
                    self._collisions += 1
                self._index[key] = tuple(value)  # type: ignore[assignment]
                segment.keys.append(key)
        self._room.used += SEGMENT * max(0, len(rows) - 1)


def _name(key: Key) -> str:
    return key if isinstance(key, str) else key[1]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[list[str | int]])
