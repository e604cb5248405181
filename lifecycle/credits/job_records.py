"""Records of jobs: those by hand and webhooks that bring runs are written here, all of them are listed (50.8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.credits.calendar import LOG_TIME_OUT, TRIES, time_out
from lifecycle.credits.health_notice import tell_of_fault
from lifecycle.ids import stable_id
from lifecycle.kinds import CreditJob, JobOrigin, JobOutcome
from lifecycle.options import LifecycleOptions
from lifecycle.texts import one_line

#: Records of webhooks are kept for so long; there may be many.
KEPT = timedelta(days=30)
#: So many of each origin are listed.
NEWEST = 6

_jobs = tables.credit_job_runs.c


def begin_record(connection: sa.Connection, job: CreditJob, *, asked_by: str) -> str:
    """Say that somebody runs a job by hand, which is no tick of the calendar; the record's id."""
    record_id: str = connection.execute(
        sa.insert(tables.credit_job_runs)
        .values(
            job=job,
            tick=sa.func.now(),
            tries=1,
            outcome=JobOutcome.RUNNING,
            origin=JobOrigin.BY_HAND,
            asked_by=asked_by,
            started_at=sa.func.now(),
            leased_until=sa.func.now() + time_out(job),
        )
        .returning(_jobs.id)
    ).scalar_one()
    return record_id


def end_record(connection: sa.Connection, record_id: str, *, made: int | None = None, error: str | None = None) -> None:
    """Say what became of it: how much it made, or the kind of its error."""
    connection.execute(
        sa.update(tables.credit_job_runs)
        .where(_jobs.id == record_id)
        .values(
            outcome=JobOutcome.DONE if error is None else JobOutcome.FAILED,
            ended_at=sa.func.clock_timestamp(),
            made=made,
            error=error,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTry:
    """A request that brought runs, and what became of it."""

    sender: str
    #: Names what was asked for: the same again is another try.
    request_key: str
    received_at: datetime
    #: Runs that were taken in.
    made: int
    #: The kind of the error, or a code of ours; None: it worked.
    error: str | None
    #: Nothing is gained by sending the same again.
    is_final: bool = False


def record_webhook(connection: sa.Connection, tried: WebhookTry, *, options: LifecycleOptions) -> JobOutcome | None:
    """Write a try down; tell operations of a final failure, once a day for each sender. None: it was done before."""
    failed = JobOutcome.FAILED if tried.is_final else JobOutcome.RETRY
    outcome = JobOutcome.DONE if tried.error is None else failed
    first = insert(tables.credit_job_runs).values(
        job=CreditJob.LOG,
        tick=tried.received_at,
        tries=1,
        outcome=outcome,
        origin=JobOrigin.WEBHOOK,
        asked_by=tried.sender,
        request_key=tried.request_key,
        made=tried.made,
        error=tried.error,
        started_at=tried.received_at,
        ended_at=sa.func.clock_timestamp(),
        leased_until=tried.received_at + LOG_TIME_OUT,
    )
    tries = _jobs.tries + 1
    is_last = sa.and_(first.excluded.outcome == JobOutcome.RETRY, tries >= TRIES)
    found: str | None = connection.execute(
        first.on_conflict_do_update(
            index_elements=["request_key"],
            index_where=_jobs.request_key.is_not(None),
            set_={
                "tries": tries,
                "outcome": sa.case((is_last, JobOutcome.FAILED.value), else_=first.excluded.outcome),
                **{name: first.excluded[name] for name in ("made", "error", "started_at", "ended_at", "leased_until")},
            },
            where=_jobs.outcome != JobOutcome.DONE,
        ).returning(_jobs.outcome)
    ).scalar()
    if found == JobOutcome.FAILED:
        _tell(connection, tried, options)
    return None if found is None else JobOutcome(found)


def list_job_records(connection: sa.Connection) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """The newest records of each origin, newest first: a busy webhook does not hide what the calendar asked for."""
    return sorted(
        (
            record
            for origin in JobOrigin
            for record in connection.execute(
                sa.select(tables.credit_job_runs)
                .where(_jobs.origin == origin)
                .order_by(_jobs.started_at.desc())
                .limit(NEWEST)
            )
        ),
        key=lambda record: record.started_at,
        reverse=True,
    )


def forget_webhooks(engine: sa.Engine) -> int:
    """Forget records of webhooks that are old; how many."""
    with engine.begin() as connection:
        return connection.execute(
            sa.delete(tables.credit_job_runs).where(
                _jobs.origin == JobOrigin.WEBHOOK, _jobs.started_at < sa.func.now() - KEPT
            )
        ).rowcount


def _tell(connection: sa.Connection, tried: WebhookTry, options: LifecycleOptions) -> None:
    sender = one_line(tried.sender)
    tell_of_fault(
        connection,
        episode_id=stable_id("credit_webhook", tried.sender, tried.received_at.date().isoformat()),
        headline="a webhook’s runs were not taken in",  # noqa: RUF001  (an apostrophe, for people)
        problem=f"Runs that “{sender}” sent were not taken in ({tried.error}).",
        next_step="Look at what it was answered, put that right, and have it send them again.",
        link=options.health_link(),
        options=options,
    )
