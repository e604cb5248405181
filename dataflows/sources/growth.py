"""Noticing that topics have grown, beside the stream: the flow then ends in good order and begins anew with all of it.

Only a new flow can read new partitions: the engine asks for the parts of a source once.
"""

import time
from datetime import timedelta
from threading import Thread

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from config.kafka_client import client_settings
from config.settings import Kafka
from dataflows.sources.stop import StopRequest
from dataflows.sources.topics import Topics, partitions_of

#: How long the brokers have for an answer; without one they are asked again the next time.
TIMEOUT = timedelta(seconds=5)

log = structlog.get_logger(__name__)


def watch_growth(kafka: Kafka, topics: Topics, stop: StopRequest) -> None:
    """Ask for a new beginning when a topic has more partitions than are read, or the control topic has come.

    From now on, in a thread that ends with the process.
    """
    Thread(target=_watch, args=(kafka, topics, stop), name="growth", daemon=True).start()


def _watch(kafka: Kafka, topics: Topics, stop: StopRequest) -> None:
    admin = AdminClient(client_settings(kafka))
    while not stop.ends:
        time.sleep(kafka.growth_check.total_seconds())
        try:
            there = partitions_of(admin, kafka, TIMEOUT)
        except KafkaException:
            continue
        grown = {name: count for name, count in there.items() if count > topics.partitions.get(name, 0)}
        if grown:
            log.warning("kafka_topics_grew", partitions=grown, lanes=topics.lanes)
            stop.renew()
