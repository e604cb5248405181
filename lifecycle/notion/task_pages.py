"""Pages of evidence hygiene: its tasks, and the receipts of attempts to make them (50.5, 50.7).

Both name their case by a relation, where there is a database of cases; so they wait for the page of the case.
"""

from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.evidence_hygiene import MODE, TITLE
from lifecycle.kinds import TaskKind
from lifecycle.notion.columns import TASK_STATUSES
from lifecycle.notion.due_pages import BATCH, is_due, with_pages
from lifecycle.notion.kinds import NotionKind
from lifecycle.notion.page_writer import Wanted
from lifecycle.notion.values import Content

_tasks, _receipts = tables.tasks.c, tables.run_receipts.c
_case_pages = tables.notion_pages.alias("case_pages")

#: Theirs of ours: the highest is P0.
_PRIORITIES = {"critical": "P0", "high": "P1", "medium": "P2", "low": "P3"}


def due_tasks(connection: sa.Connection, *, with_cases: bool) -> list[Wanted]:
    """Tasks whose pages are not up to date, the oldest first; at most `BATCH`."""
    tasks = _with_case(_tasks.tenant_id, _tasks.episode_id, tables.tasks)
    query = with_pages(tasks, NotionKind.TASK, _tasks.tenant_id, sa.cast(_tasks.id, sa.Text))
    query = query.where(_tasks.kind == TaskKind.EVIDENCE_HYGIENE, is_due(_tasks.version))
    if with_cases:
        query = query.where(_case_pages.c.page_id.is_not(None))
    return [_task(row) for row in connection.execute(query.order_by(_tasks.created_at, _tasks.id).limit(BATCH))]


def due_receipts(connection: sa.Connection, *, with_cases: bool) -> list[Wanted]:
    """Receipts without a page, the oldest first; at most `BATCH`."""
    receipts = _with_case(_receipts.tenant_id, _receipts.case_id, tables.run_receipts)
    query = with_pages(receipts, NotionKind.RECEIPT, _receipts.tenant_id, sa.cast(_receipts.id, sa.Text))
    query = query.where(is_due(sa.literal(1)))
    if with_cases:
        query = query.where(_case_pages.c.page_id.is_not(None))
    return [_receipt(row) for row in connection.execute(query.order_by(_receipts.id).limit(BATCH))]


def _with_case(tenant: sa.ColumnElement[Any], case: sa.ColumnElement[Any], table: sa.Table) -> sa.Select[Any]:
    return sa.select(table, _case_pages.c.page_id.label("case_page")).select_from(
        table.outerjoin(
            _case_pages,
            sa.and_(
                _case_pages.c.kind == NotionKind.CASE,
                _case_pages.c.tenant_id == tenant,
                _case_pages.c.object_id == sa.cast(case, sa.Text),
            ),
        )
    )


def _task(row: sa.Row[Any]) -> Wanted:
    return Wanted(
        kind=NotionKind.TASK,
        tenant_id=row.tenant_id,
        object_id=row.id,
        version=row.version,
        content=Content(
            title=TITLE,
            columns={
                "Idempotency Key": row.idempotency_key,
                "Case": _relation(row),
                "Status": TASK_STATUSES[row.status],
                "Priority": _PRIORITIES[row.priority],
                "Mode": row.mode or MODE,
            },
        ),
    )


def _receipt(row: sa.Row[Any]) -> Wanted:
    return Wanted(
        kind=NotionKind.RECEIPT,
        tenant_id=row.tenant_id,
        object_id=str(row.id),
        version=1,  # receipts are never rewritten
        content=Content(
            title="Evidence Hygiene",
            columns={
                "Receipt ID": f"R-{row.id}",
                "Case": _relation(row),
                "Idempotency Key": row.idempotency_key,
                "Outcome": row.outcome,
                "Blocked Reason": row.reason,
                "Run At": row.created_at,
            },
        ),
    )


def _relation(row: sa.Row[Any]) -> list[str]:
    return [] if row.case_page is None else [row.case_page]
