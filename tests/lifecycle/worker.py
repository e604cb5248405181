"""Blocks to tell of, and workers that run until nothing is due."""

import asyncio
from datetime import timedelta

import sqlalchemy as sa

from lifecycle.actors import MONITOR
from lifecycle.blocking import request_block_for_credentials
from lifecycle.channels import Senders
from lifecycle.delivery import Publisher
from lifecycle.guard.arithmetic import GuardPolicy
from lifecycle.jobs import Backoff, WorkerTiming, build_app, conninfo_of, run_worker
from lifecycle.options import LifecycleOptions
from lifecycle.outages import Breaker

AT_ONCE = timedelta(0)
OPTIONS = LifecycleOptions(
    ops_email="ops@breakwater.example",
    public_url="https://bw.example",
    guard=GuardPolicy(client_mail_delay=AT_ONCE),
)
NEVER_LEFT_ALONE = Breaker(failures=1000)
PATIENT = WorkerTiming(
    breaker=NEVER_LEFT_ALONE,
    notifications=Backoff(tries=3, first=AT_ONCE, longest=AT_ONCE),
    events=Backoff(tries=None, first=AT_ONCE, longest=AT_ONCE),
)


def given_block(
    engine: sa.Engine, *versions: tuple[str, str], decision: int = 1, options: LifecycleOptions = OPTIONS
) -> None:
    """Blocked versions, one transaction each."""
    for number, (tenant_id, version_id) in enumerate(versions or (("t1", "v1"),)):
        with engine.begin() as connection:
            request_block_for_credentials(
                connection,
                tenant_id=tenant_id,
                automation_version_id=version_id,
                actor_context=MONITOR,
                failed_systems=["crm", "mail"],
                policy_id="auth_failures",
                decision_id=f"00000000-0000-5000-8000-{decision + number:012}",
                options=options,
            )


def run_jobs(
    engine: sa.Engine,
    senders: Senders,
    *,
    publish: Publisher | None = None,
    timing: WorkerTiming = PATIENT,
    options: LifecycleOptions = OPTIONS,
) -> None:
    """Run workers until nothing is due; one stops at the first moment without a job that it may take."""
    url = engine.url.render_as_string(hide_password=False)
    tasks = ["deliver_notification", "export_baselines", "archive_reviews"]
    tasks += [] if publish is None else ["publish_event"]
    while True:
        app = build_app(conninfo_of(url), engine, senders, publish, timing, options)
        asyncio.run(run_worker(app, timing, with_events=publish is not None, wait=False))
        with engine.connect() as connection:
            due = connection.execute(
                sa.text(
                    "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND task_name = ANY(:tasks)"
                    " AND coalesce(scheduled_at, now()) <= now()"
                ),
                {"tasks": tasks},
            ).scalar_one()
        if not due:
            return


def jobs(engine: sa.Engine, task: str) -> list[str]:
    """The statuses of a task's jobs."""
    with engine.connect() as connection:
        return list(
            connection.execute(
                sa.text("SELECT status::text FROM procrastinate_jobs WHERE task_name = :task ORDER BY id"),
                {"task": task},
            ).scalars()
        )
