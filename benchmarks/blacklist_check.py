"""Measure what "is it blacklisted?" costs, and how soon a change is seen in every process (spec 40.3, 90).

`python -m benchmarks.blacklist_check` starts a PostgreSQL and a Redis of its own. First one store is asked a million
times from memory, then through Redis and through Postgres. Then `--processes` processes ask without a break while a
workflow is put on the list and taken off again; propagation is the time from the commit to the first answer that knows
of it, in each process. Again with Redis dead, and with the leading relay killed. Bars: microseconds; 1 s.
"""

import argparse
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import sqlalchemy as sa

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.redis import EmbeddedRedis
from lifecycle import tables
from lifecycle.breaker.blacklist_store import BlacklistStore
from lifecycle.breaker.invalidation import announce
from lifecycle.migrate import migrate
from lifecycle.seed import seed

TENANT, WORKFLOW = "bench", "hangs"
#: Others that are on the list all the time.
OTHERS = 1_000


def main() -> None:
    """Measure, and print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--changes", type=int, default=200)
    arguments = parser.parse_args()
    with EmbeddedPostgres() as postgres, EmbeddedRedis() as redis:
        postgres.create_database("bench")
        url = postgres.url("bench")
        migrate(url)
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            seed(connection, {"tenants": [{"id": TENANT, "name": "Bench"}]})
            put_on(connection, *(f"other{number}" for number in range(OTHERS)))
        ask_alone(engine, redis)
        print(f"{arguments.processes} processes, {arguments.changes} changes, {OTHERS} others on the list")
        with asking(arguments.processes, url, redis.url()) as processes:
            propagate("with Redis", engine, processes, arguments.changes)
            # Whichever of them leads, it is among these.
            for process, _ in processes[: len(processes) // 2]:
                os.kill(process.pid or 0, signal.SIGKILL)
            alive = processes[len(processes) // 2 :]
            propagate("first change after half of them were killed", engine, alive, 1)
            propagate("the others", engine, alive, arguments.changes // 4)
            redis.kill()
            propagate("first change after Redis was killed", engine, alive, 1)
            propagate("without Redis", engine, alive, arguments.changes // 4)


def put_on(connection: sa.Connection, *workflows: str) -> None:
    """Put workflows on the list, and tell of it."""
    connection.execute(
        sa.insert(tables.workflow_blacklist),
        [
            {
                "tenant_id": TENANT,
                "workflow_id": workflow,
                "workflow_name": workflow,
                "source": "manual",
                "reason": "manual:benchmark",
                "blacklisted_by": "benchmark",
            }
            for workflow in workflows
        ],
    )
    announce(connection, TENANT, workflows[0])


def take_off(connection: sa.Connection) -> None:
    """Take the workflow off again."""
    table = tables.workflow_blacklist
    connection.execute(
        sa.update(table)
        .where(table.c.workflow_id == WORKFLOW, table.c.removed_at.is_(None))
        .values(removed_at=sa.func.now(), removed_by="benchmark")
    )
    announce(connection, TENANT, WORKFLOW)


def ask_alone(engine: sa.Engine, redis: EmbeddedRedis) -> None:
    """One process, each way to an answer."""
    store = BlacklistStore(engine, None)
    report("through Postgres", [timed(store, "x") for _ in range(2_000)])
    with running(engine, redis.url()) as leader:
        cold = BlacklistStore(engine, redis.url())
        time.sleep(1)
        report("through Redis", [timed(cold, "x") for _ in range(5_000)])
        report("from memory, not on the list", [timed(leader, "x") for _ in range(1_000_000)])
        report("from memory, on the list", [timed(leader, "other7") for _ in range(1_000_000)])


def timed(store: BlacklistStore, workflow: str) -> float:
    """Seconds for one answer, the clock's own included."""
    begun = time.perf_counter()
    store.is_blacklisted(TENANT, workflow)
    return time.perf_counter() - begun


@contextmanager
def running(engine: sa.Engine, redis_url: str) -> Iterator[BlacklistStore]:
    """A store that keeps its copy."""
    store = BlacklistStore(engine, redis_url)
    store.start()
    try:
        yield store
    finally:
        store.close()


Asking = tuple[multiprocessing.process.BaseProcess, Connection]


@contextmanager
def asking(number: int, url: str, redis_url: str) -> Iterator[list[Asking]]:
    """Processes that ask without a break, and say when the answer changes."""
    spawn = multiprocessing.get_context("spawn")
    made: list[Asking] = []
    for _ in range(number):
        here, there = spawn.Pipe()
        process = spawn.Process(target=ask_on, args=(url, redis_url, there), daemon=True)
        process.start()
        made.append((process, here))
    for _, here in made:
        here.recv()
    try:
        yield made
    finally:
        for asked, _ in made:
            asked.kill()
            asked.join()


def ask_on(url: str, redis_url: str, there: Connection) -> None:
    """What such a process does. The monotonic clock is the machine's, the same in all of them."""
    with running(sa.create_engine(url), redis_url) as store:
        time.sleep(2)
        known = store.is_blacklisted(TENANT, WORKFLOW)
        there.send(None)
        while True:
            answer = store.is_blacklisted(TENANT, WORKFLOW)
            if answer is not known:
                known = answer
                there.send((time.monotonic(), answer))
            time.sleep(0.0005)


def propagate(name: str, engine: sa.Engine, processes: list[Asking], changes: int) -> None:
    """Change, and wait until all have seen it; print the times from commit to each process's first new answer."""
    seconds: list[float] = []
    with engine.connect() as connection:
        for number in range(changes * 2):
            change: Callable[[sa.Connection], None] = take_off if number % 2 else _put_on
            with connection.begin():
                change(connection)
            committed = time.monotonic()
            for _, here in processes:
                if not here.poll(10):
                    raise SystemExit(f"{name}: a process has not seen a change for 10 s")
                at, answer = here.recv()
                assert answer is (number % 2 == 0)
                seconds.append(at - committed)
    report(f"seen, {name}", seconds, scale=1e3, unit="ms")


def _put_on(connection: sa.Connection) -> None:
    put_on(connection, WORKFLOW)


def report(name: str, seconds: list[float], *, scale: float = 1e6, unit: str = "µs") -> None:
    """One line: how many, median, 99th percentile, longest."""
    ordered = sorted(seconds)
    at = [ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1]]
    middle, high, longest = (f"{one * scale:,.2f} {unit}" for one in at)
    print(f"{name}: {len(ordered)} times, p50 {middle}, p99 {high}, longest {longest}", flush=True)


if __name__ == "__main__":
    main()
