"""The database as commands of operators ask it, and as a monitor that starts waits for it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn, TypeVar

import psycopg
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import OperationalError, ProgrammingError

from cli.options import fail_usage
from config.settings import Settings
from lifecycle.errors import LifecycleError

AWAY = "the database can't be reached, or refuses this user"
_WITHOUT_TABLES = "the database has no tables of this version; run `breakwater migrate`"

#: How often a database that is away is tried.
RETRY = timedelta(milliseconds=500)

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@contextmanager
def usable(fail: Callable[[str], NoReturn]) -> Iterator[None]:
    """End the command by `fail` when the database is away, or not migrated so far as this program is."""
    try:
        yield
    except OperationalError:
        fail(AWAY)
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            raise
        fail(_WITHOUT_TABLES)


@contextmanager
def transaction(settings: Settings) -> Iterator[sa.Connection]:
    """A transaction; wrong usage when there is no database, or what was asked for can't be done."""
    engine = sa.create_engine(settings.postgres.url.get_secret_value(), poolclass=sa.NullPool)
    try:
        with usable(fail_usage), engine.begin() as connection:
            yield connection
    except LifecycleError as refused:
        fail_usage(refused.message)


def read_patiently(
    engine: sa.Engine, stopping: Callable[[], bool], read: Callable[[sa.Connection], list[T]], unread: str
) -> list[T]:
    """What `read` finds; waits for the database, and has nothing when asked to stop meanwhile.

    `unread` is the event that the log has once an outage.
    """
    is_away = False
    while not stopping():
        try:
            with engine.connect() as connection:
                return read(connection)
        except OperationalError as error:
            if not is_away:
                _log.warning(unread, error=type(error).__name__)
            is_away = True
            time.sleep(RETRY.total_seconds())
    return []
