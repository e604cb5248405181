"""Dead letters reach their sink and leave one row each, without their bytes."""

import hashlib
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from dataflows.dead_letters import DeadLetter, DeadLetterCode, Position
from lifecycle import tables
from sinks.dead_letter_records import Keyed, RecordedDeadLetters
from sinks.services import StoreAwayError

RAW = b'{"error_message": "token hunter2 was refused"}'


class Kept(DynamicSink[Keyed]):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.items: list[Keyed] = []

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Keyed]:
        return KeptPartition(self.items)


class KeptPartition(StatelessSinkPartition[Keyed]):
    def __init__(self, items: list[Keyed]) -> None:
        self._items = items

    def write_batch(self, items: list[Keyed]) -> None:
        self._items += items


def letter(offset: int, code: DeadLetterCode = DeadLetterCode.MISSING_FIELD) -> Keyed:
    dead_letter = DeadLetter(
        position=Position(source="run_events", partition=1, offset=offset),
        code=code,
        explanation="missing: tenant_id",
        raw=RAW,
        sha256=hashlib.sha256(RAW).hexdigest(),
        size=len(RAW),
    )
    return str(offset), dead_letter


def sink(make_engine: Callable[[], sa.Engine], inner: Kept) -> StatelessSinkPartition[Keyed]:
    return RecordedDeadLetters(inner, make_engine, lambda: True).build("step", 0, 1)


def test_a_batch_written_twice_leaves_one_row_for_each_position(database_url: str, engine: sa.Engine) -> None:
    inner = Kept()
    for _ in range(2):
        partition = sink(lambda: sa.create_engine(database_url), inner)
        partition.write_batch([letter(7), letter(8, DeadLetterCode.NOT_JSON)])
        partition.close()
    assert [key for key, _ in inner.items] == ["7", "8", "7", "8"]
    columns = tables.dead_letters.c
    with engine.connect() as connection:
        rows = connection.execute(sa.select(columns.partition, columns.offset, columns.code).order_by(columns.offset))
        assert [tuple(row) for row in rows] == [(1, 7, "missing_field"), (1, 8, "not_json")]
        everything = connection.execute(sa.select(tables.dead_letters)).all()
    assert "hunter2" not in repr(everything)


def test_nothing_is_passed_over_while_the_store_is_away() -> None:
    partition = sink(lambda: sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"), Kept())
    with pytest.raises(StoreAwayError):
        partition.write_batch([letter(7)])
