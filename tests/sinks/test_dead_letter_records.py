"""Dead letters reach their sink and leave one row each, without their bytes."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
import sqlalchemy as sa
from bytewax._bytewax import cli_main
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.recovery import RecoveryConfig, init_db_dir

from dataflows.dead_letters import DeadLetter, DeadLetterCode, Position
from lifecycle import tables
from sinks.dead_letter_records import PARTS, DeadLetterRecorder, RecordedDeadLetters
from sinks.store_away import StoreAwayError

RAW = b'{"error_message": "token hunter2 was refused"}'


def letter(offset: int, code: DeadLetterCode = DeadLetterCode.MISSING_FIELD) -> DeadLetter:
    return DeadLetter(
        position=Position(source="run_events", partition=1, offset=offset),
        code=code,
        explanation="missing: tenant_id",
        raw=RAW,
        sha256=hashlib.sha256(RAW).hexdigest(),
        size=len(RAW),
    )


def recorder(database_url: str, elsewhere: list[DeadLetter]) -> DeadLetterRecorder:
    return DeadLetterRecorder(elsewhere.extend, sa.create_engine(database_url, poolclass=sa.NullPool), lambda: True)


def offsets(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        columns = tables.dead_letters.c
        return list(connection.scalars(sa.select(columns.offset).order_by(columns.offset)))


def test_a_batch_written_twice_leaves_one_row_for_each_position(database_url: str, engine: sa.Engine) -> None:
    elsewhere: list[DeadLetter] = []
    for _ in range(2):
        recorder(database_url, elsewhere).write([letter(7), letter(8, DeadLetterCode.NOT_JSON)])
    assert [one.position.offset for one in elsewhere] == [7, 8, 7, 8]
    columns = tables.dead_letters.c
    with engine.connect() as connection:
        rows = connection.execute(sa.select(columns.partition, columns.offset, columns.code).order_by(columns.offset))
        assert [tuple(row) for row in rows] == [(1, 7, "missing_field"), (1, 8, "not_json")]
        everything = connection.execute(sa.select(tables.dead_letters)).all()
    assert "hunter2" not in repr(everything)


def test_nothing_is_passed_over_while_the_store_is_away() -> None:
    with pytest.raises(StoreAwayError):
        recorder("postgresql+psycopg://nobody@127.0.0.1:1/none", []).write([letter(7)])


@pytest.mark.parametrize("processes", [1, 3, 64, 70])
def test_each_part_belongs_to_one_process_and_each_process_writes_where_it_can(processes: int) -> None:
    sinks = [
        RecordedDeadLetters(lambda: [].extend, sa.create_mock_engine, lambda: False, process=n, processes=processes)  # type: ignore[arg-type]
        for n in range(processes)
    ]
    listed = sorted(part for sink in sinks for part in sink.list_parts())
    assert listed == sorted(set(listed))
    assert len(listed) == PARTS
    for sink in sinks[:PARTS]:
        assert listed[sink.part_fn("17")] in sink.list_parts()


class Letters(FixedPartitionedSource[DeadLetter, int]):
    """Dead letters one by one, an epoch each; where it begins, and how many rows there are then, is put down."""

    def __init__(self, count: int, starts: list[tuple[int, int]], engine: sa.Engine) -> None:
        self.count, self.starts, self.engine = count, starts, engine

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "LettersPart":
        return LettersPart(self, resume_state or 0)


class LettersPart(StatefulSourcePartition[DeadLetter, int]):
    def __init__(self, source: Letters, position: int) -> None:
        self._source = source
        self._position = position
        source.starts.append((position, len(offsets(source.engine))))

    def next_batch(self) -> list[DeadLetter]:
        if self._position == self._source.count:
            raise StopIteration
        self._position += 1
        return [letter(self._position)]

    def snapshot(self) -> int:
        return self._position


def test_what_a_snapshot_says_is_read_is_written(engine: sa.Engine, database_url: str, tmp_path: Path) -> None:
    """Whoever dies between taking a letter and its row goes on before it."""
    init_db_dir(tmp_path, 1)
    starts: list[tuple[int, int]] = []

    def run(dies_at: int | None) -> None:
        def write(letters: Sequence[DeadLetter]) -> None:
            if dies_at in [one.position.offset for one in letters]:
                raise BrokenPipeError("killed")

        flow = Dataflow("letters")
        read = op.input("read", flow, Letters(30, starts, engine))
        keyed = op.map("key", read, lambda one: (str(one.position.offset), one))
        sink = RecordedDeadLetters(
            lambda: write, lambda: sa.create_engine(database_url, poolclass=sa.NullPool), lambda: True
        )
        op.output("write", keyed, sink)
        recovery = RecoveryConfig(str(tmp_path))
        cli_main(flow, workers_per_process=1, epoch_interval=timedelta(0), recovery_config=recovery)

    for dies_at in (7, 19):
        with pytest.raises(RuntimeError):
            run(dies_at)
    run(None)
    assert len(starts) == 3
    assert starts[1][0] > 0
    for position, rows in starts:
        assert rows >= position
    assert offsets(engine) == list(range(1, 31))
