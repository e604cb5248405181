"""`breakwater init-topics`: make the topics (spec 80.1)."""

from datetime import timedelta
from typing import Annotated

import typer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from cli.options import fail_usage
from config.settings import Kafka, load_settings

#: Seconds that the brokers have for an answer.
TIMEOUT = timedelta(seconds=10)


def init_topics(
    partitions: Annotated[
        int,
        typer.Option(
            help="Of the events, control events and status events; more can't be had later.", min=1, max=10_000
        ),
    ] = 12,
    replication_factor: Annotated[
        int, typer.Option(help="Copies of each message; -1 is the broker's default.", min=-1, max=9)
    ] = -1,
) -> None:
    """Make the topics that are not there yet; those that are stay as they are."""
    kafka = load_settings().kafka
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 2})
    try:
        there = admin.list_topics(timeout=TIMEOUT.total_seconds()).topics
    except KafkaException as error:
        fail_usage(f"no Kafka broker answers at {kafka.bootstrap_servers} ({error.args[0].name()})")
    topics = topics_of(kafka, partitions, replication_factor)
    for topic in topics:
        if topic.topic in there:
            typer.echo(f"{topic.topic}: is there, {len(there[topic.topic].partitions)} partitions")
    missing = [topic for topic in topics if topic.topic not in there]
    failed = False
    made = admin.create_topics(missing, request_timeout=TIMEOUT.total_seconds()) if missing else {}
    for name, future in made.items():
        try:
            future.result()
        except KafkaException as error:
            code = error.args[0]
            if code.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                typer.echo(f"{name}: is there")
                continue
            typer.echo(f"breakwater: {name}: not made ({code.name()})", err=True)
            failed = True
        else:
            typer.echo(f"{name}: made")
    if failed:
        raise typer.Exit(1)


def topics_of(kafka: Kafka, partitions: int, replication_factor: int) -> list[NewTopic]:
    """Every topic of the product.

    Control and status events are partitioned like the events that they stand beside. Dead letters are few and
    their order means nothing, but each may be as large as the message that it was.
    """
    from sinks.kafka import MAX_MESSAGE_BYTES

    large = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    return [
        NewTopic(kafka.events_topic, partitions, replication_factor),
        NewTopic(kafka.control_topic, partitions, replication_factor),
        NewTopic(kafka.status_topic, partitions, replication_factor),
        NewTopic(kafka.dead_letter_topic, 1, replication_factor, config=large),
        NewTopic(kafka.decisions_dead_letter_topic, 1, replication_factor, config=large),
    ]
