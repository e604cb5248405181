"""Dead letters for those who look after them: lists, and which of them were fed in again (spec 10, Dead letters)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from lifecycle import tables

_letters = tables.dead_letters.c
_position = sa.tuple_(_letters.source, _letters.partition, _letters.offset)

#: What can't be used whatever has changed since: neither sender nor registry can make it smaller.
NEVER_USABLE = "too_large"

#: Source, partition, offset.
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters are meant; everything given must hold."""

    code: str | None = None
    source: str | None = None
    #: Recorded then or later.
    since: datetime | None = None
    #: Exactly these.
    places: Sequence[Place] = ()

    def condition(self) -> sa.ColumnElement[bool]:
        """The same in SQL."""
        parts = [
            None if self.code is None else _letters.code == self.code,
            None if self.source is None else _letters.source == self.source,
            None if self.since is None else _letters.recorded_at >= self.since,
            _position.in_(self.places) if self.places else None,
        ]
        return sa.and_(sa.true(), *(part for part in parts if part is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDeadLetter:
    """One row, without the digest's message: that is in the topic."""

    id: int
    source: str
    partition: int
    offset: int
    code: str
    explanation: str
    sha256: str
    size: int
    recorded_at: datetime
    replayed_at: datetime | None
    replayed_by: str | None
    replayed_topic: str | None
    replayed_partition: int | None
    replayed_offset: int | None
    #: The dead letter whose replay this one is, by its position; None for one that came by itself.
    replay_of: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Where a dead letter was fed in again."""

    place: Place
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many dead letters a selection has, and how many of them are to be fed in."""

    selected: int
    to_replay: int
    never_usable: int
    replayed_before: int


def list_dead_letters(
    connection: sa.Connection, selection: Selection, *, limit: int, before: int | None = None
) -> list[ListedDeadLetter]:
    """The newest first, at most `limit`; `before` is the id with which the last page ended."""
    origin = tables.dead_letters.alias("origin")
    whose = sa.select(
        sa.func.concat_ws("/", origin.c.source, sa.cast(origin.c.partition, sa.Text), sa.cast(origin.c.offset, sa.Text))
    ).where(
        origin.c.replayed_at.is_not(None),
        origin.c.replayed_topic == _letters.source,
        origin.c.replayed_partition == _letters.partition,
        origin.c.replayed_offset == _letters.offset,
    )
    query = (
        sa.select(tables.dead_letters, whose.limit(1).scalar_subquery().label("replay_of"))
        .where(selection.condition())
        .order_by(_letters.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(_letters.id < before)
    return [ListedDeadLetter(**row) for row in connection.execute(query).mappings()]


def count_dead_letters(connection: sa.Connection, selection: Selection, *, again: bool) -> Count:
    """What a replay of the selection would do."""
    unusable = _letters.code == NEVER_USABLE
    before = sa.and_(~unusable, _letters.replayed_at.is_not(None))
    query = sa.select(sa.func.count(), sa.func.count().filter(unusable), sa.func.count().filter(before)).select_from(
        tables.dead_letters
    )
    selected, never_usable, replayed = connection.execute(query.where(selection.condition())).one()
    replayed = 0 if again else replayed
    return Count(
        selected=selected,
        to_replay=selected - never_usable - replayed,
        never_usable=never_usable,
        replayed_before=replayed,
    )


def find_replayable(
    connection: sa.Connection, selection: Selection, places: Sequence[Place], *, replayed_before: datetime | None
) -> set[Place]:
    """Those of `places` that are selected and were not fed in yet, or with `replayed_before` not since then."""
    not_yet: sa.ColumnElement[bool] = _letters.replayed_at.is_(None)
    if replayed_before is not None:
        not_yet = sa.or_(not_yet, _letters.replayed_at < replayed_before)
    query = sa.select(_letters.source, _letters.partition, _letters.offset).where(
        _position.in_(places), _letters.code != NEVER_USABLE, not_yet, selection.condition()
    )
    return {(row[0], row[1], row[2]) for row in connection.execute(query)}


def mark_replayed(connection: sa.Connection, replayed: Iterable[Replayed], *, by: str) -> None:
    """Note where dead letters went, when and by whom."""
    rows = [
        {"s": one.place[0], "p": one.place[1], "o": one.place[2], "t": one.topic, "tp": one.partition, "to": one.offset}
        for one in sorted(replayed, key=lambda one: one.place)
    ]
    if not rows:
        return
    statement = (
        sa.update(tables.dead_letters)
        .where(
            _letters.source == sa.bindparam("s"),
            _letters.partition == sa.bindparam("p"),
            _letters.offset == sa.bindparam("o"),
        )
        .values(
            replayed_at=sa.func.clock_timestamp(),
            replayed_by=by,
            replayed_topic=sa.bindparam("t"),
            replayed_partition=sa.bindparam("tp"),
            replayed_offset=sa.bindparam("to"),
        )
    )
    connection.execute(statement, rows)


def database_time(connection: sa.Connection) -> datetime:
    """The clock by which replays are marked."""
    now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return now


def count_replayed(connection: sa.Connection) -> dict[str, int]:
    """Dead letters that were fed in again, by code."""
    query = sa.select(_letters.code, sa.func.count()).where(_letters.replayed_at.is_not(None)).group_by(_letters.code)
    return {code: count for code, count in connection.execute(query)}  # noqa: C416  (rows are no pairs to mypy)
