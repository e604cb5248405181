"""Change approved baselines: measure them from the ledger, agree to proposals, import them (50.3).

Whoever changes one holds a lock, so that changes come one after the other, and tells the monitor by a control event
in the same transaction: from its event time on runs are compared with the new one. The worker writes their file anew.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.capabilities import Capability
from lifecycle.control_events import BroadcastKind, put_broadcast
from lifecycle.credits.approved_baselines import Baseline, find_baseline, list_baselines
from lifecycle.credits.baseline_arithmetic import WINDOW, InForce, Run, Unstable, measure, next_move
from lifecycle.credits.baseline_tasks import add_approval_task, close_approval_task
from lifecycle.credits.entry import plain
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.ids import stable_id
from lifecycle.kinds import AuditAction, BaselineOrigin, BaselineStatus, TaskStatus
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import SCHEDULES_QUEUE, put_job

#: The worker's job that writes their file anew.
EXPORT_BASELINES = "export_baselines"

#: Baselines that one control event tells of; far below a message's limit.
_AT_A_TIME = 500

_baselines = tables.credit_baselines.c
_runs = tables.credit_runs.c


@dataclass(frozen=True, slots=True)
class Update:
    """What an update did."""

    #: Those that came into force.
    updated: list[Baseline] = field(default_factory=list)
    #: Those that wait for somebody's word since now.
    proposed: list[Baseline] = field(default_factory=list)
    #: Scenarios that were left as they are, since they are not stable or the rule says no more.
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedBaseline:
    """What a file says of one scenario."""

    tenant_id: str
    scenario: str
    median_credits: Decimal
    job_type: str | None = None
    sample_size: int = 0
    calculated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Next:
    """A baseline that is to be written."""

    tenant_id: str
    scenario: str
    job_type: str | None
    credits: Decimal
    previous: Decimal | None
    measured: Decimal | None
    sample_size: int
    calculated_at: datetime


def update_baselines(
    connection: sa.Connection,
    at: datetime,
    *,
    actor_context: ActorContext,
    options: LifecycleOptions,
    go_on: Callable[[], None] = lambda: None,
) -> Update:
    """Measure all stable scenarios with runs in the 30 days before `at`, an event time, which new baselines hold from.

    A second time with the same `at` changes nothing. `go_on` is called for each scenario and may end it by raising.
    Reads every run of the 30 days, about 5 µs each; the transaction is the caller's.
    """
    lock_baselines(connection)
    history = _history(connection)
    proposed = {
        (one.tenant_id, one.scenario): one for one in list_baselines(connection, statuses=(BaselineStatus.PROPOSED,))
    }
    update = Update()
    confirmed = []
    left = 0
    for (tenant_id, scenario), runs, job_type in _scenarios(connection, at):
        go_on()
        told = history.get((tenant_id, scenario), [])
        open_proposal = proposed.get((tenant_id, scenario))
        found = measure(runs, at)
        if isinstance(found, Unstable) or (told and told[-1].since >= at):
            left += 1
            continue
        move = next_move(told, found.median, at)
        if open_proposal is not None:
            if move is not None and move.needs_approval and move.credits == open_proposal.median_credits:
                left += 1
                continue
            _reject(connection, open_proposal, actor_context, at, TaskStatus.CANCELLED)
        if move is None:
            confirmed.append(
                {
                    "whose": tenant_id,
                    "which": scenario,
                    "at": at,
                    "measured_credits": plain(found.median),
                    "sample_size": found.sample_size,
                }
            )
            left += 1
            continue
        following = _Next(
            tenant_id=tenant_id,
            scenario=scenario,
            job_type=job_type,
            credits=plain(move.credits),
            previous=told[-1].credits if told else None,
            measured=plain(found.median),
            sample_size=found.sample_size,
            calculated_at=at,
        )
        if move.needs_approval:
            update.proposed.append(_propose(connection, following, actor_context, options))
        else:
            update.updated.append(_enact(connection, following, BaselineOrigin.MEASURED, actor_context, at))
    if confirmed:
        connection.execute(_CONFIRM, confirmed)
    if confirmed and not update.updated:
        _export_later(connection)
    _tell_monitor(connection, update.updated, at)
    return Update(update.updated, update.proposed, left)


def approve_baseline(
    connection: sa.Connection, *, tenant_id: str, baseline_id: str, actor_context: ActorContext
) -> Baseline:
    """Put a proposed baseline into force from now on; `LifecycleError` for one who may not, or when there is none."""
    _require_approver(actor_context)
    lock_baselines(connection)
    proposal = _proposal(connection, tenant_id, baseline_id)
    at = _now_after(connection, list_baselines(connection, tenant_id=tenant_id, scenario=proposal.scenario))
    _end_current(connection, tenant_id, proposal.scenario, at)
    approved = _written(
        connection,
        sa.update(tables.credit_baselines)
        .where(_baselines.id == baseline_id)
        .values(
            status=BaselineStatus.CURRENT,
            origin=BaselineOrigin.APPROVED,
            effective_at=at,
            decided_by=actor_context.actor,
        ),
    )
    close_approval_task(
        connection,
        tenant_id=tenant_id,
        baseline_id=baseline_id,
        status=TaskStatus.COMPLETE,
        actor_context=actor_context,
    )
    _audit(connection, approved, actor_context)
    _tell_monitor(connection, [approved], at)
    return approved


def reject_baseline(
    connection: sa.Connection, *, tenant_id: str, baseline_id: str, actor_context: ActorContext
) -> None:
    """Leave a scenario's baseline as it is. The next update may propose the same again."""
    _require_approver(actor_context)
    lock_baselines(connection)
    proposal = _proposal(connection, tenant_id, baseline_id)
    _reject(connection, proposal, actor_context, _now_after(connection, []), TaskStatus.COMPLETE)


def import_baselines(
    connection: sa.Connection, imported: Sequence[ImportedBaseline], *, actor_context: ActorContext
) -> list[Baseline]:
    """Put what a file says into force from now on, all or nothing; those that changed.

    `LifecycleError` for one who may not approve baselines, or when a tenant is not known.
    """
    _require_approver(actor_context)
    lock_baselines(connection)
    unknown = _unknown_tenants(connection, {one.tenant_id for one in imported})
    if unknown:
        raise LifecycleError(ErrorCode.NOT_FOUND, f"These tenants are not known: {', '.join(unknown)}.")
    before = {(one.tenant_id, one.scenario): one for one in list_baselines(connection)}
    at = _now_after(connection, before.values())
    changed = []
    for one in imported:
        current = before.get((one.tenant_id, one.scenario))
        if current is not None and current.median_credits == one.median_credits:
            continue
        following = _Next(
            tenant_id=one.tenant_id,
            scenario=one.scenario,
            job_type=one.job_type,
            credits=plain(one.median_credits),
            previous=None if current is None else current.median_credits,
            measured=None,
            sample_size=one.sample_size,
            calculated_at=one.calculated_at or at,
        )
        changed.append(_enact(connection, following, BaselineOrigin.IMPORTED, actor_context, at))
        before[one.tenant_id, one.scenario] = changed[-1]
    _tell_monitor(connection, changed, at)
    return changed


def _scenarios(connection: sa.Connection, at: datetime) -> Iterator[tuple[tuple[str, str], list[Run], str | None]]:
    """Each scenario of a known tenant with its runs of 30 days, and the newest one's job type."""
    statement = (
        sa.select(
            _runs.tenant_id,
            _runs.scenario,
            _runs.occurred_at,
            _runs.credits_total,
            _runs.status,
            _runs.retry_count,
            _runs.severity,
            _runs.job_type,
        )
        .join(tables.tenants, tables.tenants.c.id == _runs.tenant_id)
        .where(_runs.occurred_at.between(at - WINDOW, at))
        .order_by(_runs.tenant_id, _runs.scenario, _runs.occurred_at, _runs.seq)
        .execution_options(yield_per=5_000)
    )
    with connection.execute(statement) as rows:
        for key, group in groupby(rows, itemgetter(0, 1)):
            runs, job_type = [], None
            for *_, occurred_at, credits_total, status, retry_count, severity, job in group:
                runs.append(Run(occurred_at, credits_total, status, retry_count, severity))
                job_type = job
            yield key, runs, job_type


def _history(connection: sa.Connection) -> Mapping[tuple[str, str], list[InForce]]:
    """What was in force for each scenario, oldest first."""
    rows = connection.execute(
        sa.select(
            _baselines.tenant_id,
            _baselines.scenario,
            _baselines.effective_at,
            _baselines.median_credits,
            _baselines.origin != BaselineOrigin.MEASURED,
        )
        .where(_baselines.effective_at.is_not(None))
        .order_by(_baselines.tenant_id, _baselines.scenario, _baselines.effective_at, _baselines.created_at)
    )
    return {
        key: [InForce(since, plain(credits_), is_decided=decided) for *_, since, credits_, decided in group]
        for key, group in groupby(rows, itemgetter(0, 1))
    }


def _propose(
    connection: sa.Connection, following: _Next, actor_context: ActorContext, options: LifecycleOptions
) -> Baseline:
    made = _insert(connection, following, BaselineOrigin.MEASURED, actor_context, None)
    assert following.previous is not None  # the first one needs nobody's word
    add_approval_task(
        connection,
        tenant_id=made.tenant_id,
        baseline_id=made.id,
        scenario=made.scenario,
        before=following.previous,
        after=made.median_credits,
        options=options,
    )
    _audit(connection, made, actor_context)
    return made


def _enact(
    connection: sa.Connection, following: _Next, origin: BaselineOrigin, actor_context: ActorContext, at: datetime
) -> Baseline:
    _end_current(connection, following.tenant_id, following.scenario, at)
    made = _insert(connection, following, origin, actor_context, at)
    _audit(connection, made, actor_context)
    return made


def _insert(
    connection: sa.Connection,
    following: _Next,
    origin: BaselineOrigin,
    actor_context: ActorContext,
    effective_at: datetime | None,
) -> Baseline:
    return _written(
        connection,
        sa.insert(tables.credit_baselines).values(
            tenant_id=following.tenant_id,
            scenario=following.scenario,
            job_type=following.job_type,
            median_credits=following.credits,
            previous_credits=following.previous,
            measured_credits=following.measured,
            sample_size=following.sample_size,
            calculated_at=following.calculated_at,
            effective_at=effective_at,
            status=BaselineStatus.PROPOSED if effective_at is None else BaselineStatus.CURRENT,
            origin=origin,
            decided_by=actor_context.actor,
        ),
    )


def _reject(
    connection: sa.Connection, proposal: Baseline, actor_context: ActorContext, at: datetime, task: TaskStatus
) -> None:
    rejected = _written(
        connection,
        sa.update(tables.credit_baselines)
        .where(_baselines.id == proposal.id)
        .values(status=BaselineStatus.REJECTED, ended_at=at, decided_by=actor_context.actor),
    )
    close_approval_task(
        connection,
        tenant_id=proposal.tenant_id,
        baseline_id=proposal.id,
        status=task,
        actor_context=actor_context,
    )
    _audit(connection, rejected, actor_context)


def _end_current(connection: sa.Connection, tenant_id: str, scenario: str, at: datetime) -> None:
    connection.execute(
        sa.update(tables.credit_baselines)
        .where(
            _baselines.tenant_id == tenant_id,
            _baselines.scenario == scenario,
            _baselines.status == BaselineStatus.CURRENT,
        )
        .values(status=BaselineStatus.REPLACED, ended_at=at)
    )


def _written(connection: sa.Connection, statement: Any) -> Baseline:
    made = connection.execute(statement.returning(_baselines.id, _baselines.tenant_id, _baselines.status)).one()
    found = find_baseline(connection, tenant_id=made.tenant_id, baseline_id=made.id, status=BaselineStatus(made.status))
    assert found is not None
    return found


def _tell_monitor(connection: sa.Connection, changed: Sequence[Baseline], at: datetime) -> None:
    if changed:
        _export_later(connection)
    for tenant_id, group in groupby(sorted(changed, key=lambda one: one.tenant_id), lambda one: one.tenant_id):
        baselines = list(group)
        for begin in range(0, len(baselines), _AT_A_TIME):
            part = baselines[begin : begin + _AT_A_TIME]
            put_broadcast(
                connection,
                kind=BroadcastKind.BASELINES_UPDATED,
                cause=stable_id(*(one.id for one in part)),
                occurred_at=at,
                tenant_id=tenant_id,
                fields={
                    "tenant_id": tenant_id,
                    "baselines": [
                        {
                            "scenario_id": one.scenario,
                            "median_credits": float(one.median_credits),
                            "job_type": one.job_type,
                        }
                        for one in part
                    ],
                },
            )


def _export_later(connection: sa.Connection) -> None:
    put_job(connection, name=EXPORT_BASELINES, queue=SCHEDULES_QUEUE, lock=EXPORT_BASELINES)


def _audit(connection: sa.Connection, baseline: Baseline, actor_context: ActorContext) -> None:
    write_audit(
        connection,
        tenant_id=baseline.tenant_id,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.UPDATE_BASELINE,
                resource_type="credit_baseline",
                resource_id=baseline.id,
                metadata={
                    "status": baseline.status,
                    "origin": baseline.origin,
                    "median_credits": str(baseline.median_credits),
                    "previous_credits": None if baseline.previous_credits is None else str(baseline.previous_credits),
                    "sample_size": baseline.sample_size,
                },
            )
        ],
    )


#: A baseline that was measured again and stays: how old it is counts from there.
_CONFIRM = (
    sa.update(tables.credit_baselines)
    .where(
        _baselines.tenant_id == sa.bindparam("whose"),
        _baselines.scenario == sa.bindparam("which"),
        _baselines.status == BaselineStatus.CURRENT,
        _baselines.calculated_at < sa.bindparam("at"),
    )
    .values(
        calculated_at=sa.bindparam("at"),
        measured_credits=sa.bindparam("measured_credits"),
        sample_size=sa.bindparam("sample_size"),
    )
)


def _proposal(connection: sa.Connection, tenant_id: str, baseline_id: str) -> Baseline:
    found = find_baseline(connection, tenant_id=tenant_id, baseline_id=baseline_id, status=BaselineStatus.PROPOSED)
    if found is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "No such baseline waits for approval.")
    return found


def _require_approver(actor_context: ActorContext) -> None:
    if Capability.POLICIES not in actor_context.capabilities:
        raise LifecycleError(ErrorCode.FORBIDDEN, "Baselines are approved by ops_admin or admin.")


def _unknown_tenants(connection: sa.Connection, wanted: set[str]) -> list[str]:
    tenants = tables.tenants.c.id
    known = set(connection.execute(sa.select(tenants).where(tenants.in_(wanted))).scalars())
    return sorted(wanted - known)


def _now_after(connection: sa.Connection, before: Iterable[Baseline]) -> datetime:
    """Now; or, where event time is ahead of our clock, when the newest of these began."""
    now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return max([now, *(one.effective_at for one in before if one.effective_at is not None)])


def lock_baselines(connection: sa.Connection) -> None:
    """Whoever changes one waits here for the one who changes another; before any other lock.

    As a transaction's first statement it takes no snapshot, as a query of an advisory lock would: what comes after it
    sees what it waited for.
    """
    connection.execute(sa.text("LOCK TABLE credit_baselines IN SHARE ROW EXCLUSIVE MODE"))
