"""The API's way to the database: short transactions that give up before a browser does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any

import psycopg
import sqlalchemy as sa
from fastapi import Depends, Request
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

#: Seconds to wait for a connection: to be made, or to become free.
CONNECT_TIMEOUT = 3
#: Milliseconds that a statement, and a wait for a lock within it, may take.
STATEMENT_TIMEOUT = 10_000
LOCK_TIMEOUT = 3_000
#: A connection that lay idle for longer is tried before it is used: the server may have gone meanwhile.
TRUSTED = timedelta(seconds=1)


class Database:
    """Opens transactions. Any of them raises SQLAlchemy's errors while the database is away."""

    def __init__(self, url: str, *, pool_size: int = 5, trusted: timedelta = TRUSTED) -> None:
        """Contact nothing yet."""
        self._engine = sa.create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT,
            hide_parameters=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT,
                "application_name": "breakwater-api",
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT} -c lock_timeout={LOCK_TIMEOUT}",
            },
        )
        _try_after_a_while(self._engine, trusted)
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One snapshot for all that a page shows; the database itself refuses writes."""
        with self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction, committed at the end."""
        with self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()


def _try_after_a_while(engine: sa.Engine, trusted: timedelta) -> None:
    """As `pool_pre_ping`, which tries each time, and so costs a fifth of a short transaction."""
    seconds = trusted.total_seconds()

    def note_the_time(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    def try_it(connection: psycopg.Connection[Any], record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        if time.monotonic() - record.info.get("idle_since", float("inf")) < seconds:
            return
        try:
            connection.execute("")
            connection.rollback()
        except psycopg.Error as error:
            # All connections of the pool are made anew when they are needed: they were left behind as this one.
            raise sa.exc.InvalidatePoolError from error

    sa.event.listen(engine, "checkin", note_the_time)
    sa.event.listen(engine, "checkout", try_it)


def _of_app(request: Request) -> Database:
    database = request.app.state.database
    assert isinstance(database, Database)
    return database


#: A route's parameter: the application's database.
DatabaseOfApp = Annotated[Database, Depends(_of_app)]
