"""Weekly jobs: once a tick, three tries, a time-out, told of when they fail (50.3, 50.6, 50.8)."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.calendar import CALENDAR, last_tick
from lifecycle.credits.calendar_jobs import run_due_job
from lifecycle.credits.job_records import begin_record, end_record
from lifecycle.credits.weekly_jobs import weekly_jobs
from lifecycle.kinds import Channel, CreditJob, JobOutcome
from lifecycle.options import LifecycleOptions
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.ledger_given import entry, spend
from tests.lifecycle.worker import run_jobs

BASELINES, REVIEW = CreditJob.UPDATE_BASELINES, CreditJob.WEEKLY_REVIEW
#: A Tuesday.
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
OPTIONS = LifecycleOptions()


@pytest.mark.parametrize(
    ("job", "now", "tick"),
    [
        pytest.param(BASELINES, NOW, datetime(2026, 3, 8, 23, tzinfo=UTC), id="baselines: last Sunday at 23:00"),
        pytest.param(
            BASELINES, datetime(2026, 3, 8, 23, tzinfo=UTC), datetime(2026, 3, 8, 23, tzinfo=UTC), id="just then"
        ),
        pytest.param(
            BASELINES, datetime(2026, 3, 8, 22, 59, tzinfo=UTC), datetime(2026, 3, 1, 23, tzinfo=UTC), id="just before"
        ),
        pytest.param(REVIEW, NOW, datetime(2026, 3, 9, 9, tzinfo=UTC), id="reviews: last Monday at 9:00"),
        pytest.param(
            REVIEW, datetime(2026, 1, 5, 8, tzinfo=UTC), datetime(2025, 12, 29, 9, tzinfo=UTC), id="over the new year"
        ),
    ],
)
def test_when_a_job_was_due(job: CreditJob, now: datetime, tick: datetime) -> None:
    assert last_tick(job, now) == tick


def run(engine: sa.Engine, make: Callable[..., int], *, now: datetime = NOW) -> JobOutcome | None:
    return run_due_job(engine, BASELINES, make, now=now, options=OPTIONS)


def test_a_tick_is_kept_once_and_the_next_one_again(engine: sa.Engine) -> None:
    ticks: list[datetime] = []

    def make(_: sa.Connection, tick: datetime, __: Callable[[], None]) -> int:
        ticks.append(tick)
        return 7

    outcomes = [run(engine, make, now=NOW + timedelta(days=days)) for days in (0, 0, 1, 7, 28)]
    assert outcomes == [JobOutcome.DONE, None, None, JobOutcome.DONE, JobOutcome.DONE]
    assert ticks == [datetime(2026, 3, day, 23, tzinfo=UTC) for day in (8, 15)] + [datetime(2026, 4, 5, 23, tzinfo=UTC)]
    kept = rows(engine, tables.credit_job_runs, tick=ticks[0])[0]
    assert (kept["outcome"], kept["tries"], kept["made"], kept["error"]) == ("done", 1, 7, None)
    assert kept["ended_at"] >= kept["started_at"]


def test_of_many_workers_one_runs_it(engine: sa.Engine) -> None:
    begun = threading.Barrier(4)
    made: list[int] = []
    outcomes: list[JobOutcome | None] = []

    def work() -> None:
        begun.wait(timeout=20)
        outcomes.append(run(engine, lambda *_: made.append(1) or 1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert sorted(outcomes, key=str) == [None, None, None, JobOutcome.DONE]


def test_after_three_tries_it_has_failed_and_that_is_told_without_the_error_s_words(engine: sa.Engine) -> None:
    def fail(connection: sa.Connection, *_: object) -> int:
        add_tenant(connection)
        raise RuntimeError("postgres://user:secret@host")

    outcomes = [run(engine, fail) for _ in range(5)]
    assert outcomes == [JobOutcome.RETRY, JobOutcome.RETRY, JobOutcome.FAILED, None, None]
    kept = row(engine, tables.credit_job_runs)
    assert (kept["outcome"], kept["tries"], kept["error"]) == ("failed", 3, "RuntimeError")
    assert rows(engine, tables.tenants) == [], "what it wrote is gone"
    notices = rows(engine, tables.notifications)
    assert {one["template"] for one in notices} == {"credit_health"}
    assert {one["channel"] for one in notices} == {"email", "in_app"}
    assert "secret" not in str(notices)
    assert "2026-03-08 23:00:00 UTC" in notices[0]["body"]


def add_tenant(connection: sa.Connection) -> None:
    connection.execute(sa.insert(tables.tenants), {"id": "t7", "name": "x"})


def test_what_fails_once_and_works_then_is_done(engine: sa.Engine) -> None:
    tries: list[int] = []

    def make(*_: object) -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError
        return 1

    assert [run(engine, make) for _ in range(3)] == [JobOutcome.RETRY, JobOutcome.DONE, None]
    assert row(engine, tables.credit_job_runs)["tries"] == 2
    assert rows(engine, tables.notifications) == []


@pytest.mark.parametrize(("job", "setting"), [(BASELINES, "3min"), (REVIEW, "2min")])
def test_a_query_that_takes_too_long_is_ended_by_the_database(engine: sa.Engine, job: CreditJob, setting: str) -> None:
    seen: list[str] = []

    def look(connection: sa.Connection, *_: object) -> int:
        seen.append(connection.execute(sa.text("SHOW statement_timeout")).scalar_one())
        return 0

    assert run_due_job(engine, job, look, now=NOW, options=OPTIONS) is JobOutcome.DONE
    assert seen == [setting]


def test_a_final_failure_is_told_in_slack_too_where_that_is_set_up(engine: sa.Engine) -> None:
    def fail(*_: object) -> int:
        raise OSError

    with_slack = LifecycleOptions(channels=frozenset({Channel.SLACK}))
    for _ in range(3):
        run_due_job(engine, REVIEW, fail, now=NOW, options=with_slack)
    assert {one["channel"] for one in rows(engine, tables.notifications)} == {"email", "in_app", "slack"}


def test_what_was_run_by_hand_takes_no_tick_from_the_calendar(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        for _ in range(2):
            end_record(connection, begin_record(connection, BASELINES, asked_by="ada"), made=1)
        connection.execute(sa.update(tables.credit_job_runs).values(tick=last_tick(BASELINES, NOW)))
    assert [run(engine, lambda *_: 3) for _ in range(2)] == [JobOutcome.DONE, None]
    kept = rows(engine, tables.credit_job_runs)
    assert sorted((one["origin"], one["made"]) for one in kept) == [("by_hand", 1), ("by_hand", 1), ("calendar", 3)]


def test_the_work_has_its_locks_before_its_snapshot(engine: sa.Engine) -> None:
    """So what it waited for is in it."""

    def make(connection: sa.Connection, *_: object) -> int:
        with engine.begin() as other:
            add_tenant(other)
        return len(connection.execute(sa.select(tables.tenants.c.id)).all())

    assert run(engine, make) is JobOutcome.DONE
    assert row(engine, tables.credit_job_runs)["made"] == 1


def test_a_try_that_takes_too_long_is_ended(engine: sa.Engine) -> None:
    seconds = iter([0.0, 179.0, 181.0])

    def slow(_: sa.Connection, __: datetime, go_on: Callable[[], None]) -> int:
        go_on()
        go_on()
        return 1

    outcome = run_due_job(engine, BASELINES, slow, now=NOW, options=OPTIONS, clock=lambda: next(seconds))
    assert outcome is JobOutcome.RETRY
    assert row(engine, tables.credit_job_runs)["error"] == "TimedOutError"


def died(engine: sa.Engine) -> None:
    """The worker that has the claim died long ago."""
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.credit_job_runs).values(
                outcome="running", ended_at=None, leased_until=sa.func.now() - timedelta(seconds=1)
            )
        )


def test_a_try_that_died_is_repeated_when_its_lease_is_over_and_writes_nothing_after_that(engine: sa.Engine) -> None:
    outcomes: list[JobOutcome | None] = []

    def overtaken(connection: sa.Connection, *_: object) -> int:
        add_tenant(connection)
        assert run(engine, lambda *_: 1) is None, "it is leased"
        died(engine)
        outcomes.append(run(engine, lambda *_: 1))
        return 2

    outcomes.append(run(engine, overtaken))
    assert outcomes == [JobOutcome.DONE, JobOutcome.RETRY]
    kept = row(engine, tables.credit_job_runs)
    assert (kept["outcome"], kept["tries"], kept["made"]) == ("done", 2, 1)
    assert rows(engine, tables.tenants) == []


def test_a_last_try_that_died_has_failed(engine: sa.Engine) -> None:
    def fail(*_: object) -> int:
        raise OSError

    for _ in range(3):
        run(engine, fail)
    died(engine)
    assert run(engine, fail) is None
    kept = row(engine, tables.credit_job_runs)
    assert (kept["outcome"], kept["error"]) == ("failed", "Died")


def test_the_weekly_jobs_themselves(engine: sa.Engine, tmp_path: Path) -> None:
    given_world(engine)
    spend(engine, [entry(NOW - timedelta(days=days), 100 + days) for days in range(2, 9)])
    options = LifecycleOptions(baselines_path=tmp_path / "baselines.json", reviews_dir=tmp_path / "reviews")
    for job in CALENDAR:
        for _ in range(2):
            run_due_job(engine, job, weekly_jobs(options)[job], now=NOW, options=options)
    assert [one["iso_week"] for one in rows(engine, tables.credit_reviews)] == ["2026-W10"] * 2
    assert row(engine, tables.credit_baselines)["median_credits"] == 105
    assert len(list((tmp_path / "reviews").iterdir())) == 4
    assert {one["title"] for one in rows(engine, tables.notifications)} == {
        "Baselines updated for 1 scenarios",
        "Weekly credit review 2026-W10: 735 credits",
    }
    run_jobs(engine, {}, options=options)
    assert json.loads((tmp_path / "baselines.json").read_bytes())["baselines"][0]["median_credits"] == 105


def test_nothing_is_written_where_nothing_was_spent(engine: sa.Engine, tmp_path: Path) -> None:
    options = LifecycleOptions(baselines_path=tmp_path / "baselines.json", reviews_dir=tmp_path / "reviews")
    for job in CALENDAR:
        outcome = run_due_job(engine, job, weekly_jobs(options)[job], now=NOW, options=options)
        assert outcome is JobOutcome.DONE
    assert list(tmp_path.iterdir()) == []
    assert rows(engine, tables.notifications) == []
