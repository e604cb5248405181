"""Let those who change the same thing go one after another."""

import sqlalchemy as sa


def wait_for_turn(connection: sa.Connection, key: str) -> None:
    """Wait until nobody else has this turn, and have it until the transaction ends.

    It is an advisory lock: a query, which in a transaction that reads one snapshot takes that snapshot before it waits.
    """
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))))
