"""Word of changes in the registry, heard beside the stream (migration 0007)."""

import threading
import time
from collections import deque
from datetime import timedelta

import psycopg
import sqlalchemy as sa

#: How often a database that is away is tried.
RETRY = timedelta(milliseconds=500)

#: For how long the listener waits for word before it looks whether it is still connected.
_SLICE = 5.0

#: In the place of a version: any may have changed.
EVERYTHING = ""


class RegistryChanges(threading.Thread):
    """Puts the ids of changed versions into `news`, a moment after the commit. It dies with the process.

    A new connection has not heard what was said before it: `EVERYTHING` is put first. So nothing stays unheard for
    longer than the database is away, or a broken connection goes unnoticed.
    """

    def __init__(self, engine: sa.Engine, news: deque[str]) -> None:
        super().__init__(name="registry-changes", daemon=True)
        self._engine = engine
        self._news = news

    def run(self) -> None:
        """Listen, again and again."""
        while True:
            try:
                self._listen()
            except (sa.exc.DBAPIError, psycopg.Error):
                time.sleep(RETRY.total_seconds())

    def _listen(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("LISTEN registry_changes")
            self._news.append(EVERYTHING)
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            while True:
                for word in driver.notifies(timeout=_SLICE):
                    self._news.append(word.payload)
                connection.exec_driver_sql("SELECT 1")
