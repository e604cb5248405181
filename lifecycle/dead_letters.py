"""The table of messages that could not be used: where each was, why, and its digest; never its bytes (spec 10)."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

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


def record_dead_letters(connection: sa.Connection, letters: Iterable[DeadLetterRow]) -> int:
    """Write rows, one for each position however often it is read; returns how many are new."""
    # In one order, so that two transactions with the same letters can't wait for each other.
    rows = sorted(
        (asdict(letter) for letter in letters), key=lambda row: (row["source"], row["partition"], row["offset"])
    )
    if not rows:
        return 0
    statement = insert(tables.dead_letters).on_conflict_do_nothing(index_elements=["source", "partition", "offset"])
    return len(connection.execute(statement.returning(tables.dead_letters.c.id), rows).all())
