"""Requests a second that the admission gate answers: from Kafka, and over HTTP.

    python -m benchmarks.gate [--requests 300000] [--gates 2] [--seconds 15] [--connections 64] [--only stream|http]

A PostgreSQL server of its own with fsync on, and for the stream an Apache Kafka. The requests are in the topic before
the gate starts; time runs from the first answers that `/metrics` shows to the last. Over HTTP each connection asks
again as soon as it was answered. One workflow of twenty is blacklisted. Bars: 20,000/s and 1,000/s (spec 40.5).
"""

import argparse
import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from datetime import timedelta

import sqlalchemy as sa
from confluent_kafka import Producer
from pydantic import SecretStr

from api.auth.principal import EVERY_TENANT
from api.auth.tokens import mint
from cli.embedded.apache_kafka import ApacheKafka
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.process import free_port
from config.settings import Auth
from lifecycle.kinds import BlacklistSource
from lifecycle.migrate import migrate
from lifecycle.seed import seed
from lifecycle.tables import workflow_blacklist

WORKFLOWS = 2_000
PARTITIONS = 4
_ANSWERED = re.compile(r"^breakwater_admissions_total\{.*\} (\S+)$", re.MULTILINE)
_PROPAGATION = re.compile(
    r'^breakwater_enforcement_propagation_seconds_(\w+)\{.*?(?:le="([^"]+)")?\} (\S+)$', re.MULTILINE
)


def given_workflows(engine: sa.Engine) -> None:
    """Live workflows of one tenant, of which one in twenty is blacklisted."""
    numbers = range(WORKFLOWS)
    with engine.begin() as connection:
        seed(
            connection,
            {
                "tenants": [{"id": "bench", "name": "Bench"}],
                "automations": [{"id": f"a{n}", "tenant_id": "bench", "name": f"Automation {n}"} for n in numbers],
                "automation_versions": [
                    {"id": f"v{n}", "tenant_id": "bench", "automation_id": f"a{n}", "version": 1, "status": "Live"}
                    for n in numbers
                ],
                "workflows": [{"workflow_id": f"w{n}", "tenant_id": "bench", "name": f"Workflow {n}"} for n in numbers],
                "workflow_bindings": [
                    {
                        "tenant_id": "bench",
                        "automation_version_id": f"v{n}",
                        "wrk_workflow_id": f"w{n}",
                        "status": "active",
                    }
                    for n in numbers
                ],
            },
        )
        connection.execute(
            sa.insert(workflow_blacklist),
            [
                {
                    "tenant_id": "bench",
                    "workflow_id": f"w{n}",
                    "workflow_name": f"Workflow {n}",
                    "source": BlacklistSource.MANUAL,
                    "reason": "manual:benchmark",
                    "blacklisted_by": "benchmark",
                }
                for n in numbers[::20]
            ],
        )
        # As the server does by itself within a minute.
        connection.exec_driver_sql("ANALYZE")


def request(number: int) -> dict[str, str]:
    """A request of its own key."""
    return {"workflow_id": f"w{number % WORKFLOWS}", "trigger": "schedule", "idempotency_key": f"k{number}"}


def measure_stream(database: str, count: int, gates: int) -> None:
    """Answer what stands in the topic, by so many gates, and print the rate."""
    with ApacheKafka() as broker:
        environment = os.environ | {
            "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "BREAKWATER_POSTGRES__URL": database,
        }
        command = [sys.executable, "-m", "cli", "init-topics", "--partitions", str(PARTITIONS)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        for number in range(count):
            asked = request(number)
            value = json.dumps({"tenant_id": "bench", **asked, "payload": {"invoice": number}})
            producer.produce("execution_requests", value, asked["workflow_id"])
            producer.poll(0)
        assert producer.flush(60) == 0
        ports = [free_port() for _ in range(gates)]
        running = [
            subprocess.Popen([sys.executable, "-m", "cli", "gate", "--metrics-port", str(port)], env=environment)
            for port in ports
        ]
        try:
            rate = _rate(ports, count)
            print(f"stream, {gates} gates: {rate:,.0f} requests/s of {count:,}; {_propagation(ports[0])}", flush=True)
        finally:
            for gate in running:
                gate.terminate()
            for gate in running:
                gate.wait()


def _rate(ports: list[int], count: int) -> float:
    """Requests a second between the first look that shows any and the one that shows all."""
    first: tuple[float, float] | None = None
    while True:
        time.sleep(0.1)
        try:
            pages = "\n".join(map(_page, ports))
        except OSError:
            continue
        now, answered = time.monotonic(), sum(map(float, _ANSWERED.findall(pages)))
        if answered and first is None:
            first = now, answered
        if answered >= count:
            assert first is not None
            return (answered - first[1]) / (now - first[0])


def _page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        return str(response.read().decode())


def _propagation(port: int) -> str:
    """How late a block could reach the gate while it was measured, by the histogram's edges."""
    buckets = [(edge, float(value)) for kind, edge, value in _PROPAGATION.findall(_page(port)) if kind == "bucket"]
    total = buckets[-1][1]
    at = {share: next(edge for edge, value in buckets if value >= share * total) for share in (0.5, 0.99, 1)}
    return "a block reaches it within " + ", ".join(f"{edge} s (p{share * 100:g})" for share, edge in at.items())


async def ask_all_out(port: int, token: str, connections: int, seconds: float) -> tuple[int, list[float]]:
    """Ask over so many connections; how many were answered, and how long each took."""
    numbers = iter(range(10**9))
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            body = json.dumps(request(next(numbers))).encode()
            head = (
                f"POST /v1/executions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            began = time.perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
            assert length is not None
            await reader.readexactly(int(length[1]))
            assert answer.startswith((b"HTTP/1.1 201", b"HTTP/1.1 409")), answer
            latencies.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    return len(latencies), sorted(latencies)


def measure_http(database: str, connections: int, seconds: float) -> None:
    """Ask one server process, and print the rate."""
    key = secrets.token_hex(32)
    token = mint(
        Auth(development_key=SecretStr(key)),
        subject="service:benchmark", roles=[], tenant_id=None, tenants=EVERY_TENANT, lifetime=timedelta(hours=1),
    )  # fmt: skip
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "cli", "api", "--only-ingest", "--port", str(port)],
        env=os.environ | {"BREAKWATER_AUTH__DEVELOPMENT_KEY": key, "BREAKWATER_POSTGRES__URL": database},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert server.stdout is not None
        server.stdout.readline()
        while True:
            try:
                _page(port)
            except OSError:
                time.sleep(0.1)
            else:
                break
        asyncio.run(ask_all_out(port, token, connections, 2))  # warm
        count, latencies = asyncio.run(ask_all_out(port, token, connections, seconds))
        p50, p99 = (latencies[int(count * share)] * 1000 for share in (0.5, 0.99))
        rate = count / seconds
        print(f"http: {rate:,.0f} requests/s over {connections} connections, p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=300_000)
    options.add_argument("--seconds", type=float, default=15)
    options.add_argument("--connections", type=int, default=64)
    options.add_argument("--gates", type=int, default=2)
    options.add_argument("--only", choices=["stream", "http"])
    chosen = options.parse_args()
    with EmbeddedPostgres() as postgres:
        for name in [chosen.only] if chosen.only else ["stream", "http"]:
            postgres.create_database(name)
            migrate(postgres.url(name))
            engine = sa.create_engine(postgres.url(name), poolclass=sa.NullPool)
            given_workflows(engine)
            if name == "stream":
                measure_stream(postgres.url(name), chosen.requests, chosen.gates)
            else:
                measure_http(postgres.url(name), chosen.connections, chosen.seconds)


if __name__ == "__main__":
    main()
