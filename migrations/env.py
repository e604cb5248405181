"""How Alembic reaches the database: on the connection that `lifecycle.migrate` hands it, or on `-x url=…`.

One migration runs at a time (advisory lock), none waits long for a table that is in use (lock timeout), and
each revision is a transaction of its own, so a failure leaves the last good revision.
"""

import sqlalchemy as sa
from alembic import context

from lifecycle.tables import metadata

#: Arbitrary, the same for everybody who migrates this schema.
_ADVISORY_LOCK = 0x62726561  # "brea"


def run(connection: sa.Connection) -> None:
    """Bring the database to the revision that was asked for."""
    connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
    connection.execute(sa.text("SET lock_timeout = '5s'"))
    connection.execute(sa.text("SET statement_timeout = '5min'"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transaction_per_migration=True,
            compare_type=True,
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
        connection.execute(sa.text("RESET lock_timeout"))
        connection.execute(sa.text("RESET statement_timeout"))
        connection.commit()


def main() -> None:
    """Entry of the `alembic` command and of `lifecycle.migrate` alike."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run(connection)
        return
    url = context.get_x_argument(as_dictionary=True)["url"]
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as own:
        run(own)


main()
