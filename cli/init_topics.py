"""`breakwater init-topics`: make the topics, and let them grow (spec 80.1)."""

from concurrent.futures import Future
from datetime import timedelta
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]

from cli.options import fail_usage
from config.kafka_client import client_settings
from config.settings import Kafka, load_settings
from dataflows.events import MAX_MESSAGE_BYTES as MAX_EVENT_BYTES

#: Seconds that the brokers have for an answer.
TIMEOUT = timedelta(seconds=10)

#: Room for the largest event with its key, its headers and the batch around it, and for some that are too large: they
#: are to become dead letters, and not to be an error where they are written.
EVENT_TOPIC_LIMIT = 2 * MAX_EVENT_BYTES


def init_topics(
    partitions: Annotated[
        int,
        typer.Option(help="Of all topics but dead letters.", min=1, max=10_000),
    ] = 12,
    replication_factor: Annotated[
        int, typer.Option(help="Copies of each message; -1 is the broker's default.", min=-1, max=9)
    ] = -1,
    grow: Annotated[
        bool, typer.Option("--grow", help="Give topics with fewer partitions as many: a multiple of what they have.")
    ] = False,
) -> None:
    """Make the topics that are not there yet; those that are stay as they are, unless they are to grow."""
    kafka = load_settings().kafka
    admin = AdminClient(client_settings(kafka))
    try:
        found = admin.list_topics(timeout=TIMEOUT.total_seconds()).topics
    except KafkaException as error:
        fail_usage(f"no Kafka broker answers at {kafka.bootstrap_servers} ({error.args[0].name()})")
    topics = topics_of(kafka, partitions, replication_factor)
    there = {topic.topic: len(found[topic.topic].partitions) for topic in topics if topic.topic in found}
    wanted = {name: partitions for name in partitioned_alike(kafka) if there.get(name, partitions) != partitions}
    for name in wanted if grow else ():
        _check_growth(name, there[name], partitions)
    for name, count in there.items():
        if name not in wanted or not grow:
            typer.echo(f"{name}: is there, {count} partition{'' if count == 1 else 's'}")
        if name in wanted and not grow:
            note = f"{name} has {count} partitions, not {partitions}: how to grow it is told in docs/kafka.md"
            typer.echo(f"breakwater: {note}", err=True)
    missing = [topic for topic in topics if topic.topic not in there]
    is_done = _tell("made", admin.create_topics(missing, request_timeout=TIMEOUT.total_seconds()) if missing else {})
    if wanted and grow:
        more = [NewPartitions(name, count) for name, count in wanted.items()]
        grown = admin.create_partitions(more, request_timeout=TIMEOUT.total_seconds())
        is_done &= _tell(f"grown to {partitions} partitions", grown)
    if not is_done:
        raise typer.Exit(1)


def topics_of(kafka: Kafka, partitions: int, replication_factor: int) -> list[NewTopic]:
    """Every topic of the product.

    Dead letters are few and their order means nothing, but each may be as large as the message that it was.
    """
    from sinks.kafka import MAX_MESSAGE_BYTES

    alike, dead = (
        partitioned_alike(kafka),
        (
            kafka.dead_letter_topic,
            kafka.decisions_dead_letter_topic,
            kafka.requests_dead_letter_topic,
        ),
    )
    room, large = ({"max.message.bytes": str(limit)} for limit in (EVENT_TOPIC_LIMIT, MAX_MESSAGE_BYTES))
    inputs = (*alike, kafka.credential_topic, kafka.requests_topic, kafka.jobs_topic)
    return [NewTopic(name, partitions, replication_factor, config=room) for name in inputs] + [
        NewTopic(name, 1, replication_factor, config=large) for name in dead
    ]


def partitioned_alike(kafka: Kafka) -> tuple[str, str, str]:
    """The topics whose partitions stand beside each other: control and status events lie like the events."""
    return kafka.events_topic, kafka.control_topic, kafka.status_topic


def _check_growth(name: str, there: int, wished: int) -> None:
    if wished < there:
        fail_usage(f"{name} has {there} partitions: Kafka can't take any away")
    if wished % there:
        fail_usage(
            f"{name} has {there} partitions: {wished} is no multiple of it, workflows would change their lanes; "
            f"{there * (wished // there + 1)} is one"
        )


def _tell(what: str, asked: dict[str, Future[Any]]) -> bool:
    """Say what became of each request; whether all went well."""
    is_done = True
    for name, future in asked.items():
        try:
            future.result()
        except KafkaException as error:
            code = error.args[0]
            if code.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                typer.echo(f"{name}: is there")
                continue
            typer.echo(f"breakwater: {name}: not {what} ({code.name()})", err=True)
            is_done = False
        else:
            typer.echo(f"{name}: {what}")
    return is_done
