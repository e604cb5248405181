"""Each request of the credit webhook leaves a job record (50.8)."""

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa
import structlog

from api.database import Database
from api.ingest_items import Item, Refused, Request
from dataflows.interop.acceptance import Accepted
from lifecycle.credits.job_records import WebhookTry, record_webhook
from lifecycle.options import LifecycleOptions

_log = structlog.get_logger(__name__)


def record_items(database: Database, asked: Request, found: Sequence[Item], options: LifecycleOptions) -> None:
    """Its items were taken in, all but those that are refused."""
    refused = sorted({item.code.value for item in found if isinstance(item, Refused)})
    made = sum(isinstance(item, Accepted) for item in found)
    _record(database, asked, made, ", ".join(refused) or None, options, is_final=True)


def record_failure(database: Database, asked: Request, error: Exception, options: LifecycleOptions) -> None:
    """Nothing was taken in for sure; the sender may try again."""
    _record(database, asked, 0, type(error).__name__, options, is_final=False)


def _record(
    database: Database, asked: Request, made: int, error: str | None, options: LifecycleOptions, *, is_final: bool
) -> None:
    tried = WebhookTry(
        sender=asked.identity.name,
        request_key=hashlib.sha256(f"{asked.identity.name}\0".encode() + asked.body).hexdigest(),
        received_at=asked.received_at,
        made=made,
        error=error,
        is_final=is_final,
    )
    try:
        with database.write() as connection:
            record_webhook(connection, tried, options=options)
    except sa.exc.SQLAlchemyError as fault:
        # What was taken in stays so: a record more or less is no reason to have it sent again.
        _log.warning("webhook_not_recorded", error=type(fault).__qualname__)
