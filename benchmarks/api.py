"""Measure the API over real sockets: what a change of status and a read cost, and how long they take at fixed rates.

`python -m benchmarks.api` starts PostgreSQL, Redis and `--servers`. First it changes statuses (pause, resume)
and reads single versions over a few connections as fast as they go: the processor's time of the server, of PostgreSQL
and of the client for each, which a busy machine says too. Then it asks at each of `--change-rates` and `--read-rates`
without waiting for slow ones (an open loop: latency counts from when a request was due). Bars: p99 under 50 ms at 100
changes a second, 1,000 reads a second (spec 90).
"""

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http.client import HTTPException
from itertools import count
from urllib.request import urlopen

import sqlalchemy as sa
import uvloop
from pydantic import SecretStr

from api.auth.tokens import mint
from benchmarks.lean_http import LeanClient
from benchmarks.processor_time import parent_of, processor_time
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.process import free_port
from cli.embedded.redis import EmbeddedRedis
from config.settings import Auth
from lifecycle.migrate import migrate
from lifecycle.seed import seed

VERSIONS = 200
#: Connections of the open loop: more than are ever under way at once while the server keeps up.
OPEN = 64

Ask = Callable[[LeanClient], Awaitable[int]]


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


def changes() -> Ask:
    """Pauses all versions one after another, then resumes them, and so on."""
    numbers = count()

    def change(client: LeanClient) -> Awaitable[int]:
        number = next(numbers)
        status = "Live" if number // VERSIONS % 2 else "Paused"
        body = json.dumps({"status": status, "reason": "benchmark"}).encode()
        return client.patch(f"/v1/automation-versions/v{number % VERSIONS}/status", body)

    return change


def reads() -> Ask:
    """Reads one version after another."""
    numbers = count()
    return lambda client: client.get(f"/v1/automation-versions/v{next(numbers) * 7 % VERSIONS}")


async def all_out(client: LeanClient, ask: Ask, connections: int, seconds: float) -> int:
    """How many were answered; `RuntimeError` for an answer that is none of the good ones."""
    until, done = time.perf_counter() + seconds, 0

    async def go_on() -> None:
        nonlocal done
        while time.perf_counter() < until:
            _expect_success(await ask(client))
            done += 1

    await asyncio.gather(*(go_on() for _ in range(connections)))
    return done


async def at_rate(client: LeanClient, ask: Ask, rate: float, seconds: float) -> list[float]:
    """Latencies in milliseconds, sorted, each from when it was due."""
    latencies: list[float] = []
    begun = time.perf_counter() + 0.1

    async def one(due: float) -> None:
        _expect_success(await ask(client))
        latencies.append((time.perf_counter() - due) * 1000)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = begun + number / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            group.create_task(one(due))
    return sorted(latencies)


def _expect_success(status: int) -> None:
    if status != 200:
        raise RuntimeError(f"answered {status}")


async def measure(
    ports: Sequence[int], token: str, processes: Mapping[str, Sequence[int]], arguments: argparse.Namespace
) -> None:
    """Ask, and print a line for each way of asking."""
    async with LeanClient(ports, token, connections=OPEN) as client:
        for name, ask, rates in (
            ("change", changes(), arguments.change_rates),
            ("read", reads(), arguments.read_rates),
        ):
            await all_out(client, ask, arguments.connections, 2)  # connections to the database, compiled statements
            before, begun = _worked(processes), time.perf_counter()
            done = await all_out(client, ask, arguments.connections, arguments.seconds)
            after, ended = _worked(processes), time.perf_counter()
            cost = {
                f"{who}_cpu_ms": round((after[who] - before[who]) / done * 1000, 2) for who in (*processes, "client")
            }
            print(json.dumps({"what": name, "per_second": round(done / (ended - begun)), **cost}), flush=True)
            for rate in rates:
                latencies = await at_rate(client, ask, rate, arguments.seconds)
                at = {share: latencies[int((len(latencies) - 1) * share)] for share in (0.5, 0.95, 0.99, 1)}
                shares = {f"p{share * 100:.0f}_ms": round(value, 1) for share, value in at.items()}
                print(json.dumps({"what": name, "rate": rate, **shares}), flush=True)


def _worked(processes: Mapping[str, Sequence[int]]) -> dict[str, float]:
    theirs = {who: sum(processor_time(process) for process in family) for who, family in processes.items()}
    return {**theirs, "client": time.process_time()}


@contextmanager
def serving(database: str, redis: str, key: str) -> Iterator[tuple[int, int]]:
    """A server with rates that nobody reaches; its process and its port."""
    limits = dict.fromkeys(("USER_LIMIT", "ADDRESS_LIMIT", "CHANGE_LIMIT"), "1000000/second")
    environment = {
        **os.environ,
        **{f"BREAKWATER_AUTH__{name}": value for name, value in limits.items()},
        "BREAKWATER_AUTH__DEVELOPMENT_KEY": key,
        "BREAKWATER_POSTGRES__URL": database,
        "BREAKWATER_REDIS__URL": redis,
    }
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "cli", "api", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/healthz")
        yield server.pid, port
    finally:
        server.terminate()
        server.wait()


def _wait_until_ready(url: str) -> None:
    for _ in range(600):
        try:
            with urlopen(url, timeout=5):
                return
        except (OSError, HTTPException):
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")


def main() -> None:
    """Start all, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--change-rates", type=float, nargs="*", default=[50, 100, 150])
    parser.add_argument("--read-rates", type=float, nargs="*", default=[500, 1000])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=4, help="for what is asked as fast as it goes")
    parser.add_argument("--servers", type=int, default=1, help="processes of the API, each on a port of its own")
    arguments = parser.parse_args()
    key = secrets.token_hex(32)
    token = mint(
        Auth(development_key=SecretStr(key)),
        subject="ada", roles=["admin"], tenant_id="bench", tenants=None, lifetime=timedelta(hours=1),
    )  # fmt: skip
    with ExitStack() as running:
        postgres, redis = running.enter_context(EmbeddedPostgres()), running.enter_context(EmbeddedRedis())
        postgres.create_database("api")
        database = postgres.url("api")
        migrate(database)
        engine = sa.create_engine(database, poolclass=sa.NullPool)
        given_versions(engine)
        with engine.connect() as connection:
            postmaster = parent_of(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())
        servers = [running.enter_context(serving(database, redis.url(), key)) for _ in range(arguments.servers)]
        processes = {"server": [process for process, _ in servers], "postgres": [postmaster]}
        uvloop.run(measure([port for _, port in servers], token, processes, arguments))


if __name__ == "__main__":
    main()
