"""Dead letters also as rows, where operators look for them: position, code and digest, never the bytes (spec 10)."""

import time
from collections.abc import Callable

import sqlalchemy as sa
import structlog
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from config.metrics import SINK_RETRIES
from dataflows.dead_letters import DeadLetter
from lifecycle.dead_letters import DeadLetterRow, record_dead_letters
from sinks.faults import Fault, classify
from sinks.services import Retry, StoreAwayError

Keyed = tuple[str, DeadLetter]

NAME = "dead_letters"

_log = structlog.get_logger(__name__)


class _Partition(StatelessSinkPartition[Keyed]):
    def __init__(
        self, inner: StatelessSinkPartition[Keyed], engine: sa.Engine, retry: Retry, stopping: Callable[[], bool]
    ) -> None:
        self._inner = inner
        self._engine = engine
        self._retry = retry
        self._stopping = stopping

    def write_batch(self, items: list[Keyed]) -> None:
        """The message itself first: a row without it would point to nothing."""
        self._inner.write_batch(items)
        rows = [_row(dead_letter) for _, dead_letter in items]
        tries = 0
        while True:
            try:
                with self._engine.begin() as connection:
                    record_dead_letters(connection, rows)
            except sa.exc.SQLAlchemyError as error:
                if classify(error) not in (Fault.AWAY, Fault.CONFLICT):
                    raise
                tries += 1
                self._hold_back(tries)
            else:
                return

    def close(self) -> None:
        self._inner.close()
        self._engine.dispose()

    def _hold_back(self, tries: int) -> None:
        SINK_RETRIES.labels(NAME).inc()
        if tries == 1:
            _log.warning("store_away", sink=NAME)
        if self._stopping():
            raise StoreAwayError
        time.sleep(self._retry.wait(tries).total_seconds())


class RecordedDeadLetters(DynamicSink[Keyed]):
    """Hands dead letters to another sink and keeps a row of each, once for each position.

    While Postgres is away writing does not return, which holds the stream back; nothing is dropped.
    """

    def __init__(
        self, inner: DynamicSink[Keyed], make_engine: Callable[[], sa.Engine], stopping: Callable[[], bool]
    ) -> None:
        self._inner = inner
        self._make_engine = make_engine
        self._stopping = stopping

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Partition:
        """One for each worker, with a connection of its own."""
        inner = self._inner.build(step_id, worker_index, worker_count)
        return _Partition(inner, self._make_engine(), Retry(), self._stopping)


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
