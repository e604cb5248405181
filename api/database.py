"""The API's way to the database: short transactions that give up before a browser does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import sqlalchemy as sa
from fastapi import Depends, Request

#: Seconds to wait for a connection: to be made, or to become free.
CONNECT_TIMEOUT = 3
#: Milliseconds that a statement, and a wait for a lock within it, may take.
STATEMENT_TIMEOUT = 10_000
LOCK_TIMEOUT = 3_000


class Database:
    """Opens transactions. Any of them raises SQLAlchemy's errors while the database is away."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        """Contact nothing yet."""
        self._engine = sa.create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT,
                "application_name": "breakwater-api",
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT} -c lock_timeout={LOCK_TIMEOUT}",
            },
        )
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


def _of_app(request: Request) -> Database:
    database = request.app.state.database
    assert isinstance(database, Database)
    return database


#: A route's parameter: the application's database.
DatabaseOfApp = Annotated[Database, Depends(_of_app)]
