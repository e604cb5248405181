"""How a process reaches the database: one way for all that have no special needs."""

from typing import Any

import sqlalchemy as sa

from config.settings import Postgres

#: Seconds until a host that says nothing counts as away, when a connection is made or one breaks.
CONNECT_TIMEOUT = 5
_ANSWER_TIMEOUT = 20

_CONNECT: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT,
    # A host that vanished without a word is noticed while a statement waits for it as well.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": _ANSWER_TIMEOUT * 1000,
}


def make_engine(postgres: Postgres, *, pool_size: int | None = None) -> sa.Engine:
    """SQLAlchemy's engine for these settings; contacts nothing yet.

    Its errors don't quote parameters: those hold what events brought, and errors end up in logs.
    """
    return sa.create_engine(
        postgres.url.get_secret_value(),
        pool_size=postgres.pool_size if pool_size is None else pool_size,
        # Spares the first transaction after an outage a retry.
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=_CONNECT,
    )
