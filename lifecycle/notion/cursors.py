"""Move the cursors of what is read in order, and tell when they moved."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.notion.kinds import NotionCursor


def move_cursor(connection: sa.Connection, kind: NotionCursor, key: str, **position: Any) -> None:
    """Say how far what is read of `key`, a tenant or a database, has come: by `seq`, or by `edited_at`."""
    put = insert(tables.notion_cursors).values(kind=kind, key=key, **position)
    connection.execute(
        put.on_conflict_do_update(
            index_elements=["kind", "key"], set_={**position, "moved_at": sa.func.clock_timestamp()}
        )
    )
