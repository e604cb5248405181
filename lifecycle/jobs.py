"""The worker's jobs on procrastinate: deliveries, events, and the care of the queue itself."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

import procrastinate
import sqlalchemy as sa
from procrastinate import builtin_tasks, jobs, retry, signals
from procrastinate.exceptions import UniqueViolation

from lifecycle.channels import Senders
from lifecycle.delivery import Delivering, Publisher, Tried, deliver_notification, publish_event
from lifecycle.kinds import DeliveryOutcome
from lifecycle.notion.schedule import NOTION_QUEUE, add_notion_schedule
from lifecycle.notion.sync import NotionSync
from lifecycle.options import LifecycleOptions
from lifecycle.outages import Breaker
from lifecycle.outbox import (
    DELIVER_NOTIFICATION,
    EVENTS_QUEUE,
    NOTIFICATIONS_QUEUE,
    PUBLISH_EVENT,
    SCHEDULES_QUEUE,
)
from lifecycle.platform import Platform
from lifecycle.schedules import PLATFORM_QUEUE, add_schedules
from lifecycle.storm import StormPolicy

MAINTENANCE_QUEUE = "maintenance"

_NOTIFICATIONS_AT_ONCE = 5
_EVENTS_AT_ONCE = 1
#: A review of a large ledger must not keep incidents from ending.
_SCHEDULES_AT_ONCE = 4

#: New jobs are announced; those whose time has come are looked for.
_LOOK_FOR_DUE_JOBS = timedelta(seconds=1)

#: A finished job is of no use but to the curious.
_KEEP_JOBS = timedelta(days=3)


class TryAgain(Exception):  # noqa: N818  (it is a request, not an error)
    """A delivery did not succeed and another try is due. The try itself is recorded already."""

    def __init__(self, tried: Tried) -> None:
        super().__init__()
        self.tried = tried


class GivenUp(Exception):  # noqa: N818
    """The last try has failed too. The queue keeps the job as failed: its dead letter."""


class WorkerEndedError(Exception):
    """A part of the worker ended that nobody had asked to: its tables or its connection are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff(retry.BaseRetryStrategy):
    """Wait `first`, then twice as long each time, at most `longest`; `tries` None never gives up.

    A job ends as failed only by `GivenUp`, when the row that it is about says so too. What else goes wrong, even
    in the last try (the database was away), is tried again, or the row would wait for ever.
    """

    tries: int | None
    first: timedelta
    longest: timedelta

    def get_retry_decision(self, *, exception: BaseException, job: jobs.Job) -> retry.RetryDecision | None:
        """When to run a failed job again; None when it stays failed."""
        if isinstance(exception, GivenUp):
            return None
        wait = self.wait_after(exception.tried) if isinstance(exception, TryAgain) else self._wait(job.attempts)
        return retry.RetryDecision(retry_in={"milliseconds": wait // timedelta(milliseconds=1)})

    def wait_after(self, tried: Tried) -> timedelta:
        """How long to wait after one run: at least as long as the server, or the channel's pause, asks for."""
        at_least = tried.wait or timedelta(0)
        return at_least if tried.outcome is None else max(at_least, self._wait(tried.attempt - 1))

    def _wait(self, tries_before: int) -> timedelta:
        return min(self.longest, self.first * 2.0 ** min(tries_before, 32))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTiming:
    """How patient the worker is."""

    #: A day and a half of tries for a notification: 5 s, 10 s, 20 s, … at most 4 h apart.
    notifications: Backoff = Backoff(tries=20, first=timedelta(seconds=5), longest=timedelta(hours=4))
    #: Events wait for their broker as long as it takes.
    events: Backoff = Backoff(tries=None, first=timedelta(seconds=1), longest=timedelta(minutes=5))
    breaker: Breaker = field(default_factory=Breaker)
    storm: StormPolicy = field(default_factory=StormPolicy)
    heartbeat: timedelta = timedelta(seconds=10)
    #: Without a heartbeat for so long a worker is dead, and its jobs are another's. Many heartbeats long: a short
    #: one makes a second worker start what the first still does.
    stalled_after: timedelta = timedelta(seconds=60)

    @property
    def rescue_schedule(self) -> str:
        """When jobs of the dead are looked for: a third as often as they can be; six fields, the last is seconds."""
        return f"* * * * * */{max(1, min(30, self.stalled_after // timedelta(seconds=3)))}"


def build_app(
    conninfo: str,
    engine: sa.Engine,
    senders: Senders,
    publish: Publisher | None,
    timing: WorkerTiming,
    options: LifecycleOptions,
    platform: Platform | None = None,
    notion: NotionSync | None = None,
) -> procrastinate.App:
    """The worker's application. Without `publish` events stay in the outbox until a worker that has one comes.

    Without `platform` what was asked of it and never settled waits for a worker that has one, too.
    """
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))

    assert timing.notifications.tries is not None
    delivering = Delivering(
        engine=engine,
        senders=senders,
        options=options,
        breaker=timing.breaker,
        tries=timing.notifications.tries,
        storm=timing.storm,
    )

    @app.task(name=DELIVER_NOTIFICATION, queue=NOTIFICATIONS_QUEUE, retry=timing.notifications)
    def deliver(*, notification_id: str) -> None:
        tried = deliver_notification(delivering, notification_id)
        if tried is None or tried.outcome is DeliveryOutcome.DELIVERED:
            return
        if tried.outcome is DeliveryOutcome.FAILED:
            raise GivenUp
        raise TryAgain(tried)

    if publish is not None:

        @app.task(name=PUBLISH_EVENT, queue=EVENTS_QUEUE, retry=timing.events)
        def publish_one(*, event_id: str) -> None:
            publish_event(engine, event_id, publish)

    add_schedules(app, engine, platform, options)
    if notion is not None:
        add_notion_schedule(app, notion)

    # No `lock`: a lock that its dead holder never gave back would stop the rescue itself.
    @app.periodic(cron=timing.rescue_schedule)
    @app.task(name="rescue_stalled_jobs", queue=MAINTENANCE_QUEUE, queueing_lock="rescue_stalled_jobs")
    async def rescue_stalled_jobs(timestamp: int) -> None:  # noqa: ARG001  (the queue's signature)
        stalled = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=timing.stalled_after.total_seconds())
        for job in stalled:
            try:
                await app.job_manager.retry_job(job)
            except UniqueViolation:
                # A job of the clock, whose next run waits already and does what this one did not.
                await app.job_manager.finish_job(job, jobs.Status.ABORTED, delete_job=True)

    @app.periodic(cron="17 4 * * *")
    @app.task(
        name="remove_finished_jobs", queue=MAINTENANCE_QUEUE, queueing_lock="remove_finished_jobs", pass_context=True
    )
    async def remove_finished_jobs(context: procrastinate.JobContext, timestamp: int) -> None:  # noqa: ARG001
        await builtin_tasks.remove_old_jobs(context, max_hours=round(_KEEP_JOBS / timedelta(hours=1)))

    return app


async def run_worker(app: procrastinate.App, timing: WorkerTiming, *, with_events: bool, wait: bool = True) -> None:
    """Work until SIGTERM or SIGINT, finishing what is under way; with `wait` False, until nothing is due.

    Events have a place of their own: while their broker is away they don't hold up the mail. Needs the main
    thread, for the signals. `WorkerEndedError` when it ends for another reason.
    """
    places: dict[tuple[str, ...], int] = {
        (NOTIFICATIONS_QUEUE, MAINTENANCE_QUEUE): _NOTIFICATIONS_AT_ONCE,
        (SCHEDULES_QUEUE,): _SCHEDULES_AT_ONCE,
    }
    if with_events:
        places[EVENTS_QUEUE,] = _EVENTS_AT_ONCE
    used = {task.queue for task in app.tasks.values()}
    places |= {(queue,): 1 for queue in (PLATFORM_QUEUE, NOTION_QUEUE) if queue in used}
    # Each job that runs has a thread; the loop's own pool may be smaller.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(sum(places.values()), "job"))
    workers: list[asyncio.Task[None]] = []
    asked = False

    def stop() -> None:
        nonlocal asked
        asked = True
        for worker in workers:
            if not worker.cancelling():  # a second time would not let it finish its jobs
                worker.cancel()

    async with app.open_async(), asyncio.TaskGroup() as group:
        with signals.on_stop(stop):
            workers += [
                group.create_task(
                    app.run_worker_async(
                        queues=list(queues),
                        concurrency=concurrency,
                        wait=wait,
                        shutdown_graceful_timeout=20,
                        fetch_job_polling_interval=_LOOK_FOR_DUE_JOBS.total_seconds(),
                        install_signal_handlers=False,
                        update_heartbeat_interval=timing.heartbeat.total_seconds(),
                        stalled_worker_timeout=timing.stalled_after.total_seconds(),
                    )
                )
                for queues, concurrency in places.items()
            ]
            # One that ends by itself has lost its connection or the like: the process ends, to be started again.
            await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED if wait else asyncio.ALL_COMPLETED)
            by_itself = wait and not asked
            stop()
    if by_itself:
        raise WorkerEndedError


def conninfo_of(url: str) -> str:
    """SQLAlchemy's address as libpq writes it."""
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
