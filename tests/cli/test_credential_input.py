"""Credential events from their topic, over the Kafka protocol, into the database."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from confluent_kafka import Producer

from cli.credential_input import CredentialInput
from cli.embedded.kafka import MockKafka
from cli.embedded.smtp import SmtpSink
from config.settings import Kafka, Settings
from dataflows.credential_messages import decode_credential_message
from dataflows.dead_letters import Unusable
from lifecycle import tables
from tests.interop.interop_given import PATIENCE, wait_for
from tests.lifecycle.credentials_given import given_credentials, now
from tests.lifecycle.given import rows, texts, version
from tests.lifecycle.worker import OPTIONS, given_block

TOPIC = "credential_events"
SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
LATEST = datetime(2026, 3, 2, 8, tzinfo=UTC)


def message(credential_id: str = "c1", status: str = "active", **changes: Any) -> dict[str, Any]:
    given = {
        "event_id": f"{credential_id}:{status}",
        "tenant_id": "t1",
        "credential_id": credential_id,
        "status": status,
        "occurred_at": "2026-03-02T08:00:00Z",
        **changes,
    }
    return {name: value for name, value in given.items() if value is not ...}


def encoded(*messages: dict[str, Any]) -> list[bytes]:
    return [json.dumps(one).encode() for one in messages]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(b"", "not_json: no JSON text", id="nothing"),
        pytest.param(b"\xff", "not_json: not UTF-8", id="no UTF-8"),
        pytest.param(b"[1]", "not_an_object: JSON, but no object", id="a list"),
        pytest.param(b"{}", "missing_field: event_id: is required", id="an empty object"),
        pytest.param(
            *encoded(message(occurred_at=...)), "missing_field: occurred_at: is required", id="a field is missing"
        ),
        pytest.param(*encoded(message(status=None)), "missing_field: status: is required", id="a null"),
        pytest.param(
            *encoded(message(tenant_id=7)),
            "invalid_field: a field has the wrong type or a value outside its range",
            id="a number for a tenant",
        ),
        pytest.param(
            *encoded(message(status="fine")), "invalid_field: status: must be one of the five words", id="another word"
        ),
        pytest.param(
            *encoded(message(credential_id="c\x00", event_id="e")),
            "invalid_field: tenant_id, credential_id: must hold no NUL",
            id="a NUL",
        ),
        pytest.param(
            *encoded(message(occurred_at="2026-03-02T08:00:00.000001Z")),
            "future_timestamp: occurred_at: is ahead of the clock",
            id="a microsecond too late",
        ),
        pytest.param(b'{"x": "' + b"y" * 70_000 + b'"}', "too_large: more than 65536 bytes", id="too large"),
    ],
)
def test_what_a_message_may_not_be(raw: bytes, said: str) -> None:
    with pytest.raises(Unusable) as fault:
        decode_credential_message(raw, LATEST)
    assert str(fault.value) == said


def test_a_message_says_what_was_found_of_which_credential() -> None:
    (raw,) = encoded(message(more="is ignored"))
    found = decode_credential_message(raw, LATEST)
    assert (found.tenant_id, found.credential_id, found.status, found.occurred_at) == ("t1", "c1", "active", LATEST)


def write(kafka: Kafka, messages: Sequence[bytes]) -> None:
    client = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 2})
    for raw in messages:
        client.produce(TOPIC, raw, b"t1")
    assert client.flush(PATIENCE) == 0


def test_the_topic_ends_blocks_and_bad_messages_hold_nothing_up(
    engine: sa.Engine, mock_kafka: MockKafka, capfd: pytest.CaptureFixture[str]
) -> None:
    mock_kafka.create_topic(TOPIC, 1)
    settings = Settings(kafka=Kafka(bootstrap_servers=mock_kafka.bootstrap_servers))
    given_credentials(engine)
    given_block(engine)
    at = now().isoformat()
    good = [message(name, occurred_at=at, error=SECRET) for name in ("c1", "c2")]
    ahead = (now() + timedelta(days=1)).isoformat()
    bad = [
        b"x",
        *encoded(
            message("c7"), message("c1", "active", tenant_id="t2"), message("c1", occurred_at=ahead), {SECRET: SECRET}
        ),
    ]
    write(settings.kafka, [*bad, *encoded(*good, *good)])
    with CredentialInput(settings, engine, OPTIONS):
        wait_for("the end of the block", lambda: version(engine)["status"] == "Live")
        write(settings.kafka, encoded(message("c2", "expired", occurred_at=now().isoformat())))
        wait_for("the warning", lambda: rows(engine, tables.outbox_events, type="credential_event"))
    assert [(letter["offset"], letter["code"]) for letter in rows(engine, tables.dead_letters)] == [
        (0, "not_json"),
        (1, "unknown_credential"),
        (2, "unknown_credential"),
        (3, "future_timestamp"),
        (4, "missing_field"),
    ]
    assert {event["actor"] for event in rows(engine, tables.credential_events)} == {"service:integration_monitor"}
    assert len(rows(engine, tables.credential_events)) == 3
    printed = capfd.readouterr()
    assert SECRET not in texts(engine) + printed.out + printed.err


def test_a_worker_whose_broker_is_away_sends_mail_and_ends_when_it_is_told(
    engine: sa.Engine, database_url: str, smtp_server: SmtpSink
) -> None:
    given_credentials(engine)
    given_block(engine)
    worker = subprocess.Popen(
        [sys.executable, "-m", "cli", "worker"],
        env={
            **os.environ,
            "BREAKWATER_POSTGRES__URL": database_url,
            "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "BREAKWATER_SMTP__HOST": smtp_server.host,
            "BREAKWATER_SMTP__PORT": str(smtp_server.port),
        },
    )
    try:
        smtp_server.wait_for(1, timedelta(seconds=30))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        worker.kill()
        worker.wait(10)
