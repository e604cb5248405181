"""Asking a broker where the logs end: the proof that a partition is caught up.

"Nothing came for a while" proves nothing, as a broker that is away sends nothing either. The answer does: when
the position is at the end that was given, all that was written before the question was asked has been read. What
stands in an open transaction counts as written: it may be committed later, and would be late if the clock had gone on.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import structlog
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]

from config.kafka_client import client_settings
from config.settings import Kafka
from dataflows.sources.topic_log import place_name

#: Seconds after which a question is given up; the next one will do.
TIMEOUT = 5.0

#: How long it is believed who leads a partition. librdkafka forgets it by age alone: after an election, even of the
#: same broker, every question is refused (FENCED_LEADER_EPOCH) until then, by default for 15 minutes.
LEADERS_KNOWN_FOR = timedelta(seconds=2)

log = structlog.get_logger(__name__)


def admin_client(kafka: Kafka) -> AdminClient:
    """The client that the questions are asked by; its `poll` tells of errors."""
    forgetful: dict[str, Any] = {
        "metadata.max.age.ms": LEADERS_KNOWN_FOR // timedelta(milliseconds=1),
        "error_cb": _on_error,
    }
    return AdminClient({**client_settings(kafka), **forgetful})


def _on_error(error: KafkaError) -> None:
    """Say why nobody answers, where it is not an outage: librdkafka tries for ever and calls it one."""
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):  # noqa: SLF001  (their name for own errors)
        log.error("kafka_refused", error=error.name())


class EndOfLog:
    """One question at a time, never waited for."""

    def __init__(self, admin: AdminClient, places: Sequence[tuple[str, int]]) -> None:
        self._admin = admin
        self._places = places
        self._asked: dict[TopicPartition, Future[ListOffsetsResultInfo]] = {}

    @property
    def asked(self) -> bool:
        """Whether a question is open."""
        return bool(self._asked)

    def ask(self) -> None:
        """Send the question."""
        self._admin.poll(0)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = {TopicPartition(*place): latest for place in self._places}
        self._asked = self._admin.list_offsets(
            places, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=TIMEOUT
        )

    def answer(self) -> dict[str, int] | None:
        """The ends by the logs' names, once; None while there is no answer, and when there will be none."""
        if not self._asked or not all(future.done() for future in self._asked.values()):
            return None
        asked, self._asked = self._asked, {}
        try:
            return {place_name(place.topic, place.partition): future.result().offset for place, future in asked.items()}
        except KafkaException:
            return None
