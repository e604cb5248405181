"""Where chains ended at some time, kept outside the database: so that a tail that was cut off is missed (50.1).

Whoever can write to all tables can cut off a chain's tail and move its head back, and the rest holds. What was told
of the end before tells of it.
"""

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.entry import Break

_runs, _heads = tables.credit_runs.c, tables.credit_ledger_heads.c


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a tenant's chain; it has so many rows, and the last one's hash."""

    tenant_id: str
    rows: int
    sha256: str


def read_anchors(lines: Iterable[bytes]) -> list[Anchor]:
    """The anchors among lines of JSON as `ledger verify --json` prints them; `msgspec.DecodeError` for no JSON.

    Lines of chains that did not hold have none.
    """
    found = (msgspec.json.decode(line) for line in lines if line.strip())
    return [msgspec.convert(one, Anchor) for one in found if not isinstance(one, dict) or one.get("sha256") is not None]


def anchor_of(connection: sa.Connection, tenant_id: str) -> Anchor | None:
    """Where a chain ends now; None where there is no row."""
    head = connection.execute(sa.select(_heads.seq, _heads.sha256).where(_heads.tenant_id == tenant_id)).first()
    if head is None or head.sha256 is None:
        return None
    return Anchor(tenant_id=tenant_id, rows=head.seq, sha256=head.sha256)


def missed(connection: sa.Connection, anchor: Anchor) -> Break | None:
    """Where a chain that holds is another one than the one that ended at `anchor`; None where it goes on from it."""
    sha256 = connection.execute(
        sa.select(_runs.sha256).where(_runs.tenant_id == anchor.tenant_id, _runs.seq == anchor.rows)
    ).scalar()
    if sha256 is None:
        return Break(anchor.tenant_id, anchor.rows, "the row was there before, and is missing")
    return None if sha256 == anchor.sha256 else Break(anchor.tenant_id, anchor.rows, "the row was another one before")
