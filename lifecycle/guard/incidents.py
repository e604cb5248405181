"""Provider incidents: opened by blocks in many tenants at once, which are taken back (30.6).

They end when it is quiet, or by hand. All of it happens under the guard's lock.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.capabilities import Capability
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.guard.afterwards import Incident, concerned, tell_monitor_of_end
from lifecycle.guard.arithmetic import Hit
from lifecycle.guard.counts import take_guard_lock
from lifecycle.guard.holds import HeldDecision, end_hold, put_on_hold, set_decision_outcome
from lifecycle.guard.told import clients_heard, close_incident_task, take_back_client_notices, tell_of_incident
from lifecycle.ids import stable_id
from lifecycle.kinds import (
    AuditAction,
    BlockKind,
    Clearing,
    DecisionKind,
    DecisionOutcome,
    HoldKind,
    HoldStatus,
    StopKind,
)
from lifecycle.options import LifecycleOptions
from lifecycle.statuses import Status
from lifecycle.unblocking import lift_reasons
from lifecycle.versions import lock_version

_incidents = tables.provider_incidents.c
_stops = tables.automatic_stops.c
_holds = tables.holds.c

#: `reason_code` of what an incident takes back.
PROVIDER_INCIDENT = "provider_incident"


def open_incident(
    connection: sa.Connection,
    *,
    system_key: str,
    at: datetime,
    hits: Sequence[Hit],
    decision_id: str,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> str:
    """Declare an incident, and take back the automatic blocks for the system near `at` (event time); its id."""
    window = options.guard.incident_window
    near = [hit for hit in hits if abs(hit.occurred_at - at) < window]
    since = min(hit.occurred_at for hit in near)
    tenant_count = len({hit.tenant_id for hit in near})
    incident_id = stable_id("provider_incident", system_key, decision_id)
    connection.execute(
        sa.insert(tables.provider_incidents).values(
            id=incident_id,
            system_key=system_key,
            # What failed a while before the first block led to it: the detector shall forget that too.
            began_at=since - window,
            last_failure_at=max(hit.occurred_at for hit in near),
            tenant_count=tenant_count,
        )
    )
    undone_count = _take_back_blocks(connection, incident_id, system_key, at, actor_context, options)
    _take_over_holds(connection, incident_id, system_key, at, options)
    tell_of_incident(
        connection,
        incident_id,
        system_key,
        since=since,
        tenant_count=tenant_count,
        undone_count=undone_count,
        decision_id=decision_id,
        options=options,
    )
    return incident_id


def keep_open(connection: sa.Connection, incident_id: str, occurred_at: datetime) -> None:
    """Note that the provider still fails."""
    connection.execute(
        sa.update(tables.provider_incidents)
        .where(_incidents.id == incident_id)
        .values(
            last_seen_at=sa.func.clock_timestamp(),
            began_at=sa.func.least(_incidents.began_at, occurred_at),
            last_failure_at=sa.func.greatest(_incidents.last_failure_at, occurred_at),
            tenant_count=sa.select(sa.func.count(sa.distinct(_holds.tenant_id)))
            .where(_holds.incident_id == incident_id)
            .scalar_subquery(),
        )
    )


def end_incident(connection: sa.Connection, *, incident_id: str, actor_context: ActorContext) -> bool:
    """End an incident; False when it was over already. What it held is judged again on fresh evidence.

    The monitor hears of it for each workflow concerned, and forgets the system's failures inside the interval.
    `LifecycleError`: `not_found`, `forbidden`. The transaction is the caller's.
    """
    take_guard_lock(connection)
    row = connection.execute(
        sa.select(tables.provider_incidents, sa.func.clock_timestamp(type_=_incidents.opened_at.type).label("now"))
        .where(_incidents.id == incident_id)
        .with_for_update()
    ).first()
    if row is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such provider incident.")
    if not {Capability.HOLDS, Capability.AUTOMATIC} & actor_context.capabilities:
        raise LifecycleError(ErrorCode.FORBIDDEN, "A provider incident is ended by operations' admins.")
    if row.closed_at is not None:
        return False
    connection.execute(
        sa.update(tables.provider_incidents)
        .where(_incidents.id == incident_id)
        .values(closed_at=row.now, closed_by=actor_context.actor)
    )
    incident = Incident.of(row, closed_at=row.now)
    holds = connection.execute(
        sa.select(tables.holds)
        .where(concerned(incident))
        .order_by(_holds.tenant_id, _holds.workflow_id, _holds.id)
        .with_for_update()
    ).all()
    for hold in holds:
        # One that waits for several incidents is of one of them, and ends with that.
        if hold.status == HoldStatus.HELD and hold.incident_id == incident_id:
            end_hold(connection, hold, HoldStatus.ENDED, actor_context=actor_context, reason=None)
    for (tenant_id, workflow_id), _ in groupby(holds, lambda hold: (hold.tenant_id, hold.workflow_id)):
        tell_monitor_of_end(
            connection, incident, tenant_id=tenant_id, workflow_id=workflow_id, cause=incident_id, now=row.now
        )
    close_incident_task(connection, incident_id, actor_context=actor_context)
    write_audit(
        connection,
        tenant_id=None,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.PROVIDER_INCIDENT,
                resource_type="provider_incident",
                resource_id=incident_id,
                metadata={"status": "closed", "system_key": row.system_key, "holds": len(holds)},
            )
        ],
    )
    return True


def end_quiet_incidents(connection: sa.Connection, *, actor_context: ActorContext, options: LifecycleOptions) -> int:
    """End every incident that has been quiet for long enough; how many. For a schedule, about every minute."""
    take_guard_lock(connection)
    quiet = connection.execute(
        sa.select(_incidents.id).where(
            _incidents.closed_at.is_(None),
            _incidents.last_seen_at < sa.func.clock_timestamp() - options.guard.quiet_after,
        )
    ).scalars()
    return sum(
        end_incident(connection, incident_id=incident_id, actor_context=actor_context) for incident_id in quiet.all()
    )


def _take_back_blocks(
    connection: sa.Connection,
    incident_id: str,
    system_key: str,
    at: datetime,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> int:
    window = options.guard.incident_window
    stops = connection.execute(
        sa.update(tables.automatic_stops)
        .where(
            _stops.system_key == system_key,
            _stops.kind == StopKind.BLOCK,
            _stops.undone_at.is_(None),
            _stops.occurred_at > at - window,
            _stops.occurred_at < at + window,
        )
        .values(undone_at=sa.func.clock_timestamp())
        .returning(tables.automatic_stops)
    ).all()
    for stop in sorted(stops, key=lambda stop: (stop.tenant_id, stop.automation_version_id, stop.decision_id)):
        put_on_hold(
            connection,
            HeldDecision(
                tenant_id=stop.tenant_id,
                automation_version_id=stop.automation_version_id,
                workflow_id=stop.workflow_id,
                system_keys=[system_key],
                decision_id=stop.decision_id,
                decision_kind=DecisionKind.BLOCK_FOR_CREDENTIALS,
                request={"failed_systems": [system_key]},
                occurred_at=stop.occurred_at,
            ),
            kind=HoldKind.PROVIDER_INCIDENT,
            incident_id=incident_id,
            actor_context=actor_context,
            undone=True,
        )
        set_decision_outcome(connection, stop.decision_id, DecisionOutcome.HELD, "undone")
        _take_back_block(connection, incident_id, stop, actor_context, options)
    return len(stops)


def _take_back_block(
    connection: sa.Connection,
    incident_id: str,
    stop: sa.Row[Any],
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> None:
    """Take one system out of a block; what else it is blocked for stays. Nothing when a person has acted since."""
    version = lock_version(connection, stop.tenant_id, stop.automation_version_id)
    if version is None or version.status is not Status.BLOCKED or version.block_episode_id != stop.episode_id:
        return
    others = connection.execute(
        sa.select(_stops.decision_id).where(
            _stops.episode_id == stop.episode_id, _stops.kind == StopKind.BLOCK, _stops.undone_at.is_(None)
        )
    ).first()
    assert version.block_episode_id is not None  # a constraint says so of what is blocked
    heard = clients_heard(connection, version.block_episode_id)
    try:
        unblocked = lift_reasons(
            connection,
            version,
            kinds=(BlockKind.CREDENTIALS,),
            clearing=Clearing.PROVIDER_INCIDENT,
            actor_context=actor_context,
            options=options,
            reason_code=PROVIDER_INCIDENT,
            # Systems that merely failed now and then beside this one don't justify a block.
            system_keys=None if others is None else {stop.system_key},
        )
    except LifecycleError:
        return  # another version went Live in its place meanwhile: it stays blocked, and its client hears of it
    if unblocked:
        # Who never heard of the block need not hear that it is over.
        take_back_client_notices(connection, version.block_episode_id, of_the_end=not heard)
    write_audit(
        connection,
        tenant_id=stop.tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.PROVIDER_INCIDENT,
                resource_type="automation_version",
                resource_id=version.id,
                episode_id=stop.episode_id,
                decision_id=stop.decision_id,
                metadata={"incident_id": incident_id, "system_key": stop.system_key},
            )
        ],
    )


def _take_over_holds(
    connection: sa.Connection, incident_id: str, system_key: str, at: datetime, options: LifecycleOptions
) -> None:
    """What waits for approval because of this system waits for the end of its incident instead."""
    window = options.guard.incident_window
    connection.execute(
        sa.update(tables.holds)
        .where(
            _holds.status == HoldStatus.HELD,
            _holds.kind == HoldKind.BLAST_RADIUS,
            _holds.system_keys == sa.cast([system_key], ARRAY(sa.Text)),
            _holds.occurred_at > at - window,
            _holds.occurred_at < at + window,
        )
        .values(kind=HoldKind.PROVIDER_INCIDENT, incident_id=incident_id)
    )
