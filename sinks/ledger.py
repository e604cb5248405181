"""The sink `ledger`: what each run cost, once, in the tenants' chains (50.1). Stands apart from decisions."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any, get_args, get_origin

import msgspec
import sqlalchemy as sa
import structlog

from config.metrics import CREDIT_RUNS_RECORDED, SINK_BATCH_SECONDS, SINK_RETRIES
from dataflows.credit_runs import CreditRun
from lifecycle.credits.entry import LedgerEntry, plain
from lifecycle.credits.ledger import Recorded, append
from sinks.faults import Fault, classify
from sinks.services import Retry, StoreAwayError

_log = structlog.get_logger(__name__)

NAME = "ledger"

#: Runs of one transaction, at most: their tenants' chains are locked meanwhile.
TOGETHER = 5_000

#: What the dead letters say of those that the ledger does not take.
REFUSED = {Recorded.CONFLICT: "conflicting_run", Recorded.UNSTORABLE: "unstorable"}

RunDeadLetterWriter = Callable[[CreditRun, str], None]
"""Takes a run that the ledger refuses and one word on why; what it took is durable when it returns."""


def entry_of(run: CreditRun) -> LedgerEntry:
    """The row of a run, not yet in a chain. 8 µs."""
    return LedgerEntry(**{name: _ROAD[name](getattr(run, name)) for name in _NAMES})


class LedgerSink:
    """Appends runs to the ledger. What was handed over is durable when `write` returns.

    While Postgres is away `write` does not return, which holds the stream back; it drops nothing. A run that the ledger
    has word for word is passed over; one that says something else than the ledger goes to the dead letters.
    """

    def __init__(
        self,
        engine: sa.Engine,
        dead_letter: RunDeadLetterWriter,
        *,
        retry: Retry | None = None,
        stopping: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._engine = engine
        self._dead_letter = dead_letter
        self._retry = retry or Retry()
        self._stopping = stopping
        self._sleep = sleep

    def write(self, runs: Iterable[CreditRun]) -> list[Recorded]:
        """Append runs; what became of each, in their order. `StoreAwayError` when asked to stop meanwhile."""
        waiting = list(runs)
        with SINK_BATCH_SECONDS.labels(NAME).time():
            return [
                one
                for begin in range(0, len(waiting), TOGETHER)
                for one in self._write(waiting[begin : begin + TOGETHER])
            ]

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _write(self, runs: list[CreditRun]) -> list[Recorded]:
        recorded = self._append(runs)
        if recorded is None:
            # One of them can't be stored: the others must not suffer for it.
            if len(runs) > 1:
                return [one for run in runs for one in self._write([run])]
            recorded = [Recorded.UNSTORABLE]
        for run, one in zip(runs, recorded, strict=True):
            if one in REFUSED:
                self._dead_letter(run, REFUSED[one])
        for one in set(recorded):
            CREDIT_RUNS_RECORDED.labels(one).inc(recorded.count(one))
        return recorded

    def _append(self, runs: list[CreditRun]) -> list[Recorded] | None:
        """None when one of them can't be stored."""
        conflicts = absences = 0
        while True:
            try:
                # Entries are linked in place, so a second try needs its own.
                with self._engine.begin() as connection:
                    return append(connection, [entry_of(run) for run in runs])
            except sa.exc.SQLAlchemyError as error:
                fault = classify(error)
                conflicts += fault in (Fault.CONFLICT, Fault.COLLISION)
                if fault is Fault.UNUSABLE:
                    return None
                if fault is Fault.BUG or conflicts > self._retry.conflict_tries:
                    raise
                if fault is Fault.AWAY:
                    absences += 1
                    self._hold_back(absences)
                else:
                    self._sleep(self._retry.conflict_wait.total_seconds())

    def _hold_back(self, tries: int) -> None:
        SINK_RETRIES.labels(NAME).inc()
        if tries == 1:
            _log.warning("store_away", sink=NAME)
        if self._stopping():
            raise StoreAwayError
        self._sleep(self._retry.wait(tries).total_seconds())


def _same(value: Any) -> Any:
    return value


def _text(value: str | None) -> str | None:
    # Postgres has no NUL in texts; nothing that is compared with another system holds one.
    return value if value is None or "\x00" not in value else value.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _amount(value: Decimal | None) -> Decimal | None:
    return None if value is None else plain(value)


def _time(value: datetime | None) -> datetime | None:
    return value if value is None or value.tzinfo is UTC else value.astimezone(UTC)


def _words(values: list[StrEnum]) -> list[str]:
    return [value.value for value in values]


def _road(kind: Any) -> Callable[[Any], Any]:
    """How a field of that type is written, the one way for each value."""
    types = set(get_args(kind) or (kind,))
    if Decimal in types:
        return _amount
    if datetime in types:
        return _time
    if str in types:
        return _text
    if get_origin(kind) is list:
        return _words
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return attrgetter("value")
    return _same


_NAMES = CreditRun.__struct_fields__
_ROAD = {field.name: _road(field.type) for field in msgspec.structs.fields(CreditRun)}
