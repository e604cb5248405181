"""The table of messages that could not be used: where each was, why, and its digest; never its bytes (spec 10)."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from lifecycle import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRow:
    """One message. `partition` is -1 and `offset` a byte offset for a file."""

    source: str
    partition: int
    offset: int
    code: str
    #: Without values: it is shown to operators.
    explanation: str
    sha256: str
    size: int


#: One array a column: a tenth of what a row of parameters for each letter costs.
_ROWS = sa.select(
    sa.func.unnest(
        *(
            sa.bindparam(field.name, type_=ARRAY(tables.dead_letters.c[field.name].type))
            for field in fields(DeadLetterRow)
        )
    )
    .table_valued(*(field.name for field in fields(DeadLetterRow)))
    .render_derived()
)
_INSERT = (
    insert(tables.dead_letters)
    .from_select([field.name for field in fields(DeadLetterRow)], _ROWS)
    .on_conflict_do_nothing(index_elements=["source", "partition", "offset"])
)


def record_dead_letters(connection: sa.Connection, letters: Iterable[DeadLetterRow]) -> int:
    """Write rows in one statement, one for each position however often it is read; returns how many are new."""
    # In one order, so that two transactions with the same letters can't wait for each other.
    rows = sorted(letters, key=lambda row: (row.source, row.partition, row.offset))
    if not rows:
        return 0
    columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(DeadLetterRow)}
    return connection.execute(_INSERT, columns, execution_options={"preserve_rowcount": True}).rowcount
