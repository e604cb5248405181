"""Weekly reviews: kept by week and tenant with their revisions, and as files (50.6)."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.credits.iso_weeks import period_of
from lifecycle.credits.review_archive import archive_reviews
from lifecycle.credits.review_files import ArchiveError, archive_review, file_name
from lifecycle.credits.reviews import Review, list_reviews, make_reviews, read_review
from lifecycle.credits.weekly_report import WeeklyReport
from lifecycle.options import LifecycleOptions
from tests.lifecycle.cases_given import apply, incident
from tests.lifecycle.given import given_world, rows
from tests.lifecycle.ledger_given import entry, spend
from tests.lifecycle.worker import run_jobs

WEEK = "2026-W10"
MONDAY, END = period_of(WEEK)
OTTO = ActorContext.of_user("u9", "cli")


@pytest.fixture
def world(engine: sa.Engine) -> sa.Engine:
    """Three days of two tenants, and one of somebody who is not known."""
    given_world(engine)
    spend(
        engine,
        [
            entry(MONDAY, 100),
            entry(MONDAY + timedelta(days=1), 250.5, severity="SEV2"),
            entry(MONDAY + timedelta(days=2), 7, tenant_id="t2", scenario="import", workflow_id="wf2"),
            entry(MONDAY + timedelta(days=2), 1, tenant_id="nobody"),
            entry(MONDAY - timedelta(days=2), 50),
            entry(END, 1000),
        ],
    )
    return engine


def make(engine: sa.Engine, folder: Path, **more: Any) -> list[tuple[Review, WeeklyReport]]:
    options = LifecycleOptions(reviews_dir=folder, **more)
    with engine.begin() as connection:
        return make_reviews(connection, WEEK, END, actor_context=OTTO, options=options)


def test_all_tenants_together_and_each_that_is_known(world: sa.Engine, tmp_path: Path) -> None:
    made = make(world, tmp_path)
    assert [(one.tenant_id, one.total_runs, one.total_credits) for one, _ in made] == [
        (None, 4, Decimal("358.5")),
        ("t1", 2, Decimal("350.5")),
        ("t2", 1, Decimal(7)),
    ]
    report = made[1][1]
    assert report.report_id == "CREDIT_REVIEW_2026-W10_t1"
    assert (report.change.previous_credits, report.change.previous_runs) == (50, 1)
    assert [(day.day.isoformat(), day.credits) for day in report.days] == [
        ("2026-03-02", 100),
        ("2026-03-03", Decimal("250.5")),
    ]
    assert [one.variance_multiplier for one in report.top_spike_runs] == [2.505]


def test_what_one_tenant_sends_does_not_end_the_review_of_all(world: sa.Engine, tmp_path: Path) -> None:
    spend(
        world,
        [
            entry(MONDAY, "1E+300", tenant_id="t2", workflow_id="wf2", baseline_credits=Decimal("1E-300")),
            entry(MONDAY, "1E-300", tenant_id="t2", workflow_id="wf2"),
        ],
    )
    made = make(world, tmp_path)
    assert [one.tenant_id for one, _ in made] == [None, "t1", "t2"]
    assert made[1][1].summary_stats.total_credits == Decimal("350.5")
    with world.begin() as connection:
        for one, report in made:
            kept = read_review(connection, iso_week=WEEK, tenant_id=one.tenant_id)
            assert kept is not None
            assert kept[1] == report


def test_a_review_is_written_with_its_hash(world: sa.Engine, tmp_path: Path) -> None:
    make(world, tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(
        f"weekly_2026-W10_{whose}.r1.json{end}" for whose in ("@all", "t1", "t2") for end in ("", ".sha256")
    )
    content = (tmp_path / "weekly_2026-W10_t1.r1.json").read_bytes()
    told = (tmp_path / "weekly_2026-W10_t1.r1.json.sha256").read_text()
    assert told == f"{hashlib.sha256(content).hexdigest()}  weekly_2026-W10_t1.r1.json\n"
    document = json.loads(content)
    assert document["summary_stats"]["total_credits"] == 350.5
    assert document["period_end"] == "2026-03-09T00:00:00Z"


def test_a_rerun_is_the_next_revision_of_the_same_review(world: sa.Engine, tmp_path: Path) -> None:
    make(world, tmp_path)
    spend(world, [entry(MONDAY, 9)])
    make(world, tmp_path)
    assert [(one["tenant_id"], one["revision"]) for one in rows(world, tables.credit_reviews, tenant_id="t2")] == [
        ("t2", 1),
        ("t2", 2),
    ]
    with world.connect() as connection:
        newest = read_review(connection, iso_week=WEEK, tenant_id="t1")
        first = read_review(connection, iso_week=WEEK, tenant_id="t1", revision=1)
        listed = list_reviews(connection)
    assert newest is not None
    assert first is not None
    assert (newest[0].revision, newest[1].summary_stats.total_credits) == (2, Decimal("359.5"))
    assert (first[0].revision, first[1].summary_stats.total_credits) == (1, Decimal("350.5"))
    assert [(one.tenant_id, one.revision) for one in listed] == [(None, 2), ("t1", 2), ("t2", 2)]
    assert newest[2].encode() == (tmp_path / newest[0].file_name).read_bytes()


def test_reviews_that_are_made_at_once_are_revisions_one_after_another(world: sa.Engine, tmp_path: Path) -> None:
    together = Barrier(3)

    def make_one(_: int) -> set[int]:
        with world.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
            together.wait(60)
            made = make_reviews(
                connection, WEEK, END, actor_context=OTTO, options=LifecycleOptions(reviews_dir=tmp_path)
            )
            return {one.revision for one, _ in made}

    with ThreadPoolExecutor(3) as pool:
        revisions = list(pool.map(make_one, range(3)))
    assert sorted(revisions, key=min) == [{1}, {2}, {3}]


def archived(engine: sa.Engine) -> list[bool]:
    """Whether each review is in the archive, by its row."""
    return [one["archived_at"] is not None for one in rows(engine, tables.credit_reviews)]


def test_a_review_goes_into_the_archive_too(world: sa.Engine, tmp_path: Path) -> None:
    archive = (tmp_path / "a b" / "there").as_uri().replace("%20", " ")
    options = LifecycleOptions(reviews_dir=tmp_path / "here", reviews_archive=archive)
    make(world, tmp_path / "here", reviews_archive=archive)
    assert archived(world) == [False] * 3
    run_jobs(world, {}, options=options)
    here, there = (
        {one.name: one.read_bytes() for one in (tmp_path / folder).iterdir() if "W10" in one.name}
        for folder in ("here", "a b/there")
    )
    assert here == there
    assert len(here) == 6
    assert False not in archived(world)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("file:///dev/null/reviews", id="a folder that can't be"),
        pytest.param("nothing://user:secret@host/x", id="a kind of address that nobody knows"),
    ],
)
def test_an_archive_that_does_not_take_it_is_told_of_without_its_address(url: str) -> None:
    with pytest.raises(ArchiveError) as failed:
        archive_review(url, "x.json", b"{}", "0")
    assert "secret" not in str(failed.value)
    assert "dev" not in str(failed.value)


def test_an_archive_that_is_away_keeps_no_review_from_being_made_and_gets_it_later(
    world: sa.Engine, tmp_path: Path
) -> None:
    (tmp_path / "archive").write_text("in the way")
    options = LifecycleOptions(reviews_dir=tmp_path / "here", reviews_archive=(tmp_path / "archive").as_uri())
    make(world, tmp_path / "here", reviews_archive=options.reviews_archive)
    for _ in range(2):
        with pytest.raises(ArchiveError):
            archive_reviews(world, options)
    assert archived(world) == [False] * 3
    notices = rows(world, tables.notifications)
    assert {one["title"] for one in notices} == {"Credit monitoring: the archive takes no reviews"}
    assert len(notices) == len({one["channel"] for one in notices}), "each is told once"
    assert "3 weekly reviews are not in the archive yet (FileExistsError)" in notices[0]["body"]
    assert str(tmp_path) not in str(notices)
    (tmp_path / "archive").unlink()
    assert (archive_reviews(world, options), archive_reviews(world, options)) == (3, 0)
    assert archived(world) == [True] * 3
    assert len(list((tmp_path / "archive").iterdir())) == 6


@pytest.mark.parametrize(
    ("tenant", "name"),
    [
        pytest.param("t1", "weekly_2026-W10_t1.r3.json", id="a plain name"),
        pytest.param("../é", "weekly_2026-W10_..%2F%C3%A9.r3.json", id="signs that mean something to file systems"),
        pytest.param("@all", "weekly_2026-W10_%40all.r3.json", id="a tenant with the name of all"),
        pytest.param(None, "weekly_2026-W10_@all.r3.json", id="all of them"),
    ],
)
def test_names_of_files(tenant: str | None, name: str) -> None:
    assert file_name(WEEK, tenant, 3) == name


def test_long_names_fit_and_differ() -> None:
    one, other = (file_name(WEEK, "é" * 127 + end, 1) for end in "ab")
    assert one != other
    assert max(len(one), len(other)) < 200


def test_runs_of_the_last_moment_count_and_those_of_the_next_week_do_not(engine: sa.Engine, tmp_path: Path) -> None:
    given_world(engine)
    spend(engine, [entry(END - timedelta(microseconds=1), 5), entry(END, 7)])
    (_, report), *_ = make(engine, tmp_path)
    assert report.summary_stats.total_credits == 5
    assert [day.day for day in report.days] == [datetime(2026, 3, 8, tzinfo=UTC).date()]


def test_a_case_is_in_the_review_when_that_has_a_run_of_it(world: sa.Engine, tmp_path: Path) -> None:
    apply(world, incident("SEV2", "in-ledger", scenario="a"), incident("SEV2", "not-yet", scenario="b"))
    spend(world, [entry(MONDAY + timedelta(days=3), 300, execution_id="in-ledger", scenario="a", severity="SEV2")])
    with world.begin() as connection:
        make_reviews(connection, "2026-W09", MONDAY, actor_context=OTTO, options=LifecycleOptions(reviews_dir=tmp_path))
    assert reviewed(world) == {"a": ("planned", False), "b": ("planned", False)}
    make(world, tmp_path)
    assert reviewed(world) == {"a": ("done", True), "b": ("planned", False)}


def reviewed(engine: sa.Engine) -> dict[str, tuple[str, bool]]:
    """What became of the weekly review of each scenario's case, and whether that has a time."""
    actions, cases = tables.credit_case_actions.c, tables.credit_cases.c
    with engine.connect() as connection:
        found = connection.execute(
            sa.select(cases.scenario, actions.result, actions.finished_at)
            .join(tables.credit_cases, cases.id == actions.case_id)
            .where(actions.action == "weekly_review")
        )
        return {one.scenario: (one.result, one.finished_at is not None) for one in found}
