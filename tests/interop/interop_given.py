"""Words for tests of other inputs: a server that takes them in, senders' credentials, what stands in a topic."""

import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx
import jwt
import sqlalchemy as sa
import uvicorn
from confluent_kafka import Consumer, Message, TopicPartition
from pydantic import SecretStr

from api.app import create_app
from api.console.parts import ConsoleParts
from api.database import Database
from api.ingest import create_ingest_app
from cli.embedded.kafka import MockKafka
from cli.ingest import ingest_parts
from config.settings import Ingest, Kafka, Postgres, Settings
from lifecycle.options import LifecycleOptions
from lifecycle.platform import HttpPlatform
from lifecycle.seed import seed
from sinks.run_events import RunEventProducer

PATIENCE = 30.0


def wait_for(what: str, is_so: Callable[[], object]) -> None:
    """Wait until it is so, or fail."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def read_topic(kafka: Kafka, topic: str, count: int) -> list[Message]:
    """The messages of a topic, from the earliest on, once there are so many of them."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "test", "log_level": 2})
    try:
        partitions = consumer.list_topics(timeout=PATIENCE).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        found: list[Message] = []
        end = time.monotonic() + PATIENCE
        while len(found) < count and time.monotonic() < end:
            found += [message for message in consumer.consume(count, 0.1) if message.error() is None]
    finally:
        consumer.close()
    assert len(found) >= count
    return found


SECRET = "a secret of twenty-four"
SENDER = "make"
TOKEN_KEY = "a key for tokens that has more than 32 bytes"
AUDIENCE = "breakwater"


def encoded(value: object) -> bytes:
    """JSON as a body or a message holds it."""
    return json.dumps(value).encode()


def signature(body: bytes, *, secret: str = SECRET, at: float | None = None, sender: str = SENDER) -> dict[str, str]:
    """The headers that sign a body; `at` in Unix seconds, now by default."""
    digest = hmac.new(secret.encode(), body, "sha256").hexdigest()
    moment = int(time.time() if at is None else at)
    return {"X-WRK-Sender": sender, "X-WRK-Signature": f"t={moment},v1={digest}"}


def token(**claims: Any) -> str:
    """A service token for `t1`; claims change it, `...` takes one away."""
    given = {
        "sub": "relay",
        "aud": AUDIENCE,
        "exp": int(time.time()) + 600,
        "scope": "ingest",
        "tenants": ["t1"],
        **claims,
    }
    return jwt.encode({name: value for name, value in given.items() if value is not ...}, TOKEN_KEY, algorithm="HS256")


def settings_for(database_url: str, kafka: Kafka | None = None, **ingest: Any) -> Settings:
    """Settings with two senders, `make` for `t1` and `other` for `t2`, and a key for tokens."""
    senders = {
        SENDER: {"tenant_id": "t1", "secrets": ["an older secret of theirs", SECRET]},
        "other": {"tenant_id": "t2", "secrets": ["another sender's secret"]},
        "stripe": {"tenant_id": "t1", "secrets": [SECRET], "signs": "time.body"},
    }
    # A busy machine may take seconds for a first connection to a broker.
    more = {"senders": senders, "token_key": TOKEN_KEY, "token_algorithm": "HS256", "delivery_timeout": "30s", **ingest}
    return Settings(
        postgres=Postgres(url=SecretStr(database_url)), kafka=kafka or Kafka(), ingest=Ingest.model_validate(more)
    )


#: Two tenants; `v1` has a name of its own in lineage, and a scenario; `v3` runs no workflow yet.
WORLD: dict[str, Any] = {
    "tenants": [{"id": "t1", "name": "One"}, {"id": "t2", "name": "Two"}],
    "automations": [
        {"id": "a1", "tenant_id": "t1", "name": "Load"},
        {"id": "a2", "tenant_id": "t2", "name": "Theirs"},
        {"id": "a3", "tenant_id": "t1", "name": "Binder"},
    ],
    "automation_versions": [
        {"id": "v1", "tenant_id": "t1", "automation_id": "a1", "version": 1, "status": "Live"},
        {"id": "v2", "tenant_id": "t2", "automation_id": "a2", "version": 1, "status": "Live"},
        {"id": "v3", "tenant_id": "t1", "automation_id": "a3", "version": 1, "status": "Live"},
    ],
    "workflows": [
        {"workflow_id": "wf1", "tenant_id": "t1", "name": "Load"},
        {"workflow_id": "wf2", "tenant_id": "t2", "name": "Theirs"},
    ],
    "workflow_bindings": [
        {
            "tenant_id": "t1",
            "automation_version_id": "v1",
            "wrk_workflow_id": "wf1",
            "status": "active",
            "external_ref": "airflow/invoices.load",
        },
        {
            "tenant_id": "t2",
            "automation_version_id": "v2",
            "wrk_workflow_id": "wf2",
            "status": "active",
            "external_ref": "airflow/theirs",
        },
        {"tenant_id": "t1", "automation_version_id": "v3", "status": "pending", "external_ref": "BINDER_EXPORT_v2"},
    ],
}


class Server:
    """The whole application behind a real server on loopback, in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        database = Database(settings.postgres.url.get_secret_value())
        self._producer = RunEventProducer(settings.kafka, settings.ingest.delivery_timeout)
        ingest = create_ingest_app(ingest_parts(settings, database, self._producer))
        console = ConsoleParts(
            platform=HttpPlatform(settings.platform), options=LifecycleOptions.of(settings), sign_in=None
        )
        app = create_app(database, console, ingest=ingest)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    def __enter__(self) -> "Server":
        self._thread.start()
        wait_for("the server to start", lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        self._producer.close()
        self._socket.close()

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None, **more: str) -> httpx.Response:
        """Send a body, signed unless other headers are given; JSON unless another content type is."""
        sent = {"Content-Type": "application/json", **(signature(body) if headers is None else headers), **more}
        return httpx.post(self.url + path, content=body, headers=sent, timeout=PATIENCE)

    def events(self, count: int) -> list[dict[str, Any]]:
        """The run events in the topic, once there are so many."""
        return [json.loads(message.value() or b"") for message in read_topic(self.settings.kafka, "run_events", count)]


@contextmanager
def a_server(database_url: str, mock_kafka: MockKafka, **ingest: Any) -> Iterator[Server]:
    """A server in the world above, and a broker with the topic of run events."""
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        seed(connection, WORLD)
    engine.dispose()
    mock_kafka.create_topic("run_events", 4)
    settings = settings_for(database_url, Kafka(bootstrap_servers=mock_kafka.bootstrap_servers), **ingest)
    with Server(settings) as server:
        yield server
