"""Dead letters to their topic and as rows, where operators look for them (spec 10).

A row has position, code and digest, never the bytes. Both are written beside the stream, and the snapshot of an
epoch waits for all that the epoch brought: after a crash what was not written is read again.
"""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from dataflows.dead_letters import DeadLetter
from lifecycle.dead_letters import DeadLetterRow, record_dead_letters
from sinks.faults import Fault, classify
from sinks.store_away import Retry, hold_back
from sinks.write_behind import WriteBehind

NAME = "dead_letters"

#: The step's name in the recovery store. One of its own: the store takes no part back that the sink does not list,
#: and the file of dead letters has another.
STEP = "recorded_dead_letters"

#: The parts of the sink, the same for any number of processes, for the same reason.
PARTS = 64

Write = Callable[[Sequence[DeadLetter]], None]


class DeadLetterRecorder:
    """Writes dead letters elsewhere and then a row of each, once for each position.

    While Postgres is away `write` does not return; nothing is dropped.
    """

    def __init__(self, write_elsewhere: Write, engine: sa.Engine, stopping: Callable[[], bool]) -> None:
        self._write_elsewhere = write_elsewhere
        self._engine = engine
        self._retry = Retry()
        self._stopping = stopping

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """The messages themselves first: a row without one would point to nothing."""
        self._write_elsewhere(letters)
        rows = [_row(letter) for letter in letters]
        tries = 0
        while True:
            try:
                with self._engine.begin() as connection:
                    record_dead_letters(connection, rows)
            except sa.exc.SQLAlchemyError as error:
                if classify(error) not in (Fault.AWAY, Fault.CONFLICT):
                    raise
                tries += 1
                hold_back(NAME, tries, self._retry, self._stopping)
            else:
                return


class _Partition(StatefulSinkPartition[DeadLetter, None]):
    def __init__(self, behind: WriteBehind[DeadLetter], engine: sa.Engine) -> None:
        self._behind = behind
        self._engine = engine

    def write_batch(self, values: list[DeadLetter]) -> None:
        """Hand over, held back while too many wait."""
        self._behind.put(values)

    def snapshot(self) -> None:
        """The engine asks at the end of an epoch and commits it after the answer."""
        self._behind.wait()

    def close(self) -> None:
        """Let go; whatever waits still is not in a snapshot."""
        self._behind.close()
        self._engine.dispose()


class RecordedDeadLetters(FixedPartitionedSink[DeadLetter, None]):
    """Dead letters of this process, at least once: what the last epoch brought may be written again after a crash."""

    def __init__(
        self,
        write_elsewhere: Callable[[], Write],
        make_engine: Callable[[], sa.Engine],
        stopping: Callable[[], bool],
        *,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        """Contacts nothing yet. `process` of `processes` writes the letters that it reads."""
        self._write_elsewhere = write_elsewhere
        self._make_engine = make_engine
        self._stopping = stopping
        self._process = process
        self._processes = processes

    def list_parts(self) -> list[str]:
        """Those of this process: each part belongs to one."""
        return [f"{part:02}" for part in range(PARTS) if part % self._processes == self._process]

    def part_fn(self, item_key: str) -> int:  # noqa: ARG002  (the engine's signature)
        """The first part of this process, so that nothing crosses to another one."""
        return self._process % PARTS

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:  # noqa: ARG002
        """One with a thread and connections of its own; the engine makes those that are written to."""
        engine = self._make_engine()
        recorder = DeadLetterRecorder(self._write_elsewhere(), engine, self._stopping)
        return _Partition(WriteBehind(recorder.write, lambda letter: len(letter.raw)), engine)


def _row(dead_letter: DeadLetter) -> DeadLetterRow:
    position = dead_letter.position
    return DeadLetterRow(
        source=position.source,
        partition=position.partition,
        offset=position.offset,
        code=dead_letter.code.value,
        explanation=dead_letter.explanation,
        sha256=dead_letter.sha256,
        size=dead_letter.size,
    )
