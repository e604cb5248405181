"""Measure the API over real sockets: status changes at a fixed rate, and reads as fast as they go.

`python -m benchmarks.api` starts a PostgreSQL server of its own and one server process, changes statuses (pause,
resume) at `--rate` without waiting for slow ones (an open loop: latency counts from when a request was due), then
reads single versions over `--connections`. Bars: p99 under 50 ms at 100/s, 1,000 reads/s (spec 90).
"""

import argparse
import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from datetime import timedelta

import httpx2
import sqlalchemy as sa
from pydantic import SecretStr

from api.auth.tokens import mint
from cli.embedded.postgres import EmbeddedPostgres
from config.settings import Auth
from lifecycle.migrate import migrate
from lifecycle.seed import seed

VERSIONS = 200


def given_versions(engine: sa.Engine) -> None:
    """Live versions of one tenant, and an admin."""
    numbers = range(VERSIONS)
    with engine.begin() as connection:
        seed(
            connection,
            {
                "tenants": [{"id": "bench", "name": "Bench"}],
                "users": [{"id": "ada", "email": "ada@bench.example", "display_name": "Ada"}],
                "memberships": [{"tenant_id": "bench", "user_id": "ada", "roles": ["admin"]}],
                "contacts": [{"tenant_id": "bench", "name": "Bob", "email": "bob@bench.example"}],
                "automations": [{"id": f"a{n}", "tenant_id": "bench", "name": f"Automation {n}"} for n in numbers],
                "automation_versions": [
                    {"id": f"v{n}", "tenant_id": "bench", "automation_id": f"a{n}", "version": 1, "status": "Live"}
                    for n in numbers
                ],
            },
        )


async def change_at_rate(client: httpx2.AsyncClient, rate: float, seconds: float) -> list[float]:
    """Latencies in seconds, from when each change was due."""
    latencies: list[float] = []
    begun = time.perf_counter() + 0.1

    async def change(number: int) -> None:
        due = begun + number / rate
        await asyncio.sleep(max(0, due - time.perf_counter()))
        status = "Paused" if number // VERSIONS % 2 == 0 else "Live"
        answer = await client.patch(
            f"/v1/automation-versions/v{number % VERSIONS}/status", json={"status": status, "reason": "benchmark"}
        )
        if answer.is_success:
            latencies.append(time.perf_counter() - due)

    await asyncio.gather(*(change(number) for number in range(int(rate * seconds))))
    return sorted(latencies)


async def read_all_out(client: httpx2.AsyncClient, connections: int, seconds: float) -> float:
    """Reads a second."""
    until, done = time.perf_counter() + seconds, 0

    async def read(number: int) -> None:
        nonlocal done
        while time.perf_counter() < until:
            (await client.get(f"/v1/automation-versions/v{(number * 7 + done) % VERSIONS}")).raise_for_status()
            done += 1

    await asyncio.gather(*(read(number) for number in range(connections)))
    return done / seconds


async def measure(url: str, token: str, arguments: argparse.Namespace) -> None:
    """Run both and print."""
    limits = httpx2.Limits(max_connections=64)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30, limits=limits) as client:
        await change_at_rate(client, 20, VERSIONS / 20 * 2)  # warm, and all Live again
        latencies = await change_at_rate(client, arguments.rate, arguments.seconds)
        reads = await read_all_out(client, arguments.connections, arguments.seconds)
    at = {share: latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1000 for share in (0.5, 0.95, 0.99)}
    report = {
        "changes": len(latencies),
        "refused": int(arguments.rate * arguments.seconds) - len(latencies),
        "rate": arguments.rate,
        **{f"p{share * 100:.0f}_ms": round(value, 1) for share, value in at.items()},
        "max_ms": round(latencies[-1] * 1000, 1),
        "reads_per_second": round(reads),
    }
    print(json.dumps(report))


def main() -> None:
    """Start the server, measure, stop it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=8)
    arguments = parser.parse_args()
    key = secrets.token_hex(32)
    token = mint(
        Auth(development_key=SecretStr(key)),
        subject="ada", roles=["admin"], tenant_id="bench", tenants=None, lifetime=timedelta(hours=1),
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    limits = dict.fromkeys(("USER_LIMIT", "ADDRESS_LIMIT", "CHANGE_LIMIT"), "1000000000/minute")
    environment = {
        **os.environ,
        "BREAKWATER_AUTH__DEVELOPMENT_KEY": key,
        **{f"BREAKWATER_AUTH__{name}": value for name, value in limits.items()},
    }
    with EmbeddedPostgres() as postgres:
        postgres.create_database("api")
        database = postgres.url("api")
        migrate(database)
        engine = sa.create_engine(database, poolclass=sa.NullPool)
        given_versions(engine)
        server = subprocess.Popen(
            [sys.executable, "-m", "cli", "api", "--port", str(port)],
            env={**environment, "BREAKWATER_POSTGRES__URL": database},
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}")
            asyncio.run(measure(f"http://127.0.0.1:{port}", token, arguments))
        finally:
            server.terminate()
            server.wait()


def _wait_until_ready(url: str) -> None:
    for _ in range(300):
        try:
            if httpx2.get(f"{url}/healthz").is_success:
                return
        except httpx2.HTTPError:
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")


if __name__ == "__main__":
    main()
