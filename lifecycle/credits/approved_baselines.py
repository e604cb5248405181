"""Read approved baselines, those in force and all before them (50.3)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.entry import plain
from lifecycle.kinds import BaselineOrigin, BaselineStatus

_baselines = tables.credit_baselines.c

IN_FORCE = (BaselineStatus.CURRENT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One scenario's baseline, at some time."""

    id: str
    tenant_id: str
    scenario: str
    job_type: str | None
    median_credits: Decimal
    #: None: it was the first.
    previous_credits: Decimal | None
    #: What its runs say, before its move was limited; None where nothing was measured.
    measured_credits: Decimal | None
    #: The healthy runs that it is the median of.
    sample_size: int
    calculated_at: datetime
    #: Event time from which on it holds; None: not (yet).
    effective_at: datetime | None
    ended_at: datetime | None
    status: BaselineStatus
    origin: BaselineOrigin
    decided_by: str

    @property
    def change(self) -> Decimal | None:
        """By how much of the one before it differs: 0.2 is a fifth more. None where that says nothing."""
        if not self.previous_credits:
            return None
        return self.median_credits / self.previous_credits - 1


def list_baselines(
    connection: sa.Connection,
    *,
    tenant_id: str | None = None,
    scenario: str | None = None,
    statuses: Collection[BaselineStatus] = IN_FORCE,
    limit: int | None = None,
) -> list[Baseline]:
    """Baselines by tenant and scenario, of each the newest first."""
    query = (
        sa.select(*(_baselines[name] for name in Baseline.__dataclass_fields__))
        .where(_baselines.status.in_(statuses))
        .order_by(
            _baselines.tenant_id, _baselines.scenario, _baselines.created_at.desc(), _baselines.calculated_at.desc()
        )
        .limit(limit)
    )
    if tenant_id is not None:
        query = query.where(_baselines.tenant_id == tenant_id)
    if scenario is not None:
        query = query.where(_baselines.scenario == scenario)
    return [_baseline(row) for row in connection.execute(query)]


def list_baselines_since(connection: sa.Connection, window: timedelta) -> list[Baseline]:
    """All that were in force at any time within `window` before now, those in force now too, oldest first."""
    query = (
        sa.select(*(_baselines[name] for name in Baseline.__dataclass_fields__))
        .where(
            _baselines.effective_at.is_not(None),
            sa.or_(_baselines.ended_at.is_(None), _baselines.ended_at >= sa.func.now() - window),
        )
        .order_by(_baselines.effective_at, _baselines.created_at, _baselines.id)
    )
    return [_baseline(row) for row in connection.execute(query)]


def list_proposals(connection: sa.Connection, ids: Collection[str]) -> list[Baseline]:
    """Those of some baselines that wait for approval."""
    query = sa.select(*(_baselines[name] for name in Baseline.__dataclass_fields__)).where(
        _baselines.id.in_(ids), _baselines.status == BaselineStatus.PROPOSED
    )
    return [_baseline(row) for row in connection.execute(query)]


def find_baseline(
    connection: sa.Connection, *, tenant_id: str, baseline_id: str, status: BaselineStatus
) -> Baseline | None:
    """A baseline of a tenant by its id, if it has this status; its row is locked."""
    row = connection.execute(
        sa.select(*(_baselines[name] for name in Baseline.__dataclass_fields__))
        .where(_baselines.tenant_id == tenant_id, _baselines.id == baseline_id, _baselines.status == status)
        .with_for_update()
    ).first()
    return None if row is None else _baseline(row)


def _baseline(row: sa.Row[tuple[object, ...]]) -> Baseline:
    fields = row._asdict()
    for name in ("median_credits", "previous_credits", "measured_credits"):
        fields[name] = None if fields[name] is None else plain(fields[name])
    return Baseline(
        **{**fields, "status": BaselineStatus(fields["status"]), "origin": BaselineOrigin(fields["origin"])}
    )
