"""The registry that Postgres holds, as the intake asks it: from memory, and again when memory may be wrong.

Memory holds so many bindings and no more. What changes is told of by the database (`cli.registry_changes`) and
forgotten here, so that the next event has it looked up.

Events from Kafka that are ahead of the registry are parked (`dataflows.admission`), which asks for their versions
beside the stream; those of a file are asked for once, while they wait.
"""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import sqlalchemy as sa
import structlog

from cli.registry_changes import EVERYTHING, RETRY, RegistryChanges
from dataflows.registry import Binding, LookUp
from lifecycle.registry import VersionBinding, find_binding, find_bindings, read_bindings

#: Memory is renewed this often whatever was told.
REFRESH = timedelta(minutes=10)

#: What was asked is not asked for again before this, however many events name it.
ASK_AGAIN = timedelta(seconds=1)

#: Versions looked up one by one within `ASK_AGAIN`; for more, everything is read at once.
LOOK_UPS = 200

#: Versions that are remembered as asked for, at most, within `ASK_AGAIN`.
MAX_ASKED = 10_000

log = structlog.get_logger(__name__)

#: Bindings held, at most; a generation of them is half. About 410 bytes each.
MAX_BINDINGS = 2_000_000

Bindings = dict[str, Binding]
T = TypeVar("T")


class _Refresh(threading.Thread):
    """Reads all bindings beside the stream. It dies with the process, whatever the database does."""

    def __init__(self, engine: sa.Engine, limit: int) -> None:
        super().__init__(name="registry-refresh", daemon=True)
        self._engine = engine
        self._limit = limit
        self._bindings: Bindings | None = None
        self._error: Exception | None = None
        #: What was looked up since it began, and so is newer.
        self.learned: dict[str, Binding | None] = {}

    def run(self) -> None:
        """Read; `result` has what came of it."""
        try:
            with self._engine.connect() as connection:
                self._bindings = _read(connection, self._limit)
        except Exception as error:  # noqa: BLE001  (raised again where somebody listens)
            self._error = error

    def result(self) -> Bindings:
        """The bindings, once the thread has ended, or the error that ended it."""
        if self._bindings is None:
            assert self._error is not None
            raise self._error
        for automation_version_id, binding in self.learned.items():
            _learn(self._bindings, automation_version_id, binding)
        return self._bindings


class _LookUp(threading.Thread):
    """Asks for some versions beside the stream; one statement. It dies with the process too."""

    def __init__(
        self, engine: sa.Engine, automation_version_ids: Sequence[str], learn: Callable[[str, Binding | None], None]
    ) -> None:
        super().__init__(name="registry-look-up", daemon=True)
        self._engine = engine
        self._ids = automation_version_ids
        self._learn = learn
        #: Versions that changed since it began: the answer may be from before.
        self.outdated: set[str] = set()
        self._found: Bindings | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Ask; `answer` has what came of it."""
        try:
            with self._engine.connect() as connection:
                self._found = _find(connection, self._ids)
        except Exception as error:  # noqa: BLE001  (raised again where somebody listens)
            self._error = error

    def answer(self) -> bool | None:
        """As the protocol has it; an error that is not the database's absence is raised."""
        if self.is_alive():
            return None
        if self._found is None:
            if not isinstance(self._error, sa.exc.OperationalError):
                assert self._error is not None
                raise self._error
            return False
        for automation_version_id in self._ids:
            if automation_version_id not in self.outdated and EVERYTHING not in self.outdated:
                self._learn(automation_version_id, self._found.get(automation_version_id))
        return True


class DatabaseRegistry:
    """Bindings in memory: as many as there is room for are read before the first event, the others when events ask.

    Memory is two generations: what is asked for moves into the young one, and when that is full the old one is
    dropped. So a binding that events ask for stays, and one that is found costs a look into one dictionary.

    What memory lacks, or an event contradicts, is asked for: a version at most once within `ASK_AGAIN`, at most
    `LOOK_UPS` versions one by one, and then, where memory has room for all, all in one read, so that a flood of
    made-up ids neither holds the stream nor fills memory. While the database is away what is known holds; an event
    that would be a dead letter waits. For one thread.
    """

    def __init__(
        self,
        engine: sa.Engine,
        stopping: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        *,
        max_bindings: int = MAX_BINDINGS,
    ) -> None:
        """`max_bindings` bounds memory, while it is read anew twice."""
        self._engine = engine
        self._stopping = stopping
        self._clock = clock
        self._generation = max(1, max_bindings // 2)
        self._bindings: Bindings = {}
        self._old: Bindings = {}
        #: Whether memory had room for all when they were read.
        self._has_all = True
        self._read_at = -float("inf")
        self._refresh: _Refresh | None = None
        self._look_ups: weakref.WeakSet[_LookUp] = weakref.WeakSet()
        #: What was looked up in the span that ends at `_span_end`, and whether all was read in it.
        self._asked: set[str] = set()
        self._asked_all = False
        self._span_end = -float("inf")
        #: Versions that changed, as the listener hears of them.
        self._news: deque[str] = deque()

    def listen(self) -> None:
        """Begin to hear of changes; without it they are known by `REFRESH`, or when an event contradicts."""
        RegistryChanges(self._engine, self._news).start()

    def binding(self, automation_version_id: str) -> Binding | None:
        """The binding of a version. Blocks while the database is away and the version unknown."""
        return self.known(automation_version_id) or self.recheck(automation_version_id)

    def known(self, automation_version_id: str) -> Binding | None:
        """The binding in memory, which is kept fresh. Blocks at the first call alone."""
        if self._news:
            self._take_news()
        if self._refresh is not None or self._clock() - self._read_at > REFRESH.total_seconds():
            self._keep_fresh()
        return self._bindings.get(automation_version_id) or self._revive(automation_version_id)

    def look_up(self, automation_version_ids: Sequence[str]) -> LookUp:
        """Ask for versions beside the stream, whatever was asked before."""
        asked = _LookUp(self._engine, automation_version_ids, self._take_note)
        self._look_ups.add(asked)
        asked.start()
        return asked

    def look_up_now(self, automation_version_ids: Sequence[str]) -> None:
        """Ask for versions in one statement. Blocks while the database is away."""
        found = self._insist(lambda connection: _find(connection, automation_version_ids))
        for automation_version_id in automation_version_ids:
            self._take_note(automation_version_id, found.get(automation_version_id))

    def recheck(self, automation_version_id: str) -> Binding | None:
        """The binding as the database has it, give or take `ASK_AGAIN`. Blocks while the database is away."""
        now = self._clock()
        if now >= self._span_end:
            self._asked.clear()
            self._asked_all = False
            self._span_end = now + ASK_AGAIN.total_seconds()
        if not self._asked_all and automation_version_id not in self._asked:
            if len(self._asked) >= LOOK_UPS and self._has_all:
                self._ask_all()
            if not self._asked_all:
                self._look_up(automation_version_id)
        return self._bindings.get(automation_version_id) or self._revive(automation_version_id)

    def _look_up(self, automation_version_id: str) -> None:
        row = self._insist(lambda connection: find_binding(connection, automation_version_id))
        self._take_note(automation_version_id, None if row is None else _binding(row))
        if len(self._asked) < MAX_ASKED:
            self._asked.add(automation_version_id)

    def _take_note(self, automation_version_id: str, binding: Binding | None) -> None:
        self._old.pop(automation_version_id, None)
        self._bindings.pop(automation_version_id, None)
        if binding is not None:
            self._remember(automation_version_id, binding)
        if self._refresh is not None:
            self._refresh.learned[automation_version_id] = binding

    def _remember(self, automation_version_id: str, binding: Binding) -> None:
        if len(self._bindings) >= self._generation:
            self._old, self._bindings = self._bindings, {}
        self._bindings[automation_version_id] = binding

    def _revive(self, automation_version_id: str) -> Binding | None:
        binding = self._old.pop(automation_version_id, None)
        if binding is not None:
            self._remember(automation_version_id, binding)
        return binding

    def _take_news(self) -> None:
        """Forget what changed, also what is being asked for: the answer may be from before."""
        while self._news:
            automation_version_id = self._news.popleft()
            for asked in self._look_ups:
                asked.outdated.add(automation_version_id)
            if automation_version_id == EVERYTHING:
                # One under way may have begun before; what it has not seen is read by the next.
                self._refresh = None
                self._read_at = min(self._read_at, self._clock() - REFRESH.total_seconds() - 1)
            else:
                self._take_note(automation_version_id, None)
                self._asked.discard(automation_version_id)

    def _take_over(self, bindings: Bindings) -> None:
        self._has_all = len(bindings) < 2 * self._generation
        self._bindings, self._old = {}, bindings
        if len(bindings) <= self._generation:
            self._bindings, self._old = bindings, {}

    def _ask_all(self) -> None:
        began = self._clock()
        read = self._insist(lambda connection: _read(connection, 2 * self._generation))
        self._take_over(read)
        ended = self._clock()
        # What a refresh under way has seen may be older.
        self._refresh = None
        self._read_at = began
        self._asked_all = self._has_all
        # Reading takes half of the time at most, however many bindings there are.
        self._span_end = ended + max(ASK_AGAIN.total_seconds(), ended - began)

    def _insist(self, query: Callable[[sa.Connection], T]) -> T:
        while True:
            try:
                with self._engine.connect() as connection:
                    return query(connection)
            except sa.exc.OperationalError:
                if self._stopping():
                    # The events read since the last snapshot are read again after the restart.
                    raise
                time.sleep(RETRY.total_seconds())

    def _keep_fresh(self) -> None:
        if self._refresh is None:
            first = self._read_at == -float("inf")
            self._read_at = self._clock()
            self._refresh = _Refresh(self._engine, 2 * self._generation)
            self._refresh.start()
            if first:
                self._refresh.join()
        if self._refresh.is_alive():
            return
        refresh, self._refresh = self._refresh, None
        try:
            self._take_over(refresh.result())
        except sa.exc.OperationalError:
            log.warning("registry_not_refreshed", known=len(self._bindings) + len(self._old))


def _read(connection: sa.Connection, limit: int) -> Bindings:
    return {row.automation_version_id: _binding(row) for row in read_bindings(connection, limit=limit)}


def _find(connection: sa.Connection, automation_version_ids: Sequence[str]) -> Bindings:
    return {row.automation_version_id: _binding(row) for row in find_bindings(connection, automation_version_ids)}


def _learn(bindings: Bindings, automation_version_id: str, binding: Binding | None) -> None:
    if binding is None:
        bindings.pop(automation_version_id, None)
    else:
        bindings[automation_version_id] = binding


def _binding(row: VersionBinding) -> Binding:
    return Binding(row.tenant_id, row.automation_version_id, row.workflow_id, row.project_id, row.status)
