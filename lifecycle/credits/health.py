"""Does credit monitoring itself work? Asked every hour (50.10)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
import structlog

from lifecycle import tables
from lifecycle.credits.health_notice import tell_of_fault
from lifecycle.ids import stable_id
from lifecycle.kinds import BaselineStatus, CaseSeverity
from lifecycle.options import LifecycleOptions
from lifecycle.texts import at_time

_log = structlog.get_logger(__name__)

#: For so long no run with credits may be missing.
LONGEST_SILENCE = timedelta(hours=24)
#: What scenarios cost is measured every week.
OLDEST_BASELINES = timedelta(days=14)
#: A run's case comes with its decision, which may wait for a store that is away.
CASE_WITHIN = timedelta(minutes=10)
#: How far back the ledger is looked through for runs without a case.
LOOK_BACK = timedelta(days=7)

_runs, _joined, _baselines = tables.credit_runs.c, tables.credit_case_runs.c, tables.credit_baselines.c


class FaultKind(StrEnum):
    """What may be wrong."""

    NO_RUNS = "no_runs"  #: there were runs, and none came for a day
    OLD_BASELINES = "old_baselines"  #: the weekly job does not do its work
    SEV0_WITHOUT_CASE = "sev0_without_case"  #: the ledger knows a run that nobody looks at


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditHealth:
    """What is known of the ledger, the baselines and the cases at a moment."""

    now: datetime
    #: When a run was recorded last; None where none ever was.
    last_run_at: datetime | None
    #: Of the current baselines, the newest; None where there is none.
    newest_baseline_at: datetime | None
    #: Runs of severity SEV0 that belong to no case.
    sev0_without_case: int

    @property
    def faults(self) -> list[FaultKind]:
        """What is wrong, in the order of `FaultKind`."""
        found = {
            FaultKind.NO_RUNS: self.last_run_at is not None and self.now - self.last_run_at > LONGEST_SILENCE,
            FaultKind.OLD_BASELINES: self.newest_baseline_at is not None
            and self.now - self.newest_baseline_at > OLDEST_BASELINES,
            FaultKind.SEV0_WITHOUT_CASE: self.sev0_without_case > 0,
        }
        return [kind for kind in FaultKind if found[kind]]


def read_credit_health(connection: sa.Connection) -> CreditHealth:
    """Read it, over all tenants that the connection shows. Looks at the newest row of each tenant's chain."""
    now = sa.func.clock_timestamp(type_=_runs.recorded_at.type)
    heads = tables.credit_ledger_heads.c
    newest = sa.select(sa.func.max(_runs.recorded_at)).join_from(
        tables.credit_ledger_heads,
        tables.credit_runs,
        sa.and_(_runs.tenant_id == heads.tenant_id, _runs.seq == heads.seq),
    )
    without_case = sa.select(sa.func.count()).where(
        _runs.severity == CaseSeverity.SEV0,
        _runs.recorded_at > now - LOOK_BACK,
        _runs.recorded_at < now - CASE_WITHIN,
        ~sa.exists().where(
            _joined.tenant_id == _runs.tenant_id,
            _joined.workflow_id == _runs.workflow_id,
            _joined.execution_id == _runs.execution_id,
        ),
    )
    baselines = sa.select(sa.func.max(_baselines.calculated_at)).where(_baselines.status == BaselineStatus.CURRENT)
    row = connection.execute(
        sa.select(
            now.label("now"),
            newest.scalar_subquery().label("last_run_at"),
            baselines.scalar_subquery().label("newest_baseline_at"),
            without_case.scalar_subquery().label("sev0_without_case"),
        )
    ).one()
    return CreditHealth(
        now=row.now,
        last_run_at=row.last_run_at,
        newest_baseline_at=row.newest_baseline_at,
        sev0_without_case=row.sev0_without_case,
    )


def tell_of_faults(connection: sa.Connection, health: CreditHealth, *, options: LifecycleOptions) -> list[FaultKind]:
    """Tell operations of each fault, once a day while it lasts; of a SEV0 without a case on-call too."""
    faults = health.faults
    _log.info(
        "credit_health",
        last_run_at=None if health.last_run_at is None else health.last_run_at.isoformat(),
        sev0_without_case=health.sev0_without_case,
        faults=[fault.value for fault in faults],
    )
    for fault in faults:
        headline, problem, next_step = _words(fault, health)
        tell_of_fault(
            connection,
            episode_id=stable_id("credit_health", fault, health.now.date().isoformat()),
            headline=headline,
            problem=problem,
            next_step=next_step,
            link=options.health_link(),
            options=options,
            grave=fault is FaultKind.SEV0_WITHOUT_CASE,
        )
    return faults


def _words(fault: FaultKind, health: CreditHealth) -> tuple[str, str, str]:
    match fault:
        case FaultKind.NO_RUNS:
            assert health.last_run_at is not None
            return (
                "no run for a day",
                f"The last run with credits was recorded at {at_time(health.last_run_at)}.",
                "See whether the monitor runs and whether senders still say what runs cost.",
            )
        case FaultKind.OLD_BASELINES:
            assert health.newest_baseline_at is not None
            return (
                "baselines are old",
                f"What scenarios usually cost was measured last at {at_time(health.newest_baseline_at)}.",
                "See whether the worker runs, and what became of the weekly job.",
            )
        case FaultKind.SEV0_WITHOUT_CASE:
            count = health.sev0_without_case
            runs = "1 run of severity SEV0 is" if count == 1 else f"{count} runs of severity SEV0 are"
            return (
                "SEV0 without a case",
                f"{runs} in the ledger and in no case.",
                "Look at the dead letters of decisions, and replay what is there; handle the runs by hand meanwhile.",
            )
