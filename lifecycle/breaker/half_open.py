"""Half-open breakers in Postgres: at most one probe a workflow, however many processes ask and crash (40.2).

The protocol is `probe_protocol`'s; a row's lock makes its steps follow one another. `now` is the database's clock.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.blacklist_changes import remove_from_blacklist
from lifecycle.breaker.probe_protocol import HalfOpen, Lease, expire, fail, lease, succeed
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.kinds import BlacklistSource
from lifecycle.options import LifecycleOptions

#: Who releases a workflow whose probe succeeded.
BREAKER = ActorContext(actor="service:breaker", invoked_via="half_open", capabilities=CAPABILITIES[Role.SERVICE])
NOTE = "A probe succeeded."

_AFTER, _LEASE = "half_open_after_seconds", "probe_lease_seconds"
_probes = tables.breaker_probes.c
_blacklist = tables.workflow_blacklist.c


@dataclass(frozen=True, slots=True)
class HalfOpenPolicy:
    """What a policy says of the probes of a workflow."""

    #: What is waited before the first.
    after: timedelta
    #: How long one may take; longer than the run's time-out.
    lease_for: timedelta

    def fields(self) -> dict[str, float]:
        """As decisions and holds carry it."""
        return {_AFTER: self.after.total_seconds(), _LEASE: self.lease_for.total_seconds()}

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> "HalfOpenPolicy | None":
        """The inverse; None where there are no probes."""
        after, lease_for = fields.get(_AFTER), fields.get(_LEASE)
        if not isinstance(after, int | float) or not isinstance(lease_for, int | float):
            return None
        return cls(after=timedelta(seconds=after), lease_for=timedelta(seconds=lease_for))


def begin_cool_down(
    connection: sa.Connection,
    *,
    tenant_id: str,
    workflow_id: str,
    blacklist_id: str,
    policy: HalfOpenPolicy,
    now: datetime,
) -> None:
    """Begin with a workflow that was just put on the blacklist.

    A probe of an earlier time on the list that may still run is waited for: there are never two.
    """
    statement = insert(tables.breaker_probes)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "workflow_id"],
            set_={
                **{name: statement.excluded[name] for name in ("blacklist_id", "cool_down", "lease_for", "failures")},
                "opens_at": sa.func.greatest(statement.excluded.opens_at, _probes.leased_until),
                "execution_id": None,
                "leased_until": None,
            },
            where=_probes.blacklist_id != statement.excluded.blacklist_id,
        ),
        {
            "tenant_id": tenant_id,
            "workflow_id": workflow_id,
            "blacklist_id": blacklist_id,
            "cool_down": policy.after,
            "lease_for": policy.lease_for,
            "opens_at": now + policy.after,
            "failures": 0,
        },
    )


def probe_lease(connection: sa.Connection, tenant_id: str, workflow_id: str, execution_id: str, now: datetime) -> bool:
    """Whether an execution of a blacklisted workflow may run as its probe; it has the lease then.

    Waits for nobody: whoever comes while another one asks is refused. Asked again by the holder, the answer is the
    same. The lease is there when the caller's transaction is committed.
    """
    # Nearly all are refused: they take no lock.
    if (
        connection.execute(
            _READY, {"tenant": tenant_id, "workflow": workflow_id, "now": now, "run": execution_id}
        ).first()
        is None
    ):
        return False
    row = connection.execute(_LOCK_FREE, {"tenant": tenant_id, "workflow": workflow_id}).first()
    if row is None:
        return False
    before = _state(row)
    after = lease(before, execution_id, now)
    _write(connection, row, before, after or expire(before, now))
    return after is not None


def probe_succeeded(
    connection: sa.Connection,
    tenant_id: str,
    workflow_id: str,
    execution_id: str,
    now: datetime,
    *,
    options: LifecycleOptions,
) -> bool:
    """Release the workflow, if this execution holds its lease; False for any other."""
    row = _lock_of(connection, tenant_id, workflow_id, execution_id)
    if row is None:
        return False
    before = _state(row)
    after = succeed(before, execution_id, now)
    _write(connection, row, before, after)
    if not after.released:
        return False
    remove_from_blacklist(
        connection,
        tenant_id=tenant_id,
        workflow_id=workflow_id,
        note=NOTE,
        actor_context=BREAKER,
        options=options,
        source=BlacklistSource.POLICY,
    )
    return True


def probe_failed(connection: sa.Connection, tenant_id: str, workflow_id: str, execution_id: str, now: datetime) -> bool:
    """Close the breaker again for twice as long, if this execution holds its lease; False for any other."""
    row = _lock_of(connection, tenant_id, workflow_id, execution_id)
    if row is None:
        return False
    before = _state(row)
    after = fail(before, execution_id, now)
    _write(connection, row, before, after)
    return after != before


def probes_among(connection: sa.Connection, executions: Iterable[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Those of (tenant, workflow, execution) that hold a lease. One look at a table of few rows."""
    asked = set(executions)
    return probes_called(connection, {execution_id for _, _, execution_id in asked}) & asked


def probes_called(connection: sa.Connection, execution_ids: Collection[str]) -> set[tuple[str, str, str]]:
    """The (tenant, workflow, execution) that hold a lease, of executions with these ids. No statement for no id."""
    if not execution_ids:
        return set()
    held = connection.execute(_HELD, {"runs": list(execution_ids)})
    return {(row.tenant_id, row.workflow_id, row.execution_id) for row in held}


def _lock_of(connection: sa.Connection, tenant_id: str, workflow_id: str, execution_id: str) -> sa.Row[Any] | None:
    """The row of an execution that holds the lease of a workflow that is still on the list, both locked."""
    return connection.execute(_LOCK, {"tenant": tenant_id, "workflow": workflow_id, "run": execution_id}).first()


def _state(row: sa.Row[Any]) -> HalfOpen:
    return HalfOpen(
        cool_down=row.cool_down,
        lease_for=row.lease_for,
        opens_at=row.opens_at,
        lease=None if row.execution_id is None else Lease(row.execution_id, row.leased_until),
        failures=row.failures,
    )


def _write(connection: sa.Connection, row: sa.Row[Any], before: HalfOpen, after: HalfOpen) -> None:
    if after == before:
        return
    connection.execute(
        sa.update(tables.breaker_probes)
        .where(_probes.tenant_id == row.tenant_id, _probes.workflow_id == row.workflow_id)
        .values(
            cool_down=after.cool_down,
            opens_at=after.opens_at,
            execution_id=None if after.lease is None else after.lease.execution_id,
            leased_until=None if after.lease is None else after.lease.until,
            failures=after.failures,
        )
    )


_of_the_workflow = sa.and_(_probes.tenant_id == sa.bindparam("tenant"), _probes.workflow_id == sa.bindparam("workflow"))
_on_the_list = sa.and_(_blacklist.id == _probes.blacklist_id, _blacklist.removed_at.is_(None))
_both = sa.select(tables.breaker_probes).join(tables.workflow_blacklist, _on_the_list).where(_of_the_workflow)
_now = sa.bindparam("now", type_=_probes.opens_at.type)
_READY = _both.where(
    sa.or_(
        sa.and_(_probes.execution_id.is_(None), _probes.opens_at <= _now),
        _probes.leased_until <= _now,
        _probes.execution_id == sa.bindparam("run"),
    )
)
_LOCK_FREE = _both.with_for_update(skip_locked=True)
_LOCK = _both.where(_probes.execution_id == sa.bindparam("run")).with_for_update()
_HELD = sa.select(_probes.tenant_id, _probes.workflow_id, _probes.execution_id).where(
    _probes.execution_id == sa.any_(sa.bindparam("runs", type_=sa.ARRAY(sa.String)))
)
