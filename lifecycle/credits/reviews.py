"""Weekly reviews: made from the ledger, kept with all their revisions, written to files (50.6)."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.credits.documents import sha256_hex, to_json
from lifecycle.credits.entry import plain
from lifecycle.credits.iso_weeks import period_of
from lifecycle.credits.review_archive import ARCHIVE_REVIEWS
from lifecycle.credits.review_files import file_name, write_review
from lifecycle.credits.reviewed_cases import note_reviewed
from lifecycle.credits.weekly_report import DayTotal, WeeklyReport
from lifecycle.credits.weekly_review import EXACT_DIGITS, ReviewedRun, first_needed, review
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import SCHEDULES_QUEUE, put_job

_runs = tables.credit_runs.c
_reviews = tables.credit_reviews.c

_REPORT = msgspec.json.Decoder(WeeklyReport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review as it is kept, without its report."""

    id: str
    #: None: all tenants together.
    tenant_id: str | None
    iso_week: str
    revision: int
    period_start: datetime
    period_end: datetime
    total_credits: Decimal
    total_runs: int
    sha256: str
    made_by: str
    created_at: datetime
    #: None: not in the archive (yet).
    archived_at: datetime | None

    @property
    def file_name(self) -> str:
        """Its file's, in the folder and in the archive."""
        return file_name(self.iso_week, self.tenant_id, self.revision)


def make_reviews(
    connection: sa.Connection,
    week: str,
    period_end: datetime,
    *,
    actor_context: ActorContext,
    options: LifecycleOptions,
    go_on: Callable[[], None] = lambda: None,
) -> list[tuple[Review, WeeklyReport]]:
    """Review a week until `period_end`: all tenants together first, then each that is known and had runs in it.

    A week that was reviewed before gets its next revision. The files are written before the caller commits: one whose
    transaction failed is written over by the next try. The worker copies them into the archive after the commit.
    `go_on` is called for each review and may end it by raising. `OSError` when the files can't be written; wants a
    snapshot (REPEATABLE READ).
    """
    lock_reviews(connection)
    begin, _ = period_of(week)
    runs_from, days_from = first_needed(period_end)
    days = _daily_sums(connection, days_from, period_end)
    made = []
    for tenant_id in (None, *_tenants(connection, begin, period_end)):
        go_on()
        report = review(
            _reviewed_runs(connection, tenant_id, runs_from, period_end),
            days[tenant_id],
            week=week,
            period_end=period_end,
            tenant_id=tenant_id,
        )
        made.append((_keep(connection, report, actor_context, options), report))
        if tenant_id is not None:
            note_reviewed(connection, tenant_id=tenant_id, begin=begin, end=period_end)
    if options.reviews_archive is not None:
        put_job(connection, name=ARCHIVE_REVIEWS, queue=SCHEDULES_QUEUE, lock=ARCHIVE_REVIEWS)
    return made


def lock_reviews(connection: sa.Connection) -> None:
    """Wait until nobody else makes reviews; readers are not held up. To be asked before a transaction's first query.

    This takes no snapshot, as a query of an advisory lock would: the snapshot that comes after it has the revisions
    that it waited for.
    """
    connection.execute(sa.text("LOCK TABLE credit_reviews IN SHARE ROW EXCLUSIVE MODE"))


def list_reviews(connection: sa.Connection, *, tenant_id: str | None = None, limit: int = 52) -> list[Review]:
    """The newest revision of each review that the caller may see, the newest weeks first."""
    newest = (
        sa.select(*(_reviews[name] for name in _FIELDS))
        .ext(distinct_on(_reviews.iso_week, _reviews.tenant_id))
        .order_by(_reviews.iso_week.desc(), _reviews.tenant_id.nulls_first(), _reviews.revision.desc())
        .limit(limit)
    )
    if tenant_id is not None:
        newest = newest.where(_reviews.tenant_id == tenant_id)
    return [_review(row) for row in connection.execute(newest)]


def read_review(
    connection: sa.Connection, *, iso_week: str, tenant_id: str | None, revision: int | None = None
) -> tuple[Review, WeeklyReport, str] | None:
    """A review with its report and its document, the newest revision unless one is named; None where there is none."""
    query = (
        sa.select(*(_reviews[name] for name in _FIELDS), _reviews.document)
        .where(_reviews.iso_week == iso_week, _reviews.tenant_id == tenant_id)
        .order_by(_reviews.revision.desc())
        .limit(1)
    )
    if revision is not None:
        query = query.where(_reviews.revision == revision)
    row = connection.execute(query).first()
    return None if row is None else (_review(row), _REPORT.decode(row.document), row.document)


_FIELDS = tuple(Review.__dataclass_fields__)


def _review(row: Any) -> Review:
    return Review(**{name: getattr(row, name) for name in _FIELDS})


def _keep(
    connection: sa.Connection, report: WeeklyReport, actor_context: ActorContext, options: LifecycleOptions
) -> Review:
    document = to_json(report)
    sha256 = sha256_hex(document)
    before = connection.execute(
        sa.select(sa.func.coalesce(sa.func.max(_reviews.revision), 0)).where(
            _reviews.iso_week == report.iso_week, _reviews.tenant_id == report.tenant_id
        )
    ).scalar_one()
    kept = _review(
        connection.execute(
            sa.insert(tables.credit_reviews)
            .values(
                tenant_id=report.tenant_id,
                iso_week=report.iso_week,
                revision=before + 1,
                period_start=report.period_start,
                period_end=report.period_end,
                total_credits=report.summary_stats.total_credits,
                total_runs=report.summary_stats.total_runs,
                document=document.decode(),
                sha256=sha256,
                made_by=actor_context.actor,
            )
            .returning(*(_reviews[name] for name in _FIELDS))
        ).one()
    )
    write_review(options.reviews_dir, kept.file_name, document, sha256)
    return kept


def _tenants(connection: sa.Connection, begin: datetime, end: datetime) -> list[str]:
    tenants = tables.tenants.c.id
    had_runs = sa.exists().where(_runs.tenant_id == tenants, _runs.occurred_at >= begin, _runs.occurred_at < end)
    return list(connection.execute(sa.select(tenants).where(had_runs).order_by(tenants)).scalars())


def _daily_sums(connection: sa.Connection, begin: datetime, end: datetime) -> dict[str | None, list[DayTotal]]:
    """By tenant; None is all of them."""
    day = sa.cast(sa.func.timezone("UTC", _runs.occurred_at), sa.Date)
    rows = connection.execute(
        sa.select(_runs.tenant_id, day, sa.func.sum(_runs.credits_total), sa.func.count())
        .where(_runs.occurred_at >= begin, _runs.occurred_at < end)
        .group_by(sa.func.grouping_sets(sa.tuple_(_runs.tenant_id, day), sa.tuple_(day)))
        .order_by(day)
    )
    days: defaultdict[str | None, list[DayTotal]] = defaultdict(list)
    with localcontext(prec=EXACT_DIGITS):
        for tenant_id, date, credits_, runs in rows:
            days[tenant_id].append(DayTotal(day=date, credits=plain(credits_), runs=runs))
    return days


def _reviewed_runs(
    connection: sa.Connection, tenant_id: str | None, begin: datetime, end: datetime
) -> Iterator[ReviewedRun]:
    query = sa.select(
        _runs.tenant_id,
        _runs.scenario,
        _runs.workflow_id,
        _runs.execution_id,
        _runs.occurred_at,
        _runs.credits_total.label("credits"),
        _runs.baseline_credits.label("baseline"),
        _runs.variance_multiplier.label("multiplier"),
        _runs.status,
        _runs.retry_count,
        _runs.severity,
        _runs.risk_flags,
        _runs.misconfig_likelihood,
    ).where(_runs.occurred_at >= begin, _runs.occurred_at < end)
    if tenant_id is not None:
        query = query.where(_runs.tenant_id == tenant_id)
    with connection.execute(query.execution_options(yield_per=5_000)) as rows:
        for row in rows:
            yield ReviewedRun(**row._asdict())
