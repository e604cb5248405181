"""Carry the blacklist from Postgres to Redis: one process asks, for all (spec 40.3).

Every process that has both stores is a candidate; the one that holds the lease leads. It hears of a change with the
commit (`invalidation.announce`), looks at the version every `BEAT` besides, and says each time that its word still
holds. When it dies another takes over within `LEASE`.
"""

import threading
import uuid
from datetime import timedelta

import psycopg
import redis
import sqlalchemy as sa
import structlog

from lifecycle import tables
from lifecycle.breaker.invalidation import CHANNEL
from lifecycle.breaker.shared_copy import Change, Key, LostLeaseError, SharedCopy

#: How often the leading relay asks Postgres and confirms its word.
BEAT = timedelta(milliseconds=150)

#: For how long it leads without renewing.
LEASE = timedelta(milliseconds=500)

#: How long a candidate that could not lead lets others try: it may be the only one that can't reach Postgres.
_PAUSE = 2 * LEASE

_log = structlog.get_logger(__name__)

_version = sa.select(sa.func.coalesce(sa.func.max(tables.blacklist_version.c.version), 0))
_members = sa.select(tables.workflow_blacklist.c.tenant_id, tables.workflow_blacklist.c.workflow_id).where(
    tables.workflow_blacklist.c.removed_at.is_(None)
)


class BlacklistRelay(threading.Thread):
    """A candidate; leads while it has the lease. It dies with the process."""

    def __init__(self, engine: sa.Engine, shared: SharedCopy) -> None:
        """While it leads it holds one connection of `engine`."""
        super().__init__(name="blacklist-relay", daemon=True)
        self._engine = engine
        self._shared = shared
        self._holder = uuid.uuid4().hex
        self._ending = threading.Event()
        self._is_away = False

    def close(self) -> None:
        """Lead no longer."""
        self._ending.set()

    def run(self) -> None:
        """Lead, or wait for the leader's end, again and again."""
        while not self._ending.is_set():
            try:
                if self._shared.lead(self._holder, LEASE) is None:
                    self._ending.wait(LEASE.total_seconds())
                    continue
                try:
                    self._relay()
                finally:
                    self._shared.resign(self._holder)
            except LostLeaseError:
                continue
            except (redis.RedisError, sa.exc.SQLAlchemyError, psycopg.Error) as error:
                if not self._is_away:
                    _log.warning("blacklist_relay_stands_still", error=type(error).__name__)
                self._is_away = True
                self._ending.wait(_PAUSE.total_seconds())

    def _relay(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            # It listens: nobody else may have it from the pool afterwards.
            connection.detach()
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            version: int | None = None
            members: frozenset[Key] = frozenset()
            while not self._ending.is_set():
                began = self._shared.lead(self._holder, LEASE)
                if began is None:
                    return
                now_version = connection.execute(_version).scalar_one()
                now_members = members
                if now_version != version:
                    now_version, now_members = self._read()
                change = Change(version, now_version, now_members - members, members - now_members)
                if not self._shared.write(self._holder, began, change):
                    # Redis was emptied, or is not what it was.
                    self._shared.write(self._holder, began, Change(None, now_version, now_members, frozenset()))
                version, members, self._is_away = now_version, now_members, False
                for _ in driver.notifies(timeout=BEAT.total_seconds(), stop_after=1):
                    pass

    def _read(self) -> tuple[int, frozenset[Key]]:
        """The version with what belongs to it, as of one moment."""
        with (
            self._engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
            connection.begin(),
        ):
            version = connection.execute(_version).scalar_one()
            return version, frozenset((row.tenant_id, row.workflow_id) for row in connection.execute(_members))
