"""Words for the tests of the breaker's store: a Redis of one's own, the blacklist by hand, patience."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from cli.embedded.redis import EmbeddedRedis
from lifecycle import tables
from lifecycle.breaker.blacklist_store import BlacklistStore
from lifecycle.breaker.invalidation import announce
from lifecycle.ids import stable_id
from lifecycle.stuck import Execution, record_recovered, record_stuck


def wait_until(reached: Callable[[], bool], patience: float = 20) -> None:
    """Return once `reached()`, or fail."""
    give_up = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < give_up, "it was never reached"
        time.sleep(0.005)


@contextmanager
def paused(server: EmbeddedRedis) -> Iterator[None]:
    """Redis takes connections and answers nothing."""
    server.pause()
    try:
        yield
    finally:
        server.resume()


@contextmanager
def started(engine: sa.Engine, redis_url: str | None) -> Iterator[BlacklistStore]:
    """A store that keeps its copy."""
    store = BlacklistStore(engine, redis_url)
    store.start()
    try:
        yield store
    finally:
        store.close()


def put_on(engine: sa.Engine, workflow_id: str = "wf1", tenant_id: str = "t1", *, told: bool = True) -> None:
    """Put a workflow on the blacklist; told at once, or found out by the relay."""
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.workflow_blacklist).values(
                tenant_id=tenant_id,
                workflow_id=workflow_id,
                workflow_name=workflow_id,
                source="manual",
                reason="manual:x",
                blacklisted_by="u9",
            )
        )
        if told:
            announce(connection, tenant_id, workflow_id)


def take_off(engine: sa.Engine, workflow_id: str = "wf1", tenant_id: str = "t1", *, at: datetime | None = None) -> None:
    """Take it off, now or at another time."""
    table = tables.workflow_blacklist
    with engine.begin() as connection:
        connection.execute(
            sa.update(table)
            .where(table.c.tenant_id == tenant_id, table.c.workflow_id == workflow_id, table.c.removed_at.is_(None))
            .values(removed_at=at or sa.func.clock_timestamp(), removed_by="u9")
        )
        announce(connection, tenant_id, workflow_id)


def set_config(engine: sa.Engine, **values: Any) -> None:
    """Store settings as somebody with a database client would: unchecked."""
    with engine.begin() as connection:
        for key, value in values.items():
            statement = insert(tables.system_config).values(key=key, value=value, updated_by="u9")
            connection.execute(
                statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded.value})
            )


def decided(connection: sa.Connection, *parts: str) -> str:
    """A decision that is recorded, with nothing in it; its id."""
    decision_id = stable_id(*parts)
    connection.execute(
        insert(tables.decisions)
        .values(
            decision_id=decision_id,
            kind="execution_stuck",
            occurred_at=datetime.fromisoformat("2026-03-02T08:00:00+00:00"),
            policy_id="x",
            policy_version=1,
            reason_code="x",
            observed={},
            threshold={},
            detail={},
        )
        .on_conflict_do_nothing()
    )
    return decision_id


def got_stuck(engine: sa.Engine, name: str, at: datetime, workflow_id: str = "wf1", *, tenant_id: str = "t1") -> None:
    """Commit that an execution got stuck, as the sink does."""
    with engine.begin() as connection:
        record_stuck(
            connection,
            _execution(name, workflow_id, tenant_id),
            stuck_at=at,
            reason_code="no_activity",
            decision_id=decided(connection, "stuck", workflow_id, name),
        )


def moved_again(engine: sa.Engine, name: str, at: datetime, workflow_id: str = "wf1") -> None:
    """Commit that it recovered."""
    with engine.begin() as connection:
        record_recovered(
            connection,
            _execution(name, workflow_id),
            recovered_at=at,
            decision_id=decided(connection, "recovered", workflow_id, name),
        )


def _execution(name: str, workflow_id: str, tenant_id: str = "t1") -> Execution:
    return Execution(tenant_id=tenant_id, workflow_id=workflow_id, execution_id=name, automation_version_id=None)
