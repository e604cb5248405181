"""Bring Notion up to date: one pass over what is not, in short order, by one worker at a time (50.5).

Nothing is queued for Notion: what its pages do not show yet is asked of our own tables, so an outage delays and never
loses, and what changed ten times meanwhile is written once.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
import structlog

from config.metrics import NOTION_PAGES
from config.settings import NotionAccess
from lifecycle.kinds import ActionResult
from lifecycle.notion.case_pages import due_cases, fail_locks, note_lock
from lifecycle.notion.client import NotionClient
from lifecycle.notion.columns import COLUMNS
from lifecycle.notion.faults import OF_ALL, NotionError, RefusedError, TryLaterError
from lifecycle.notion.kinds import NotionKind, NotionPart, PageOutcome
from lifecycle.notion.outages import note_failure, note_success, parts_left_alone, tell_of_refusal
from lifecycle.notion.page_writer import PageWriter, Patience, Wanted, Written
from lifecycle.notion.review_pages import due_reviews
from lifecycle.notion.run_pages import due_runs
from lifecycle.notion.stages import poll_is_due, poll_stages
from lifecycle.notion.task_pages import due_receipts, due_tasks
from lifecycle.notion.values import Layout, lay_out
from lifecycle.options import LifecycleOptions
from lifecycle.outages import Breaker

_log = structlog.get_logger(__name__)

#: How long what a database looks like is believed.
_LAYOUT_HOLDS = timedelta(minutes=10)
#: Nearly the time between two ticks of the job, which has its turn at once when it is late.
_BUDGET = timedelta(seconds=14)
#: Stages are read at every fourth tick.
_POLL_EVERY = timedelta(seconds=50)

#: The right to write: who has it is the only one, and its end is that of its connection.
_TRY_LOCK = sa.text("SELECT pg_try_advisory_lock(hashtextextended('notion', 0))")
#: Fails when the connection is lost, and with it the lock.
_STILL_THERE = sa.text("SELECT 1")
_UNLOCK = sa.text("SELECT pg_advisory_unlock(hashtextextended('notion', 0))")


@dataclass(slots=True, kw_only=True)
class NotionSync:
    """What passes are made with; knows for a while what the databases look like."""

    engine: sa.Engine
    notion: NotionClient
    access: NotionAccess
    options: LifecycleOptions
    patience: Patience = field(default_factory=Patience)
    breaker: Breaker = field(default_factory=Breaker)
    budget: timedelta = _BUDGET
    poll_every: timedelta = _POLL_EVERY
    clock: Callable[[], float] = time.monotonic
    _layouts: dict[NotionKind, tuple[Layout, float]] = field(default_factory=dict)

    def run(self) -> int:
        """Write what is due until nothing is, the budget is used up, or Notion fails; how many pages were written.

        What fails is recorded, and told of when it goes on; errors of the database are raised. 0 when another worker
        is at it.
        """
        with self._right_to_write() as right:
            return 0 if right is None else self._pass(right)

    def _pass(self, right: sa.Connection) -> int:
        deadline = self.clock() + self.budget.total_seconds()
        written, works = 0, False
        left_alone = parts_left_alone(right)
        if NotionPart.API in left_alone:
            return 0
        try:
            for kind in self._databases():
                if NotionPart(kind) not in left_alone:
                    pages, answered = self._go_through(kind, deadline, right)
                    written, works = written + pages, works or answered
        except NotionError as error:
            self._note_failure(NotionPart.API, error)
            return written
        if works:
            self._note_success(NotionPart.API)
        return written

    def _go_through(self, kind: NotionKind, deadline: float, right: sa.Connection) -> tuple[int, bool]:
        """How many pages of a database were written, and whether it did anything that it was asked for.

        Raises what is not about this database alone. One that is read and takes no pages fails.
        """
        written, was_read = 0, False
        part = NotionPart(kind)
        try:
            if kind is NotionKind.CASE:
                was_read = self._poll(right)
            while self.clock() < deadline and (due := self._due(kind)):
                for wanted in due:
                    if self.clock() >= deadline:
                        break
                    right.execute(_STILL_THERE)
                    written += self._write(wanted).is_there
        except RefusedError as error:
            if error.code in OF_ALL:
                raise
            self._note_failure(part, error)
        else:
            if written or was_read:
                self._note_success(part)
        return written, was_read or written > 0

    def _poll(self, right: sa.Connection) -> bool:
        """Read what people changed in cases, before it is written over; False when that is not due."""
        database = self.access.cases
        if database is None or not poll_is_due(right, database, self.poll_every):
            return False
        # People may have renamed a column, and pages that are read by its old name would be passed over.
        self._layouts.pop(NotionKind.CASE, None)
        poll_stages(self.engine, self.notion, database, self._layout(NotionKind.CASE))
        return True

    def _write(self, wanted: Wanted) -> Written:
        writer = PageWriter(engine=self.engine, notion=self.notion, patience=self.patience)
        try:
            written = writer.write(wanted, self._layout(wanted.kind))
        except NotionError as error:
            outcome = PageOutcome.REFUSED if isinstance(error, RefusedError) else PageOutcome.LATER
            NOTION_PAGES.labels(wanted.kind, outcome).inc()
            raise
        NOTION_PAGES.labels(wanted.kind, written.outcome).inc()
        if written.refused_code is not None:
            # The database may have other columns now.
            self._layouts.pop(wanted.kind, None)
            if written.is_news:
                self._tell_of_refusal(wanted, written.refused_code)
            self._note_lock(wanted, ActionResult.FAILED)
        elif written.is_there:
            self._note_lock(wanted, ActionResult.DONE)
        return written

    def _databases(self) -> Iterator[NotionKind]:
        """Those that are set up, in the order in which their pages need each other; the many runs come last."""
        return (kind for kind in NotionKind if database_of(self.access, kind) is not None)

    def _due(self, kind: NotionKind) -> list[Wanted]:
        with_cases = self.access.cases is not None
        with self.engine.begin() as connection:
            match kind:
                case NotionKind.CASE:
                    return due_cases(connection, self.options)
                case NotionKind.TASK:
                    return due_tasks(connection, with_cases=with_cases)
                case NotionKind.RECEIPT:
                    return due_receipts(connection, with_cases=with_cases)
                case NotionKind.REVIEW:
                    return due_reviews(connection, self.options)
                case NotionKind.RUN:
                    return due_runs(connection, self.access.runs_min_severity)

    def _layout(self, kind: NotionKind) -> Layout:
        known = self._layouts.get(kind)
        if known is not None and self.clock() < known[1]:
            return known[0]
        database = database_of(self.access, kind)
        assert database is not None
        layout = lay_out(COLUMNS[kind], self.notion.read_schema(database))
        self._layouts[kind] = (layout, self.clock() + _LAYOUT_HOLDS.total_seconds())
        return layout

    def _note_lock(self, wanted: Wanted, result: ActionResult) -> None:
        if wanted.kind is NotionKind.CASE and wanted.lock:
            with self.engine.begin() as connection:
                note_lock(connection, wanted, result)

    def _note_failure(self, part: NotionPart, error: NotionError) -> None:
        later = isinstance(error, TryLaterError)
        _log.warning("notion_failed", part=part, fault=str(error), later=later)
        with self.engine.begin() as connection:
            note_failure(
                connection,
                part,
                str(error),
                retry_after=error.retry_after if isinstance(error, TryLaterError) else None,
                breaker=self.breaker,
                options=self.options,
            )
            if isinstance(error, RefusedError) and part in (NotionPart.API, NotionPart.CASE):
                fail_locks(connection)

    def _note_success(self, part: NotionPart) -> None:
        with self.engine.begin() as connection:
            note_success(connection, part)

    def _tell_of_refusal(self, wanted: Wanted, code: str) -> None:
        _log.warning("notion_refused", kind=wanted.kind, object_id=wanted.object_id, code=code)
        with self.engine.begin() as connection:
            tell_of_refusal(connection, wanted.kind, code, self.options)

    @contextmanager
    def _right_to_write(self) -> Iterator[sa.Connection | None]:
        """The connection whose lock is the right to write; None when another has it."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not connection.execute(_TRY_LOCK).scalar_one():
                yield None
                return
            try:
                yield connection
            finally:
                connection.execute(_UNLOCK)


def make_sync(access: NotionAccess | None, engine: sa.Engine, options: LifecycleOptions) -> NotionSync | None:
    """What the settings ask for; None without Notion. Contacts nothing; close its client."""
    if access is None:
        return None
    return NotionSync(engine=engine, notion=NotionClient(access), access=access, options=options)


def database_of(access: NotionAccess, kind: NotionKind) -> str | None:
    """The database that pages of a kind are in; None when it is not set up."""
    match kind:
        case NotionKind.CASE:
            return access.cases
        case NotionKind.TASK:
            return access.tasks
        case NotionKind.RECEIPT:
            return access.receipts
        case NotionKind.REVIEW:
            return access.reviews
        case NotionKind.RUN:
            return access.runs
