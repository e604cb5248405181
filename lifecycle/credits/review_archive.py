"""Copy weekly reviews into the archive, beside the transaction that made them: it may be away (50.6)."""

import sqlalchemy as sa
import structlog

from lifecycle import tables
from lifecycle.credits.health_notice import tell_of_fault
from lifecycle.credits.review_files import ArchiveError, archive_review, file_name
from lifecycle.ids import stable_id
from lifecycle.options import LifecycleOptions

#: The worker's job.
ARCHIVE_REVIEWS = "archive_reviews"

#: After so many failures in a row the archive is away, and what is left waits for the next try.
_AWAY_AFTER = 2

_log = structlog.get_logger(__name__)
_reviews = tables.credit_reviews.c


def archive_reviews(engine: sa.Engine, options: LifecycleOptions) -> int:
    """Copy all that is not in the archive yet, oldest first, one transaction each; how many were copied.

    `ArchiveError` when some were not taken; operations are told of that once a day. No archive, nothing to do.
    """
    if options.reviews_archive is None:
        return 0
    copied, failures, last_error = 0, 0, None
    for review_id in _waiting(engine):
        try:
            with engine.begin() as connection:
                copied += _copy(connection, review_id, options.reviews_archive)
            failures = 0
        except ArchiveError as error:
            failures, last_error = failures + 1, error
            if failures == _AWAY_AFTER:
                break
    if last_error is not None:
        _log.warning("reviews_not_archived", error=str(last_error))
        with engine.begin() as connection:
            _tell(connection, last_error, options)
        raise last_error
    return copied


def _waiting(engine: sa.Engine) -> list[str]:
    query = sa.select(_reviews.id).where(_reviews.archived_at.is_(None)).order_by(_reviews.created_at, _reviews.id)
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def _copy(connection: sa.Connection, review_id: str, url: str) -> bool:
    """Whether it was still to be copied; another worker may have it."""
    found = connection.execute(
        sa.select(_reviews.iso_week, _reviews.tenant_id, _reviews.revision, _reviews.document, _reviews.sha256)
        .where(_reviews.id == review_id, _reviews.archived_at.is_(None))
        .with_for_update(skip_locked=True)
    ).first()
    if found is None:
        return False
    name = file_name(found.iso_week, found.tenant_id, found.revision)
    archive_review(url, name, found.document.encode(), found.sha256)
    connection.execute(
        sa.update(tables.credit_reviews).where(_reviews.id == review_id).values(archived_at=sa.func.clock_timestamp())
    )
    return True


def _tell(connection: sa.Connection, error: ArchiveError, options: LifecycleOptions) -> None:
    today = connection.execute(sa.select(sa.func.current_date())).scalar_one()
    waiting = connection.execute(sa.select(sa.func.count()).where(_reviews.archived_at.is_(None))).scalar_one()
    tell_of_fault(
        connection,
        episode_id=stable_id("reviews_not_archived", today.isoformat()),
        headline="the archive takes no reviews",
        problem=f"{waiting} weekly reviews are not in the archive yet ({error}). They are kept, and it is tried again.",
        next_step="See whether BREAKWATER_REVIEWS_ARCHIVE names a place that the worker may write to.",
        link=options.credits_link(),
        options=options,
    )
