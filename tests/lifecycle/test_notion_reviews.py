"""Pages of weekly reviews in Notion: one for a tenant and week, whatever the revision."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle.actors import WORKER
from lifecycle.credits.iso_weeks import period_of
from lifecycle.credits.reviews import make_reviews
from lifecycle.options import LifecycleOptions
from tests.lifecycle.given import given_world
from tests.lifecycle.ledger_given import entry, spend
from tests.lifecycle.notion_given import sync, wait_over
from tests.lifecycle.notion_server import Asked, Failure, Mishap, NotionServer, shown

WEEK = "2026-W10"
MONDAY, END = period_of(WEEK)


@pytest.fixture
def world(engine: sa.Engine, tmp_path: Path) -> sa.Engine:
    """A week with a spike, reviewed."""
    given_world(engine)
    spend(engine, [entry(MONDAY + timedelta(hours=hour), 100, actions=[]) for hour in range(3)])
    spend(engine, [entry(MONDAY, "1234.5", execution_id="RUN-1", severity="SEV0", risk_flags=["pii_exposure"])])
    review(engine, tmp_path)
    return engine


def review(engine: sa.Engine, folder: Path) -> None:
    with engine.begin() as connection:
        make_reviews(connection, WEEK, END, actor_context=WORKER, options=LifecycleOptions(reviews_dir=folder))


def of_tenant(server: NotionServer) -> Any:
    (page,) = [one for one in server.pages.values() if shown(one.properties["Title"]) == f"CREDIT_REVIEW_{WEEK}_t1"]
    return page


def headings(page: Any) -> list[str]:
    return [shown({"type": "rich_text", **one["heading_2"]}) for one in with_plain_text(page) if "heading_2" in one]


def with_plain_text(page: Any) -> list[Any]:
    for block in page.blocks:
        for piece in block.get(block["type"], {}).get("rich_text", []):
            piece["plain_text"] = piece["text"]["content"]
    return list(page.blocks)


def table(page: Any, heading: str) -> list[list[str]]:
    position = next(
        number for number, one in enumerate(with_plain_text(page))
        if one["type"] == "heading_2" and one["heading_2"]["rich_text"][0]["plain_text"] == heading
    )  # fmt: skip
    rows = page.blocks[position + 1]["table"]["children"]
    return [["".join(piece["text"]["content"] for piece in cell) for cell in row["table_row"]["cells"]] for row in rows]


def test_a_review_s_page_has_its_totals_and_tables(world: sa.Engine, server: NotionServer) -> None:
    assert sync(world, server, runs=None) == 2
    assert [one["Title"] for one in server.rows("reviews")] == [f"CREDIT_REVIEW_{WEEK}", f"CREDIT_REVIEW_{WEEK}_t1"]
    said = server.rows("reviews")[1]
    assert {name: said[name] for name in ("ISO Week", "Tenant", "Revision", "Total Credits", "Total Runs", "SEV0")} == {
        "ISO Week": WEEK,
        "Tenant": "t1",
        "Revision": 1,
        "Total Credits": 1534.5,
        "Total Runs": 4,
        "SEV0": 1,
    }
    assert said["Period Start"] == MONDAY.isoformat(timespec="milliseconds")
    page = of_tenant(server)
    assert headings(page)[:2] == ["Top scenarios", "Top spikes"]
    assert table(page, "Top scenarios")[1][:3] == ["export", "1,534.50", "4"]
    (violation,) = table(page, "Policy violations")[1:]
    assert violation[:5] == ["RUN-1", "export", "1,234.50", "12.35×", "SEV0"]
    assert sync(world, server, runs=None) == 0


def test_a_new_revision_changes_the_page_and_leaves_what_people_wrote(
    world: sa.Engine, server: NotionServer, tmp_path: Path
) -> None:
    sync(world, server, runs=None)
    page = of_tenant(server)
    server.write_note(page.id, "Looked at it with Ada.")
    spend(world, [entry(MONDAY, 1000)])
    review(world, tmp_path)
    assert sync(world, server, runs=None) == 2
    assert len(server.rows("reviews")) == 2
    assert (said := server.rows("reviews")[1])["Revision"] == 2
    assert said["Total Runs"] == 5
    notes = [one for one in page.blocks if one["type"] == "paragraph"]
    assert "Looked at it with Ada." in str(notes[0])
    assert len(notes) == 2
    assert headings(page).count("Top scenarios") == 1
    assert table(page, "Top scenarios")[1][2] == "5"


def test_a_revision_that_was_half_written_is_written_whole(
    world: sa.Engine, server: NotionServer, tmp_path: Path
) -> None:
    sync(world, server, runs=None)
    before = headings(of_tenant(server))
    review(world, tmp_path)

    def judge(asked: Asked) -> Failure | None:
        return (
            Failure(Mishap.RESET, done=True) if asked.path.endswith("/children") and asked.method == "PATCH" else None
        )

    server.judge = judge
    sync(world, server, runs=None)
    server.judge = lambda _: None
    wait_over(world)
    sync(world, server, runs=None)
    assert headings(of_tenant(server)) == before
    assert [one["Revision"] for one in server.rows("reviews")] == [2, 2]


def test_more_violations_than_a_table_takes_are_cut_and_counted(
    engine: sa.Engine, server: NotionServer, tmp_path: Path
) -> None:
    given_world(engine)
    spend(engine, [entry(MONDAY, 500, severity="SEV1") for _ in range(150)])
    review(engine, tmp_path)
    assert sync(engine, server, runs=None) == 2
    assert len(table(of_tenant(server), "Policy violations, 99 of 150")) == 100
