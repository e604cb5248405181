"""How far Notion is behind the ledgers."""

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.notion.kinds import NotionCursor

_heads, _cursors = tables.credit_ledger_heads.c, tables.notion_cursors.c


def count_behind(connection: sa.Connection) -> int:
    """How many rows of all ledgers were not looked at yet; 0 where none ever was, since no runs are written."""
    is_used = sa.exists().where(_cursors.kind == NotionCursor.RUNS)
    if not connection.execute(sa.select(is_used)).scalar_one():
        return 0
    behind = sa.func.coalesce(sa.func.sum(_heads.seq - position()), 0)
    return int(connection.execute(sa.select(behind).select_from(heads_and_cursors())).scalar_one())


def heads_and_cursors() -> sa.Join:
    """Where each tenant's ledger ends, and how far that was looked at."""
    return sa.outerjoin(
        tables.credit_ledger_heads,
        tables.notion_cursors,
        sa.and_(_cursors.kind == NotionCursor.RUNS, _cursors.key == _heads.tenant_id),
    )


def position() -> sa.ColumnElement[int]:
    """The row that was looked at last; 0 before the first."""
    return sa.func.coalesce(_cursors.seq, 0)
