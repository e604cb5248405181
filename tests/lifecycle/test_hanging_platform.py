"""A platform that hangs takes its own place of the worker, and none of what watches cases (30.5, 50.4)."""

import asyncio
import json
import threading
import time
from datetime import timedelta

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.jobs import build_app, conninfo_of, run_worker
from lifecycle.platform import PlatformError, PlatformFault, WorkflowState
from tests.lifecycle.cases_given import WITH_SLACK, apply, case, incident
from tests.lifecycle.given import given_world
from tests.lifecycle.worker import PATIENT

#: More than the worker has places for all that it does by the clock.
MANY = 6


class HangingPlatform:
    """Answers nobody until it is over."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.over = threading.Event()

    def activate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """Hang."""
        self._hang()

    def deactivate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """Hang."""
        self._hang()

    def read_state(self, workflow_id: str) -> WorkflowState | None:
        """Hang."""
        self._hang()
        return None

    def _hang(self) -> None:
        self.asked.set()
        self.over.wait()
        raise PlatformError(PlatformFault.TIMED_OUT)


def given_intents(engine: sa.Engine) -> None:
    """Questions to the platform that were never settled, each of a version of its own."""
    numbers = range(2, 2 + MANY)
    given_world(
        engine,
        automation_versions=[
            {
                "id": f"v1-{number}",
                "tenant_id": "t1",
                "automation_id": "a1",
                "version": number,
                "status": "Build in Progress",
            }
            for number in numbers
        ],
    )
    with engine.begin() as connection:
        for number in numbers:
            connection.execute(
                sa.insert(tables.platform_intents).values(
                    tenant_id="t1",
                    automation_version_id=f"v1-{number}",
                    kind="archive",
                    wrk_workflow_id=f"wf-{number}",
                    idempotency_key=f"key-{number}",
                    actor="u9",
                    next_attempt_at=sa.func.now() - timedelta(minutes=1),
                )
            )


def defer(engine: sa.Engine, queue: str, task: str, times: int) -> None:
    """Have the worker do what it does by the clock, as often as if the clock had gone on meanwhile."""
    with engine.begin() as connection:
        for _ in range(times):
            connection.execute(
                sa.text(
                    "INSERT INTO procrastinate_jobs (task_name, queue_name, args)"
                    " VALUES (:task, :queue, CAST(:args AS jsonb))"
                ),
                {"task": task, "queue": queue, "args": json.dumps({"timestamp": 0})},
            )


def test_a_platform_that_hangs_keeps_no_case_from_being_escalated(engine: sa.Engine) -> None:
    given_intents(engine)
    apply(engine, incident("SEV1"))
    with engine.begin() as connection:
        connection.execute(sa.update(tables.credit_cases).values(acknowledge_by=sa.func.now() - timedelta(hours=1)))
    platform = HangingPlatform()
    url = conninfo_of(engine.url.render_as_string(hide_password=False))
    app = build_app(url, engine, {}, None, PATIENT, WITH_SLACK, platform)
    defer(engine, app.tasks["sweep_intents"].queue, "sweep_intents", MANY)

    def wait_until_escalated() -> bool:
        assert platform.asked.wait(60), "the platform was not asked"
        defer(engine, app.tasks["escalate_overdue_cases"].queue, "escalate_overdue_cases", 1)
        deadline = time.monotonic() + 60
        while case(engine)["escalated_at"] is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return case(engine)["escalated_at"] is not None

    async def work() -> bool:
        working = asyncio.create_task(run_worker(app, PATIENT, with_events=False))
        escalated = await asyncio.to_thread(wait_until_escalated)
        platform.over.set()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return escalated

    assert asyncio.run(work()), "nobody was told of the case while the platform hung"
