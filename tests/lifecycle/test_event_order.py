"""Events of one version arrive in the order of their commits, once each, whatever fails on the way (30.3)."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import groupby, pairwise

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import WORKER
from lifecycle.delivery import Publisher
from lifecycle.jobs import Backoff, WorkerTiming, build_app, conninfo_of, run_worker
from lifecycle.moves import Move
from lifecycle.outbox import OutboxEvent
from lifecycle.statuses import Operation, Status
from lifecycle.transitions import move_version
from lifecycle.versions import lock_version
from tests.lifecycle.given import given_world, rows
from tests.lifecycle.worker import OPTIONS, PATIENT, run_jobs


def toggle(engine: sa.Engine, tenant_id: str, version_id: str) -> None:
    """Pause a version that is live, resume one that is paused."""
    with engine.begin() as connection:
        version = lock_version(connection, tenant_id, version_id)
        assert version is not None
        live = version.status is Status.LIVE
        move = Move(
            operation=Operation.PAUSE if live else Operation.RESUME,
            target=Status.PAUSED if live else Status.LIVE,
            columns={},
            reason_code="asked",
        )
        move_version(connection, version, move, actor_context=WORKER, options=OPTIONS)


class Topic(list[OutboxEvent]):
    """Takes events, but not each at the first time: every third call fails, before or after it has taken one."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __call__(self, event: OutboxEvent) -> None:
        self.calls += 1
        if self.calls % 6 == 3:
            raise ConnectionError
        self.append(event)
        if self.calls % 6 == 0:
            raise ConnectionError  # taken, and nobody heard of it


def assert_in_commit_order(engine: sa.Engine, published: list[OutboxEvent], versions: tuple[str, ...]) -> None:
    """What was published first of each event is the order of the outbox, which is a legal path."""
    first = list({event.event_id: event for event in published}.values())
    for version_id in versions:
        of_version = [event for event in first if event.subject == version_id]
        stored = sorted(rows(engine, tables.outbox_events, subject=version_id), key=lambda row: row["sequence"])
        assert [event.event_id for event in of_version] == [row["event_id"] for row in stored]
        path = [(event.payload["from"], event.payload["to"]) for event in of_version]
        assert all(step[1] == following[0] for step, following in pairwise(path))
        times = [event.occurred_at for event in of_version]
        assert times == sorted(set(times))
    # A repeat comes at once, never after a later event of its version.
    for version_id in versions:
        order = [id_ for id_, _ in groupby(event.event_id for event in published if event.subject == version_id)]
        assert len(order) == len(set(order))


def test_many_writers_failing_deliveries_and_two_workers_keep_each_versions_order(engine: sa.Engine) -> None:
    given_world(engine)
    versions = (("t1", "v1"), ("t2", "v2"))
    topic = Topic()
    timing = WorkerTiming(events=Backoff(tries=None, first=timedelta(milliseconds=20), longest=timedelta(seconds=0.1)))
    url = conninfo_of(engine.url.render_as_string(hide_password=False))
    apps = [build_app(url, engine, {}, topic, timing, OPTIONS) for _ in range(2)]

    def write(number: int) -> None:
        for _ in range(8):
            toggle(engine, *versions[number % 2])

    def all_published() -> bool:
        with engine.connect() as connection:
            left = sa.select(sa.func.count()).where(tables.outbox_events.c.published_at.is_(None))
            return connection.execute(left).scalar_one() == 0

    async def until_all_published() -> None:
        working = [asyncio.create_task(run_worker(app, timing, with_events=True)) for app in apps]
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(4) as writers:
            await asyncio.gather(*(loop.run_in_executor(writers, write, number) for number in range(4)))
        await asyncio.to_thread(wait_until, all_published)
        for worker in working:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker

    asyncio.run(until_all_published())
    assert len(rows(engine, tables.outbox_events)) == 32
    assert len({event.event_id for event in topic}) == 32
    assert_in_commit_order(engine, topic, ("v1", "v2"))


def test_an_event_that_waits_for_its_retry_is_not_overtaken(engine: sa.Engine) -> None:
    given_world(engine)
    for tenant_id, version_id in [("t1", "v1"), ("t1", "v1"), ("t2", "v2"), ("t1", "v1")]:
        toggle(engine, tenant_id, version_id)
    first, *_ = sorted(rows(engine, tables.outbox_events), key=lambda row: row["sequence"])
    published: list[OutboxEvent] = []
    away = True

    def publish(event: OutboxEvent) -> None:
        if away and event.event_id == first["event_id"]:
            raise ConnectionError
        published.append(event)

    in_an_hour = WorkerTiming(events=Backoff(tries=None, first=timedelta(hours=1), longest=timedelta(hours=1)))
    run_events(engine, publish, in_an_hour)
    assert [event.subject for event in published] == ["v2"]  # the other version does not wait
    away = False
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE procrastinate_jobs SET scheduled_at = NULL")
    run_jobs(engine, {}, publish=publish, timing=PATIENT)
    assert_in_commit_order(engine, published, ("v1", "v2"))
    assert len(published) == 4


def wait_until(claim: Callable[[], bool], patience: float = 60) -> None:
    """Wait until a claim holds, or fail."""
    deadline = time.monotonic() + patience
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def run_events(engine: sa.Engine, publish: Publisher, timing: WorkerTiming) -> None:
    """Run one worker until it finds nothing that it may take."""
    url = conninfo_of(engine.url.render_as_string(hide_password=False))
    asyncio.run(run_worker(build_app(url, engine, {}, publish, timing, OPTIONS), timing, with_events=True, wait=False))
