"""An Apache Kafka that asks for a password over TLS."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from cli.embedded.apache_kafka import ApacheKafka, Door
from tests.dataflows.kafka_given import PATIENCE, wait_for
from tests.given import denied

PASSWORD = "correct horse battery staple"


@pytest.fixture
def broker(apache_kafka: ApacheKafka, tmp_path: Path) -> Iterator[ApacheKafka]:
    """One of our own beside the one that all share, which skips the test where there are no jars."""
    assert apache_kafka.bootstrap_servers
    certificate = tmp_path / "broker.pem"
    certificate.write_bytes(_certificate())
    with ApacheKafka(door=Door("breakwater", PASSWORD, certificate)) as made:
        yield made


def _certificate() -> bytes:
    """A certificate that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)


def environment(broker: ApacheKafka, authority: Path, password: str) -> dict[str, str]:
    """Settings of somebody who comes by the door."""
    client = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "breakwater",
        "ssl.ca.location": str(authority),
    }
    return {
        **os.environ,
        "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": broker.door_servers,
        "BREAKWATER_KAFKA__CLIENT": json.dumps(client),
        "BREAKWATER_KAFKA__SASL_PASSWORD": password,
    }


def command(*words: str) -> list[str]:
    """Of `breakwater`."""
    return [sys.executable, "-m", "cli", *words]


def test_every_client_comes_in_by_password_and_tls(broker: ApacheKafka, tmp_path: Path) -> None:
    known = environment(broker, tmp_path / "broker.pem", PASSWORD)
    made = subprocess.run(command("init-topics"), env=known, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    platform = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 2})
    for raw in (b"not json", *(json.dumps(denied(number, f"x{number}")).encode() for number in range(3))):
        platform.produce("run_events", raw, b"wf1")
    assert platform.flush(PATIENCE) == 0
    decisions = tmp_path / "decisions.ndjson"
    with subprocess.Popen(
        command("run", "--sink", f"file:{decisions}"), env=known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as monitor:
        wait_for("the decision", lambda: decisions.exists() and decisions.read_bytes().endswith(b"\n"))
        wait_for("the dead letter", lambda: _length(broker, "run_events.dead_letter") == 1)
        monitor.terminate()
        said, _ = monitor.communicate(timeout=30)
    assert monitor.returncode == 0, said
    assert PASSWORD.encode() not in said


def test_a_wrong_password_is_named_as_what_it_is_and_not_shown(broker: ApacheKafka, tmp_path: Path) -> None:
    stranger = environment(broker, tmp_path / "broker.pem", "a guess")
    refused = subprocess.run(
        command("run", "--sink", f"file:{tmp_path / 'out'}"), env=stranger, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert f"no Kafka broker answers at {broker.door_servers}" in refused.stderr
    said = refused.stdout + refused.stderr
    assert "kafka_refused" in said
    assert "_AUTHENTICATION" in said
    assert "a guess" not in said


def _length(broker: ApacheKafka, topic: str) -> int:
    """Messages in a topic's only partition."""
    reader = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader", "log_level": 2})
    first, end = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE)
    reader.close()
    return end - first
