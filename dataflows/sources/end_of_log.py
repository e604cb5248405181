"""Asking a broker where the logs end: the proof that a partition is caught up.

"Nothing came for a while" proves nothing, as a broker that is away sends nothing either. The answer does: when
the position is at the end that was given, all that was written before the question was asked has been read.
"""

from collections.abc import Sequence
from concurrent.futures import Future

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]

from dataflows.sources.topic_log import place_name

#: Seconds after which a question is given up; the next one will do.
TIMEOUT = 5.0


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
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = {TopicPartition(*place): latest for place in self._places}
        self._asked = self._admin.list_offsets(
            places, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=TIMEOUT
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
