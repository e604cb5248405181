"""What the guard counts, in Postgres: automatic stops, and who was hit (30.6)."""

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.guard.arithmetic import GuardPolicy, Hit, budget
from lifecycle.kinds import HoldKind, HoldStatus, StopKind
from lifecycle.statuses import Status

#: The advisory lock of everybody who counts; any number will do, as long as nobody else has it.
_LOCK = 0x6775617264  # "guard"

_stops = tables.automatic_stops.c
_holds = tables.holds.c

#: The system of a stop that is about none.
NO_SYSTEM = ""


def take_guard_lock(connection: sa.Connection) -> None:
    """Let one transaction at a time count and act on the count; held until it ends.

    It comes before every row lock of the lifecycle, a decision's claim too: whoever waits for it holds nothing that
    its holder could need.
    """
    connection.execute(_TAKE_LOCK)


def record_stop(
    connection: sa.Connection,
    *,
    kind: StopKind,
    systems: Collection[str],
    tenant_id: str,
    automation_version_id: str | None,
    workflow_id: str,
    episode_id: str | None,
    decision_id: str,
    occurred_at: datetime,
    budgeted: bool,
) -> None:
    """Remember that a decision went ahead; once for each system that it is counted for."""
    connection.execute(
        _RECORD,
        [
            {
                "decision_id": decision_id,
                "system_key": system_key,
                "kind": kind,
                "tenant_id": tenant_id,
                "automation_version_id": automation_version_id,
                "workflow_id": workflow_id,
                "episode_id": episode_id,
                "occurred_at": occurred_at,
                "budgeted": budgeted,
            }
            for system_key in sorted(systems)
        ],
    )


def hits_near(connection: sa.Connection, system_key: str, at: datetime, window: timedelta) -> list[Hit]:
    """Blocks for a system, and those that wait for approval, less than `window` from `at` in event time.

    What an earlier incident took back was its provider's fault and is not counted again.
    """
    found = connection.execute(_HITS, {"system_key": system_key, "begin": at - window, "end": at + window})
    return [Hit(row.tenant_id, row.occurred_at) for row in found]


def spent_budget(connection: sa.Connection, policy: GuardPolicy) -> int | None:
    """The budget of automatic stops when there is no room for one more; None while there is."""
    used = connection.execute(_USED, {"budget_window": policy.budget_window}).scalar_one()
    if used < policy.budget_floor:
        return None  # most of the time, and then nobody counts the Live ones
    live = connection.execute(_COUNT_LIVE).scalar_one()
    allowed = budget(live, policy)
    return allowed if used >= allowed else None


_TAKE_LOCK = sa.select(sa.func.pg_advisory_xact_lock(_LOCK))
_RECORD = insert(tables.automatic_stops).on_conflict_do_nothing()
_HITS = sa.union_all(
    sa.select(_stops.tenant_id, _stops.occurred_at).where(
        _stops.system_key == sa.bindparam("system_key"),
        _stops.kind == StopKind.BLOCK,
        _stops.undone_at.is_(None),
        _stops.occurred_at > sa.bindparam("begin"),
        _stops.occurred_at < sa.bindparam("end"),
    ),
    sa.select(_holds.tenant_id, _holds.occurred_at).where(
        _holds.status == HoldStatus.HELD,
        _holds.kind == HoldKind.BLAST_RADIUS,
        sa.bindparam("system_key") == sa.any_(_holds.system_keys),
        _holds.occurred_at > sa.bindparam("begin"),
        _holds.occurred_at < sa.bindparam("end"),
    ),
)
_USED = sa.select(sa.func.count(sa.distinct(_stops.decision_id))).where(
    _stops.budgeted,
    _stops.undone_at.is_(None),
    _stops.recorded_at > sa.func.clock_timestamp() - sa.bindparam("budget_window", type_=sa.Interval),
)
_COUNT_LIVE = (
    sa.select(sa.func.count())
    .select_from(tables.automation_versions)
    .where(tables.automation_versions.c.status == Status.LIVE)
)
