"""Read what was spent lately, by scenario and by day, from the ledger (50.6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.entry import plain
from lifecycle.credits.weekly_report import DayTotal

PERIOD = timedelta(days=30)

_runs = tables.credit_runs.c
_baselines = tables.credit_baselines.c


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioSpend:
    """One scenario in the period."""

    tenant_id: str
    scenario: str
    runs: int
    credits: Decimal
    average: Decimal
    #: Runs of SEV0 to SEV2.
    incidents: int
    #: The approved one in force; None where there is none.
    baseline: Decimal | None
    newest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What was spent in the 30 days until the newest run that the caller may see."""

    until: datetime | None
    credits: Decimal
    runs: int
    #: The most expensive first.
    scenarios: Sequence[ScenarioSpend]
    days: Sequence[DayTotal]


def read_spending(connection: sa.Connection, *, tenant_id: str | None = None, limit: int) -> Spending:
    """Spending of a tenant, or of all that the caller may see. Reads the period's rows twice."""
    mine = [] if tenant_id is None else [_runs.tenant_id == tenant_id]
    until = connection.execute(sa.select(sa.func.max(_runs.occurred_at)).where(*mine)).scalar()
    if until is None:
        return Spending(until=None, credits=Decimal(0), runs=0, scenarios=(), days=())
    within = [*mine, _runs.occurred_at > until - PERIOD]
    days = _days(connection, within)
    return Spending(
        until=until.astimezone(UTC),
        credits=plain(sum((one.credits for one in days), Decimal(0))),
        runs=sum(one.runs for one in days),
        scenarios=_scenarios(connection, within, limit),
        days=days,
    )


def _days(connection: sa.Connection, within: Sequence[sa.ColumnElement[bool]]) -> list[DayTotal]:
    day = sa.cast(sa.func.timezone("UTC", _runs.occurred_at), sa.Date)
    rows = connection.execute(
        sa.select(day, sa.func.sum(_runs.credits_total), sa.func.count()).where(*within).group_by(day).order_by(day)
    )
    return [DayTotal(day=date, credits=plain(credits_), runs=runs) for date, credits_, runs in rows]


def _scenarios(connection: sa.Connection, within: Sequence[sa.ColumnElement[bool]], limit: int) -> list[ScenarioSpend]:
    total = sa.func.sum(_runs.credits_total)
    spent = (
        sa.select(
            _runs.tenant_id,
            _runs.scenario,
            sa.func.count().label("runs"),
            total.label("credits"),
            sa.func.count().filter(_runs.severity.in_(("SEV0", "SEV1", "SEV2"))).label("incidents"),
            sa.func.max(_runs.occurred_at).label("newest"),
        )
        .where(*within)
        .group_by(_runs.tenant_id, _runs.scenario)
        .order_by(total.desc(), _runs.tenant_id, _runs.scenario)
        .limit(limit)
        .subquery()
    )
    rows = connection.execute(
        sa.select(spent, _baselines.median_credits.label("baseline"))
        .join_from(
            spent,
            tables.credit_baselines,
            (_baselines.tenant_id == spent.c.tenant_id)
            & (_baselines.scenario == spent.c.scenario)
            & (_baselines.status == "current"),
            isouter=True,
        )
        .order_by(spent.c.credits.desc(), spent.c.tenant_id, spent.c.scenario)
    )
    return [
        ScenarioSpend(
            tenant_id=row.tenant_id,
            scenario=row.scenario,
            runs=row.runs,
            credits=plain(row.credits),
            average=row.credits / row.runs,
            incidents=row.incidents,
            baseline=None if row.baseline is None else plain(row.baseline),
            newest=row.newest,
        )
        for row in rows
    ]
