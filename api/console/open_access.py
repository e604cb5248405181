"""The database for whoever reaches a console without sign-in: everything, as the tables' owner.

There is nobody to look up and no tenant to keep apart, and pages are read without writing that somebody did.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from api.auth.access import Access
from api.auth.principal import EVERY_TENANT, Principal
from api.database import Database
from lifecycle.capabilities import Role


class OpenAccess(Access):
    """`Access` without its checks; for a console on loopback."""

    def __init__(self, database: Database, user_id: str) -> None:
        """`user_id` is what the operator calls themselves, marked as such."""
        roles = frozenset({Role.ADMIN.value, Role.PLATFORM_ADMIN.value})
        super().__init__(database, Principal(subject=user_id, roles=roles, tenants=EVERY_TENANT), "console")

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One snapshot of everything."""
        with self.database.read() as connection:
            yield connection

    @contextmanager
    def read_of(self, kind: str, row_id: str) -> Iterator[tuple[sa.Connection, str]]:
        """One snapshot, and the tenant that owns a row; empty when there is no such row."""
        with self.database.read() as connection:
            yield connection, _owner(connection, kind, row_id)

    def owner(self, kind: str, row_id: str) -> str:
        """The tenant that owns a row; empty when there is no such row."""
        with self.database.read() as connection:
            return _owner(connection, kind, row_id)

    @contextmanager
    def write(self, tenant_id: str) -> Iterator[sa.Connection]:  # noqa: ARG002  (every tenant is theirs)
        """A transaction, committed at the end."""
        with self.database.write() as connection:
            yield connection

    @contextmanager
    def write_platform(self) -> Iterator[sa.Connection]:
        """A transaction, committed at the end."""
        with self.database.write() as connection:
            yield connection


def _owner(connection: sa.Connection, kind: str, row_id: str) -> str:
    found = connection.execute(sa.select(sa.func.tenant_of(kind, row_id))).scalar()
    return found if isinstance(found, str) else ""
