"""The ingest as `breakwater api` serves it: the application, and the producer behind it."""

import asyncio
from collections.abc import Sequence

from confluent_kafka import KafkaException

from api.database import Database
from api.ingest import IngestParts, NotAcknowledgedError
from api.ingest_auth import Gate, MisconfiguredKeyError
from cli.options import fail_usage
from config.settings import Settings
from lifecycle.options import LifecycleOptions
from sinks.run_events import RunEventProducer


def ingest_parts(settings: Settings, database: Database, producer: RunEventProducer) -> IngestParts:
    """What the ingest needs, for these settings; contacts nothing. Exit 2 when the key of tokens can't be one."""
    try:
        gate = Gate(settings.ingest)
    except MisconfiguredKeyError as error:
        fail_usage(f"BREAKWATER_INGEST__TOKEN_KEY: {error}")

    async def publish(records: Sequence[tuple[bytes, bytes]]) -> None:
        # Handing records over may wait for a lock, so it is done beside the event loop, as the waiting is.
        sent = await asyncio.to_thread(producer.send, records)
        try:
            await asyncio.wrap_future(sent)
        except KafkaException:
            raise NotAcknowledgedError from None

    return IngestParts(
        settings=settings.ingest,
        gate=gate,
        database=database,
        publish=publish,
        max_future_skew=settings.stream.max_future_skew,
        options=LifecycleOptions.of(settings),
    )
