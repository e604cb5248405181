"""What the worker does by the clock, besides the care of its queue: incidents, intents, cases, health, reviews."""

from datetime import UTC, datetime

import procrastinate
import sqlalchemy as sa

from config.metrics import CREDIT_CASES_OVERDUE
from lifecycle.actors import WORKER
from lifecycle.admission.retention import forget_answers
from lifecycle.credits.baseline_file import export_baselines
from lifecycle.credits.baselines import EXPORT_BASELINES
from lifecycle.credits.calendar_jobs import run_due_job
from lifecycle.credits.evidence_hygiene import repeat_failed_attempts
from lifecycle.credits.health import read_credit_health, tell_of_faults
from lifecycle.credits.job_records import forget_webhooks
from lifecycle.credits.response_clocks import escalate_overdue_cases
from lifecycle.credits.review_archive import ARCHIVE_REVIEWS, archive_reviews
from lifecycle.credits.weekly_jobs import weekly_jobs
from lifecycle.guard.incidents import end_quiet_incidents
from lifecycle.kinds import CreditJob
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import SCHEDULES_QUEUE
from lifecycle.platform import Platform
from lifecycle.sweep import sweep_intents

#: By itself, so that a platform that hangs keeps nothing else from its time.
PLATFORM_QUEUE = "platform"

#: Twice a minute; six fields, the last is seconds.
_OFTEN = "* * * * * */30"
_HOURLY = "17 * * * *"

#: After 5 s, 10 s, 15 s, … for about a day.
_AGAIN = procrastinate.RetryStrategy(max_attempts=180, linear_wait=5)


def add_schedules(
    app: procrastinate.App, engine: sa.Engine, platform: Platform | None, options: LifecycleOptions
) -> None:
    """Add the periodic jobs. One run of each waits at a time; any number of them may be under way at once."""

    @app.periodic(cron=_OFTEN)
    @app.task(name="end_quiet_incidents", queue=SCHEDULES_QUEUE, queueing_lock="end_quiet_incidents")
    def end_quiet(timestamp: int) -> None:  # noqa: ARG001  (the queue's signature)
        with engine.begin() as connection:
            end_quiet_incidents(connection, actor_context=WORKER, options=options)

    @app.periodic(cron=_OFTEN)
    @app.task(name="escalate_overdue_cases", queue=SCHEDULES_QUEUE, queueing_lock="escalate_overdue_cases")
    def escalate(timestamp: int) -> None:  # noqa: ARG001
        with engine.begin() as connection:
            overdue = escalate_overdue_cases(connection, actor_context=WORKER, options=options)
        for severity in overdue:
            CREDIT_CASES_OVERDUE.labels(severity).inc()

    @app.periodic(cron=_OFTEN)
    @app.task(name="repeat_failed_attempts", queue=SCHEDULES_QUEUE, queueing_lock="repeat_failed_attempts")
    def repeat_attempts(timestamp: int) -> None:  # noqa: ARG001
        with engine.begin() as connection:
            repeat_failed_attempts(connection, actor_context=WORKER)

    @app.periodic(cron=_HOURLY)
    @app.task(name="check_credit_health", queue=SCHEDULES_QUEUE, queueing_lock="check_credit_health")
    def check_credits(timestamp: int) -> None:  # noqa: ARG001
        with engine.begin() as connection:
            tell_of_faults(connection, read_credit_health(connection), options=options)

    # Looked at often, due weekly: a tick that nobody was there for is made up for.
    weekly = weekly_jobs(options)

    @app.periodic(cron=_OFTEN)
    @app.task(name="update_baselines", queue=SCHEDULES_QUEUE, queueing_lock="update_baselines")
    def update_baselines(timestamp: int) -> None:  # noqa: ARG001
        job = CreditJob.UPDATE_BASELINES
        run_due_job(engine, job, weekly[job], now=datetime.now(UTC), options=options)

    @app.periodic(cron=_OFTEN)
    @app.task(name="weekly_review", queue=SCHEDULES_QUEUE, queueing_lock="weekly_review")
    def weekly_review(timestamp: int) -> None:  # noqa: ARG001
        job = CreditJob.WEEKLY_REVIEW
        run_due_job(engine, job, weekly[job], now=datetime.now(UTC), options=options)

    # Put into the queue by each transaction that changes a baseline.
    @app.task(name=EXPORT_BASELINES, queue=SCHEDULES_QUEUE, retry=_AGAIN)
    def export() -> None:
        with engine.begin() as connection:
            export_baselines(connection, options.baselines_path)

    # Put into the queue with the reviews; what a day of tries did not archive, or was made before there was an archive,
    # is tried each hour.
    @app.task(name=ARCHIVE_REVIEWS, queue=SCHEDULES_QUEUE, retry=_AGAIN)
    def archive() -> None:
        archive_reviews(engine, options)

    @app.periodic(cron=_HOURLY)
    @app.task(name="archive_reviews_left", queue=SCHEDULES_QUEUE, queueing_lock="archive_reviews_left")
    def archive_left(timestamp: int) -> None:  # noqa: ARG001
        archive_reviews(engine, options)

    @app.periodic(cron=_HOURLY)
    @app.task(name="forget_answers", queue=SCHEDULES_QUEUE, queueing_lock="forget_answers")
    def forget(timestamp: int) -> None:  # noqa: ARG001
        forget_answers(engine, options.answers_kept)
        forget_webhooks(engine)

    if platform is not None:

        @app.periodic(cron=_OFTEN)
        @app.task(name="sweep_intents", queue=PLATFORM_QUEUE, queueing_lock="sweep_intents")
        def sweep(timestamp: int) -> None:  # noqa: ARG001
            sweep_intents(engine.begin, platform, options=options)
