"""Read the stages and gates of cases that people changed in Notion, and bring them into our cases (50.7).

Pages are read by the time of their last change, which Notion tells by the minute and shows late: so each pass begins
a little before the newest that was read, or before ten minutes ago by Notion's clock, whichever is later. A page
counts when it says something else than when it was written or read last. What that change starts, it starts in the
transaction that notes it: once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from config.metrics import NOTION_STAGES
from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.capabilities import Capability
from lifecycle.credits.case_changes import CaseChange, change_case
from lifecycle.errors import LifecycleError
from lifecycle.notion.client import NotionClient
from lifecycle.notion.columns import GATE, STAGE, VERDICT
from lifecycle.notion.cursors import move_cursor
from lifecycle.notion.due_pages import with_pages
from lifecycle.notion.kinds import NotionCursor, NotionKind, StageOutcome
from lifecycle.notion.values import Layout, decode_text, is_shown

_log = structlog.get_logger(__name__)

_cases, _pages, _cursors = tables.credit_cases.c, tables.notion_pages.c, tables.notion_cursors.c

#: People who change the stage of a case in Notion: who they are is Notion's.
NOTION = ActorContext(actor="service:notion", invoked_via="notion", capabilities=frozenset({Capability.TASKS}))

#: How far before the newest change that was read a pass begins.
OVERLAP = timedelta(minutes=3)

#: After so long Notion shows each change, by its own clock: what is older is not read again, though nothing is newer.
SHOWN_AFTER = timedelta(minutes=10)

_LONGEST = {STAGE: 120, GATE: 120, VERDICT: 500}
_FIELDS = {STAGE: "stage", GATE: "wt_gate_for_automation", VERDICT: "wt_gate_verdict"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPage:
    """What a page says of its case."""

    page_id: str
    #: None where no column names it.
    case_id: str | None
    #: By column; those that the database does not have are absent.
    said: Mapping[str, str]


def poll_is_due(connection: sa.Connection, database_id: str, every: timedelta) -> bool:
    """Whether the pages of a database were not read for so long."""
    read = sa.exists().where(
        _cursors.kind == NotionCursor.STAGES,
        _cursors.key == database_id,
        _cursors.moved_at > sa.func.clock_timestamp() - every,
    )
    return not connection.execute(sa.select(read)).scalar_one()


def poll_stages(engine: sa.Engine, notion: NotionClient, database_id: str, layout: Layout) -> dict[StageOutcome, int]:
    """Read what was changed since the last time; how many pages came to what.

    Raises Notion's faults; what was read until then is done, and is not read again but for the overlap.
    """
    counts = dict.fromkeys(StageOutcome, 0)
    since = _read_cursor(engine, database_id)
    body: dict[str, Any] = {"sorts": [{"timestamp": "last_edited_time", "direction": "ascending"}], "page_size": 100}
    if since is not None:
        begin = (since - OVERLAP).astimezone(UTC).isoformat()
        body["filter"] = {"timestamp": "last_edited_time", "last_edited_time": {"on_or_after": begin}}
    newest, begun = since, None
    while True:
        found = notion.query(layout.data_source_id, **body)
        begun = begun or notion.server_time
        for raw in found.results:
            outcome, edited_at = _take(engine, raw, layout)
            counts[outcome] += 1
            NOTION_STAGES.labels(outcome).inc()
            newest = edited_at if newest is None else max(newest, edited_at or newest)
        if found.next_cursor is None and begun is not None:
            newest = max(newest or begun - SHOWN_AFTER, begun - SHOWN_AFTER)
        with engine.begin() as connection:
            move_cursor(connection, NotionCursor.STAGES, database_id, edited_at=newest)
        if found.next_cursor is None:
            return counts
        body["start_cursor"] = found.next_cursor


def read_page(raw: Any, layout: Layout) -> ChangedPage:
    """What a page of an answer says. `ValueError` when it can't be read, or says too much."""
    match raw:
        case {"id": str(page_id), "properties": dict(properties)}:
            said = {}
            for column, limit in _LONGEST.items():
                if column in layout.found:
                    said[column] = decode_text(properties.get(layout.found[column][0]))
                    if len(said[column]) > limit:
                        raise ValueError("too long")
            names = layout.found.get("Case_ID")
            return ChangedPage(
                page_id=page_id, case_id=None if names is None else decode_text(properties.get(names[0])), said=said
            )
    raise ValueError("not a page")


def apply_page(connection: sa.Connection, page: ChangedPage) -> StageOutcome:
    """Bring what a page says into its case, if people changed it. The transaction is the caller's."""
    row = _find_case(connection, page)
    if row is None:
        return StageOutcome.UNKNOWN_CASE
    # A page that was never written by us is compared with the case.
    before = {column: getattr(row, field) or "" for column, field in _FIELDS.items()} if row.seen is None else row.seen
    changed = {column: words for column, words in page.said.items() if not is_shown(before.get(column, ""), words)}
    if not changed:
        return StageOutcome.SAME
    outcome = StageOutcome.CHANGED
    try:
        with connection.begin_nested():
            wanted = CaseChange(**{_FIELDS[column]: words for column, words in changed.items()})  # type: ignore[arg-type]
            change_case(connection, case_id=row.case_id, change=wanted, actor_context=NOTION)
    except LifecycleError:
        outcome = StageOutcome.RESOLVED
    connection.execute(
        sa.update(tables.notion_pages)
        .where(_pages.id == row.row_id)
        .values(seen={**before, **page.said}, updated_at=sa.func.now())
    )
    return outcome


def _take(engine: sa.Engine, raw: Any, layout: Layout) -> tuple[StageOutcome, datetime | None]:
    """One page in a transaction of its own; one that can't be read, or kept, is told of and is passed over."""
    page_id = raw.get("id") if isinstance(raw, dict) else None
    try:
        page = read_page(raw, layout)
        with engine.begin() as connection:
            outcome = apply_page(connection, page)
    except (ValueError, sa.exc.DataError, sa.exc.IntegrityError) as error:
        _log.warning("notion_page_malformed", page_id=str(page_id)[:64], error=type(error).__name__)
        return StageOutcome.MALFORMED, _edited_at(raw)
    if outcome is StageOutcome.UNKNOWN_CASE:
        _log.warning("notion_case_unknown", page_id=page.page_id[:64])
    elif outcome in (StageOutcome.CHANGED, StageOutcome.RESOLVED):
        _log.info("notion_stage_read", page_id=page.page_id, outcome=outcome)
    return outcome, _edited_at(raw)


def _edited_at(raw: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(raw["last_edited_time"])
    except (KeyError, TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None


def _find_case(connection: sa.Connection, page: ChangedPage) -> sa.Row[Any] | None:
    """The case of a page by what we know of the page, else by what the page says; locked.

    A page that names a case which has another page is a copy: it is nobody's.
    """
    query = with_pages(
        sa.select(tables.credit_cases, _pages.id.label("row_id"), _pages.seen),
        NotionKind.CASE,
        _cases.tenant_id,
        sa.cast(_cases.id, sa.Text),
    ).with_for_update(of=tables.credit_cases)
    known = connection.execute(query.where(_pages.page_id == page.page_id)).first()
    if known is not None or not page.case_id:
        return known
    return connection.execute(query.where(_cases.case_id == page.case_id, _pages.page_id.is_(None))).first()


def _read_cursor(engine: sa.Engine, database_id: str) -> datetime | None:
    with engine.connect() as connection:
        read: datetime | None = connection.execute(
            sa.select(_cursors.edited_at).where(_cursors.kind == NotionCursor.STAGES, _cursors.key == database_id)
        ).scalar()
    return read
