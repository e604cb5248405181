"""What the tables share: their metadata and the few kinds of column they are made of.

Constraints are named as sentences, since their names are what an operator reads when one refuses a row.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

#: Names fit into Postgres's 63 bytes; what has no sentence gets its plain name here.
metadata = sa.MetaData(naming_convention={"pk": "%(table_name)s_pkey"})

#: Ids that come from outside (spec 10: 1 to 128 characters).
Id = sa.String(128)
#: Ids made here; text in Python, so that one type goes through JSON, logs and pages.
Uuid = sa.Uuid(as_uuid=False)
Time = sa.DateTime(timezone=True)
Json = JSONB


def new_uuid(name: str = "id") -> sa.Column[str]:
    """A primary key that the database makes up unless it is given."""
    return sa.Column(name, Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()"))


def tenant(*, nullable: bool = False) -> sa.Column[str]:
    """The owner of the row."""
    return sa.Column("tenant_id", Id, nullable=nullable)


def now(name: str) -> sa.Column[Any]:
    """When the row was written: the start of its transaction."""
    return sa.Column(name, Time, nullable=False, server_default=sa.text("now()"))


def word(name: str, default: StrEnum | None = None) -> sa.Column[str]:
    """A column whose values are one of a closed list; `one_of` refuses the others."""
    server_default = None if default is None else sa.text(f"'{default.value}'")
    return sa.Column(name, sa.Text, nullable=False, server_default=server_default)


def quoted(values: Iterable[StrEnum]) -> str:
    """A list of words as SQL."""
    return ", ".join(f"'{value.value}'" for value in values)


def one_of(column: str, values: Iterable[StrEnum], name: str) -> sa.CheckConstraint:
    """Refuse any other word; null passes where the column allows it."""
    return sa.CheckConstraint(f"{column} IN ({quoted(values)})", name=name)


def of_tenant(column: str, table: str, name: str, key: str = "id") -> sa.ForeignKeyConstraint:
    """A reference that can't leave its tenant: both columns must match (30.2)."""
    return sa.ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.{key}"], name=name)


def of_a_tenant(name: str) -> sa.ForeignKeyConstraint:
    """The row's tenant exists."""
    return sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=name)
