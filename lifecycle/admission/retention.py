"""Forget answers that nobody asks for any more."""

from datetime import timedelta

import sqlalchemy as sa

#: Rows that one transaction deletes.
_STEP = 20_000

_FORGET = sa.text(
    """
    DELETE FROM admissions WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM admissions WHERE decided_at < now() - CAST(:kept AS interval) LIMIT :step
    ))
    """
)


def forget_answers(engine: sa.Engine, kept: timedelta) -> int:
    """Delete answers older than `kept`, in short transactions; how many there were.

    Whoever uses such a key again is answered anew, with the same execution id.
    """
    forgotten = 0
    while True:
        with engine.begin() as connection:
            count = connection.execute(_FORGET, {"kept": kept, "step": _STEP}).rowcount
        forgotten += count
        if count < _STEP:
            return forgotten
