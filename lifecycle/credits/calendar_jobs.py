"""Do what the calendar asks for: once a tick however many workers there are, three tries, each with a time-out (50.8).

A row of `credit_job_runs` is the claim of a try. What the job writes and the end of its row are one transaction, so a
try whose lease another has taken over writes nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from config.metrics import CREDIT_JOBS
from lifecycle import tables
from lifecycle.credits.calendar import CALENDAR, TRIES, last_tick
from lifecycle.credits.health_notice import tell_of_fault
from lifecycle.ids import stable_id
from lifecycle.kinds import CreditJob, JobOrigin, JobOutcome
from lifecycle.options import LifecycleOptions
from lifecycle.texts import at_time

#: How much longer than its time-out a try is left alone, until it counts as dead.
_GRACE = timedelta(seconds=30)

_log = structlog.get_logger(__name__)
_jobs = tables.credit_job_runs.c


class TimedOutError(Exception):
    """A try took longer than it may."""


class LostClaimError(Exception):
    """Another worker has taken the try over."""


#: A job's work, in a transaction with a snapshot: the connection, the tick, and what to call now and then, which ends
#: it when its time is over. How much it made.
Work = Callable[[sa.Connection, datetime, Callable[[], None]], int]


@dataclass(frozen=True, slots=True)
class _Claim:
    id: str
    job: CreditJob
    tick: datetime
    tries: int


def run_due_job(
    engine: sa.Engine,
    job: CreditJob,
    work: Work,
    *,
    now: datetime,
    options: LifecycleOptions,
    clock: Callable[[], float] = time.monotonic,
) -> JobOutcome | None:
    """Run a job if it is due and nobody does or has done it; None when there is nothing to do.

    A failure is recorded, told of when it was the last try, and not raised. `clock` counts seconds.
    """
    claim = _claim(engine, job, now, options)
    if claim is None:
        return None
    try:
        _try(engine, claim, work, clock)
    except Exception as error:  # noqa: BLE001  (whatever it was, the row says so, and the next try comes)
        outcome = _failed(engine, claim, error, options)
    else:
        outcome = JobOutcome.DONE
    CREDIT_JOBS.labels(job=job, outcome=outcome).inc()
    return outcome


def _claim(engine: sa.Engine, job: CreditJob, now: datetime, options: LifecycleOptions) -> _Claim | None:
    tick = last_tick(job, now)
    lease = sa.func.now() + CALENDAR[job].time_out + _GRACE
    mine = insert(tables.credit_job_runs).values(
        job=job,
        tick=tick,
        tries=1,
        outcome=JobOutcome.RUNNING,
        started_at=sa.func.now(),
        leased_until=lease,
    )
    died = (_jobs.outcome == JobOutcome.RUNNING) & (_jobs.leased_until < sa.func.now())
    with engine.begin() as connection:
        _end_the_dead(connection, job, tick, died, options)
        row = connection.execute(
            mine.on_conflict_do_update(
                index_elements=["job", "tick"],
                index_where=_jobs.origin == sa.literal_column(f"'{JobOrigin.CALENDAR.value}'"),
                set_={
                    "tries": _jobs.tries + 1,
                    "outcome": JobOutcome.RUNNING,
                    "started_at": sa.func.now(),
                    "ended_at": None,
                    "leased_until": lease,
                },
                where=(_jobs.tries < TRIES) & ((_jobs.outcome == JobOutcome.RETRY) | died),
            ).returning(_jobs.id, _jobs.tries)
        ).first()
    return None if row is None else _Claim(row.id, job, tick, row.tries)


def _end_the_dead(
    connection: sa.Connection,
    job: CreditJob,
    tick: datetime,
    died: sa.ColumnElement[bool],
    options: LifecycleOptions,
) -> None:
    """A last try that died has failed, too."""
    ended = connection.execute(
        sa.update(tables.credit_job_runs)
        .where(_jobs.origin == JobOrigin.CALENDAR, _jobs.job == job, _jobs.tick == tick, _jobs.tries >= TRIES, died)
        .values(outcome=JobOutcome.FAILED, error="Died", ended_at=sa.func.now())
        .returning(_jobs.id)
    ).first()
    if ended is not None:
        _tell(connection, _Claim(ended.id, job, tick, TRIES), options)


def _try(engine: sa.Engine, claim: _Claim, work: Work, clock: Callable[[], float]) -> None:
    time_out = CALENDAR[claim.job].time_out
    deadline = clock() + time_out.total_seconds()

    def go_on() -> None:
        if clock() > deadline:
            raise TimedOutError

    snapshots = engine.connect().execution_options(isolation_level="REPEATABLE READ")
    with snapshots as connection, connection.begin():
        # No query, which would take the snapshot before the work has its locks.
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {time_out // timedelta(milliseconds=1)}")
        made = work(connection, claim.tick, go_on)
        go_on()
        _end(connection, claim, JobOutcome.DONE, made=made)


def _failed(engine: sa.Engine, claim: _Claim, error: Exception, options: LifecycleOptions) -> JobOutcome:
    # Its kind alone: words of an error may quote anything.
    kind = type(error).__name__
    outcome = JobOutcome.RETRY if claim.tries < TRIES else JobOutcome.FAILED
    _log.warning("credit_job_failed", job=claim.job, tick=claim.tick.isoformat(), tries=claim.tries, error=kind)
    if not isinstance(error, LostClaimError):
        with engine.begin() as connection:
            if _ended(connection, claim, outcome, error=kind) and outcome is JobOutcome.FAILED:
                _tell(connection, claim, options)
    return outcome


def _end(connection: sa.Connection, claim: _Claim, outcome: JobOutcome, *, made: int) -> None:
    if not _ended(connection, claim, outcome, made=made, error=None):
        raise LostClaimError


def _ended(connection: sa.Connection, claim: _Claim, outcome: JobOutcome, **values: object) -> bool:
    """Whether the row was still this try's."""
    return (
        connection.execute(
            sa.update(tables.credit_job_runs)
            .where(_jobs.id == claim.id, _jobs.tries == claim.tries)
            .values(outcome=outcome, ended_at=sa.func.clock_timestamp(), **values)
        ).rowcount
        == 1
    )


def _tell(connection: sa.Connection, claim: _Claim, options: LifecycleOptions) -> None:
    what, command = _WORDS[claim.job]
    tell_of_fault(
        connection,
        episode_id=stable_id("credit_job", claim.job, claim.tick.isoformat()),
        headline=f"{what} failed",
        problem=f"{what} that was due at {at_time(claim.tick)} failed {TRIES} times.",
        next_step=f"Look at the worker's log, put right what it names, then run `{command}`.",
        link=options.credits_link(),
        options=options,
    )


_WORDS = {
    CreditJob.UPDATE_BASELINES: ("the update of baselines", "breakwater update-baselines"),
    CreditJob.WEEKLY_REVIEW: ("the weekly review", "breakwater weekly-review"),
}
