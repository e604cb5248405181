"""Real servers for the tests: made once for each worker of the test run, with fresh contents for each test."""

from collections.abc import Iterator
from itertools import count

import pytest
import redis as redis_client
import sqlalchemy as sa

from cli.embedded.apache_kafka import ApacheKafka, NoKafkaError, find_jars, find_java
from cli.embedded.kafka import MockKafka
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.redis import EmbeddedRedis
from cli.embedded.smtp import SmtpSink
from lifecycle.migrate import migrate

_TEMPLATE = "migrated"
_numbers = count(1)


def pytest_report_header() -> str:
    """Say in one line what stands for Kafka in these tests."""
    try:
        find_java()
        find_jars()
    except NoKafkaError as missing:
        return f"kafka: the double of its protocol alone, the tests of Apache Kafka are SKIPPED ({missing})"
    return "kafka: Apache Kafka, and the double of its protocol"


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server with the template database `migrated`."""
    with EmbeddedPostgres(fast=True) as server:
        server.create_database(_TEMPLATE)
        migrate(server.url(_TEMPLATE))
        yield server


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The address of a migrated database that belongs to this test."""
    name = f"test_{next(_numbers)}"
    postgres.create_database(name, template=_TEMPLATE)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """SQLAlchemy's engine on this test's database."""
    made = sa.create_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """A Redis server; its contents are whatever the last test left: use `redis_url`."""
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The address of an empty Redis."""
    with redis_client.Redis.from_url(redis_server.url()) as connection:
        connection.flushall()
    return redis_server.url()


@pytest.fixture
def mock_kafka() -> Iterator[MockKafka]:
    """A broker of the Kafka protocol without topics."""
    with MockKafka() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def apache_kafka() -> Iterator[ApacheKafka]:
    """An Apache Kafka without topics of this test; give yours names that no other test uses, and leave it running."""
    broker = ApacheKafka()
    try:
        broker.start()
    except NoKafkaError as missing:
        pytest.skip(f"no Apache Kafka ({missing}): only the double of its protocol is tested against")
    yield broker
    broker.close()


@pytest.fixture
def smtp_server() -> Iterator[SmtpSink]:
    """An SMTP server that keeps this test's mails."""
    with SmtpSink() as server:
        yield server
