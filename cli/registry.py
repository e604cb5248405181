"""The registry that Postgres holds, as the intake asks it: from memory, and again when memory may be wrong."""

import time
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa
import structlog

from dataflows.registry import Binding
from lifecycle.registry import VersionBinding, find_binding, read_bindings

#: A binding that was changed is known by then without anybody asking.
REFRESH = timedelta(seconds=30)

#: A version that was not there is not asked for again before this, however many events name it.
UNKNOWN_FOR = timedelta(seconds=1)

#: How often a database that is away is tried, when an event can't be judged without it.
RETRY = timedelta(milliseconds=500)

log = structlog.get_logger(__name__)


class DatabaseRegistry:
    """All bindings, read at once and again every `REFRESH`; an unknown version is looked up at once.

    While the database is away what is known holds; an event of an unknown version waits, for it is neither good
    nor a dead letter.
    """

    def __init__(
        self, engine: sa.Engine, stopping: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._stopping = stopping
        self._clock = clock
        self._bindings: dict[str, Binding] = {}
        self._unknown: dict[str, float] = {}
        self._read_at = -float("inf")

    def binding(self, automation_version_id: str) -> Binding | None:
        """The binding of a version. Blocks while the database is away and the version unknown."""
        now = self._clock()
        if now - self._read_at > REFRESH.total_seconds():
            self._read_all(now)
        known = self._bindings.get(automation_version_id)
        if known is not None:
            return known
        if now - self._unknown.get(automation_version_id, -float("inf")) < UNKNOWN_FOR.total_seconds():
            return None
        return self._look_up(automation_version_id)

    def _read_all(self, now: float) -> None:
        self._read_at = now
        self._unknown.clear()
        try:
            with self._engine.connect() as connection:
                self._bindings = {row.automation_version_id: _binding(row) for row in read_bindings(connection)}
        except sa.exc.OperationalError:
            log.warning("registry_not_refreshed", known=len(self._bindings))

    def _look_up(self, automation_version_id: str) -> Binding | None:
        while True:
            try:
                with self._engine.connect() as connection:
                    row = find_binding(connection, automation_version_id)
                break
            except sa.exc.OperationalError:
                if self._stopping():
                    # The events read since the last snapshot are read again after the restart.
                    raise
                time.sleep(RETRY.total_seconds())
        if row is None:
            self._unknown[automation_version_id] = self._clock()
            return None
        binding = self._bindings[automation_version_id] = _binding(row)
        return binding


def _binding(row: VersionBinding) -> Binding:
    return Binding(row.tenant_id, row.automation_version_id, row.workflow_id, row.project_id, row.status)
