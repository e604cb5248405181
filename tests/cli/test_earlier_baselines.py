"""What a new monitor takes from the database is the same for all processes that share its store (decision 13)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier

import sqlalchemy as sa

from cli.earlier_baselines import earlier_baselines
from dataflows.events import BaselinesUpdated
from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.capabilities import Role, capabilities_of
from lifecycle.credits.baselines import ImportedBaseline, import_baselines
from tests.lifecycle.given import given_world

OPS_ADMIN = ActorContext.of_user("u9", "cli", capabilities_of([Role.OPS_ADMIN]))


def approve(engine: sa.Engine, credits_total: int, scenario: str = "s1") -> None:
    one = ImportedBaseline(tenant_id="t1", scenario=scenario, median_credits=Decimal(credits_total))
    with engine.begin() as connection:
        import_baselines(connection, [one], actor_context=OPS_ADMIN)


def medians(told: list[BaselinesUpdated]) -> list[float | None]:
    return [change.median_credits for event in told for change in event.baselines]


def read(engine: sa.Engine, recovery: Path | None = None) -> list[BaselinesUpdated]:
    return earlier_baselines(engine, lambda: False, recovery)


def test_all_processes_of_a_store_begin_with_what_the_first_one_found(engine: sa.Engine, tmp_path: Path) -> None:
    given_world(engine)
    approve(engine, 10)
    together = Barrier(4)

    def begin(number: int) -> list[BaselinesUpdated]:
        together.wait(timeout=30)
        approve(engine, 100 + number)
        return read(engine, tmp_path)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(begin, range(4)))
    assert all(one == found[0] for one in found)
    assert [path.name for path in tmp_path.iterdir()] == ["baselines.json"]
    approve(engine, 500)
    assert read(engine, tmp_path) == found[0]
    assert medians(read(engine))[-1] == 500


def test_what_ended_long_ago_is_left_out(engine: sa.Engine) -> None:
    given_world(engine)
    for credits_total in (1, 2, 3):
        approve(engine, credits_total)
    table, now = tables.credit_baselines, datetime.now(UTC)
    with engine.begin() as connection:
        for credits_total, days in ((1, 31), (2, 29)):
            connection.execute(
                sa.update(table)
                .where(table.c.median_credits == credits_total)
                .values(effective_at=now - timedelta(days=60 - credits_total), ended_at=now - timedelta(days=days))
            )
    assert medians(read(engine)) == [2, 3]


def test_one_that_is_asked_to_stop_does_not_wait_for_a_database(tmp_path: Path) -> None:
    away = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    answers = iter([False, False, True, True, True])
    assert earlier_baselines(away, lambda: next(answers), tmp_path) == []
    assert list(tmp_path.iterdir()) == []
