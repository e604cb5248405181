"""Leave Notion alone while it fails, and tell operations, once an outage (50.5, 60.5).

Kept in the database: all workers share it. A part that works has no row.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.credits.health_notice import tell_of_fault
from lifecycle.ids import stable_id
from lifecycle.notion.kinds import NotionKind, NotionPart
from lifecycle.options import LifecycleOptions
from lifecycle.outages import Breaker
from lifecycle.texts import at_time

_outages = tables.notion_outages.c
_now = sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))

NAMES = {
    NotionPart.API: "Notion",
    NotionPart.CASE: "Notion's database of cases",
    NotionPart.TASK: "Notion's database of tasks",
    NotionPart.RECEIPT: "Notion's database of run receipts",
    NotionPart.REVIEW: "Notion's database of weekly reviews",
    NotionPart.RUN: "Notion's database of runs",
}


def parts_left_alone(connection: sa.Connection) -> frozenset[NotionPart]:
    """Those that are not to be asked anything yet."""
    found = connection.execute(sa.select(_outages.part).where(_outages.left_alone_until > _now)).scalars()
    return frozenset(NotionPart(part) for part in found)


def list_notion_outages(connection: sa.Connection) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Those whose last requests failed, with `part`, `name`, `failures` and `failing_since`; of the platform."""
    names = sa.case(NAMES, value=_outages.part).label("name")
    return connection.execute(
        sa.select(_outages.part, names, _outages.failures, _outages.failing_since).order_by(
            _outages.failing_since, _outages.part
        )
    ).all()


def note_success(connection: sa.Connection, part: NotionPart) -> None:
    """It works: an outage is over."""
    connection.execute(sa.delete(tables.notion_outages).where(_outages.part == part))


def note_failure(
    connection: sa.Connection,
    part: NotionPart,
    fault: str,
    *,
    retry_after: timedelta | None,
    breaker: Breaker,
    options: LifecycleOptions,
) -> None:
    """Count a failure; it is left alone for as long as it asks, and longer the more often it has failed.

    Operations are told when the breaker's limit is reached.
    """
    row = connection.execute(
        insert(tables.notion_outages)
        .values(part=part, fault=fault, failures=1, failing_since=_now, left_alone_until=_now)
        .on_conflict_do_update(index_elements=["part"], set_={"failures": _outages.failures + 1, "fault": fault})
        .returning(_outages.failures, _outages.failing_since)
    ).one()
    pause = breaker.pause_after(row.failures)
    connection.execute(
        sa.update(tables.notion_outages)
        .where(_outages.part == part)
        .values(left_alone_until=_now + max(pause, retry_after or timedelta(0)))
    )
    if pause:
        _tell(
            connection,
            f"{NAMES[part]} fails",
            f"{NAMES[part]} has failed since {at_time(row.failing_since)}: {fault.replace('_', ' ')}. What should be"
            " there waits, and nothing is lost.",
            stable_id("notion_failing", part, row.failing_since.isoformat()),
            options,
        )


def tell_of_refusal(connection: sa.Connection, kind: NotionKind, code: str, options: LifecycleOptions) -> None:
    """Tell operations that Notion refuses pages of a kind; once a day for each kind and code."""
    name = NAMES[NotionPart(kind)]
    _tell(
        connection,
        f"{name} refuses pages",
        f"{name} does not take a page: {code.replace('_', ' ')}. It is tried again, less and less often.",
        stable_id("notion_refuses", kind, code, datetime.now(UTC).date().isoformat()),
        options,
    )


def _tell(connection: sa.Connection, headline: str, problem: str, episode_id: str, options: LifecycleOptions) -> None:
    tell_of_fault(
        connection,
        episode_id=episode_id,
        headline=headline,
        problem=problem,
        next_step="Run `breakwater notion check`, which names what is missing.",
        link=options.health_link(),
        options=options,
    )
