"""What a failure of the database means for the decision that met it."""

from enum import StrEnum

import psycopg
import sqlalchemy as sa


class Fault(StrEnum):
    """What is to be done."""

    AWAY = "away"  #: Postgres can't be reached or can't write now: hold the stream back, try again slowly
    CONFLICT = "conflict"  #: another transaction was in the way: try again soon
    COLLISION = "collision"  #: a row was there already: the same, but one that stays is unusable
    UNUSABLE = "unusable"  #: these values can never be stored: a dead letter
    BUG = "bug"  #: neither: a table is missing, a statement is wrong


#: serialization_failure, deadlock_detected, lock_not_available.
_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
_UNIQUE_VIOLATION = "23505"
#: connection, resources, operator intervention, system error, and a standby that may not write yet.
_AWAY_CLASSES = ("08", "53", "57", "58")
_READ_ONLY = "25006"
#: data exceptions; the other integrity constraints.
_UNUSABLE_CLASSES = ("22", "23")


def classify(error: sa.exc.SQLAlchemyError) -> Fault:
    """Judge an error by its SQLSTATE, which is in no language; without one the connection itself failed."""
    if isinstance(error, sa.exc.TimeoutError):
        return Fault.AWAY
    if not isinstance(error, sa.exc.DBAPIError):
        # The driver could not even encode a value.
        return Fault.UNUSABLE if isinstance(error, sa.exc.StatementError) else Fault.BUG
    state = error.orig.sqlstate if isinstance(error.orig, psycopg.Error) else None
    if state is None:
        return _without_state(error)
    if state in _CONFLICTS:
        return Fault.CONFLICT
    if state == _UNIQUE_VIOLATION:
        return Fault.COLLISION
    if state == _READ_ONLY or state.startswith(_AWAY_CLASSES):
        return Fault.AWAY
    return Fault.UNUSABLE if state.startswith(_UNUSABLE_CLASSES) else Fault.BUG


def _without_state(error: sa.exc.DBAPIError) -> Fault:
    if error.connection_invalidated or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return Fault.AWAY
    return Fault.UNUSABLE if isinstance(error, sa.exc.DataError) else Fault.BUG
