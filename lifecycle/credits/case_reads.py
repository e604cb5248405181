"""Read credit cases (50.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.cursors import Cursor, Order
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import ActionResult, CaseSeverity, CaseStatus, Channel, NotificationStatus
from lifecycle.notion.kinds import NotionKind
from lifecycle.tasks import MAX_PAGE

_cases, _runs, _actions = tables.credit_cases.c, tables.credit_case_runs.c, tables.credit_case_actions.c
_notifications, _holds, _receipts = tables.notifications.c, tables.gate_holds.c, tables.run_receipts.c

#: Runs, actions and receipts that are read with a case, at most; the newest.
MAX_RUNS = 200

Row = sa.Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFilter:
    """Which cases to list; every condition must hold."""

    #: None: those that are not resolved.
    status: CaseStatus | None = None
    severity: CaseSeverity | None = None
    tenant_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """A case with all that belongs to it."""

    case: Row
    #: The `case_id` of the one that it goes on from, and of the one that goes on from it.
    reopened_from: str | None
    reopened_as: str | None
    #: Its page in Notion, if it has one.
    notion_url: str | None
    #: Newest first; `run_count` says how many there are.
    runs: Sequence[Row]
    run_count: int
    #: As they were asked for; `result` is that of the moment.
    actions: Sequence[Row]
    #: Attempts to create its evidence hygiene task, newest first.
    receipts: Sequence[Row]
    #: Holds at the gate that are in force.
    holds: Sequence[Row]


def list_cases(
    connection: sa.Connection, case_filter: CaseFilter, *, after: Cursor | None = None, limit: int = 50
) -> tuple[Sequence[Row], Cursor | None]:
    """Cases of all tenants that the connection shows, newest first, and where the next page begins."""
    query = _with_names().order_by(_cases.opened_at.desc(), _cases.id.desc())
    if case_filter.status is None:
        query = query.where(_cases.status != CaseStatus.RESOLVED)
    else:
        query = query.where(_cases.status == case_filter.status)
    if case_filter.severity is not None:
        query = query.where(_cases.severity == case_filter.severity)
    if case_filter.tenant_id is not None:
        query = query.where(_cases.tenant_id == case_filter.tenant_id)
    if after is not None:
        there = sa.tuple_(sa.literal(after.at, _cases.opened_at.type), sa.literal(after.id, _cases.id.type))
        query = query.where(sa.tuple_(_cases.opened_at, _cases.id) < there)
    limit = min(limit, MAX_PAGE)
    found = connection.execute(query.limit(limit + 1)).all()
    page = found[:limit]
    return page, Cursor(Order.NEWEST_FIRST, page[-1].opened_at, page[-1].id) if len(found) > limit else None


def read_case(connection: sa.Connection, case_id: str) -> CaseFile:
    """One case by the id that people use; `LifecycleError` `not_found`."""
    case = connection.execute(_with_names().where(_cases.case_id == case_id)).first()
    if case is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such case in this tenant.")
    of_case = (_runs.tenant_id == case.tenant_id, _runs.case_id == case.id)
    return CaseFile(
        case=case,
        reopened_from=_case_id(connection, _cases.id == case.reopened_from),
        reopened_as=_case_id(connection, _cases.reopened_from == case.id),
        notion_url=_notion_url(connection, case),
        runs=connection.execute(
            sa.select(tables.credit_case_runs)
            .where(*of_case)
            .order_by(_runs.occurred_at.desc(), _runs.execution_id)
            .limit(MAX_RUNS)
        ).all(),
        run_count=connection.execute(sa.select(sa.func.count()).where(*of_case)).scalar_one(),
        actions=connection.execute(_ACTIONS, {"tenant": case.tenant_id, "case": case.id}).all(),
        receipts=connection.execute(
            sa.select(tables.run_receipts)
            .where(_receipts.tenant_id == case.tenant_id, _receipts.case_id == case.id)
            .order_by(_receipts.id.desc())
            .limit(MAX_RUNS)
        ).all(),
        holds=connection.execute(
            sa.select(tables.gate_holds)
            .where(_holds.tenant_id == case.tenant_id, _holds.case_id == case.id, _holds.released_at.is_(None))
            .order_by(_holds.created_at, _holds.kind, _holds.execution_id)
            .limit(MAX_RUNS)
        ).all(),
    )


def count_open_cases(connection: sa.Connection) -> dict[CaseSeverity, int]:
    """How many cases are not resolved, by severity; those without any are absent."""
    found = connection.execute(
        sa.select(_cases.severity, sa.func.count())
        .where(_cases.status != CaseStatus.RESOLVED)
        .group_by(_cases.severity)
    )
    return {CaseSeverity(severity): count for severity, count in found}


def _with_names() -> sa.Select[Any]:
    runs = (
        sa.select(sa.func.count())
        .where(_runs.tenant_id == _cases.tenant_id, _runs.case_id == _cases.id)
        .scalar_subquery()
    )
    return (
        sa.select(
            tables.credit_cases,
            tables.tenants.c.name.label("tenant_name"),
            tables.workflows.c.name.label("workflow_name"),
            runs.label("run_count"),
        )
        .join(tables.tenants, tables.tenants.c.id == _cases.tenant_id)
        .outerjoin(
            tables.workflows,
            sa.and_(
                tables.workflows.c.tenant_id == _cases.tenant_id, tables.workflows.c.workflow_id == _cases.workflow_id
            ),
        )
    )


def _case_id(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> str | None:
    found: str | None = connection.execute(
        sa.select(_cases.case_id).where(condition).order_by(_cases.opened_at.desc()).limit(1)
    ).scalar()
    return found


def _notion_url(connection: sa.Connection, case: Row) -> str | None:
    pages = tables.notion_pages.c
    url: str | None = connection.execute(
        sa.select(pages.url).where(
            pages.kind == NotionKind.CASE, pages.tenant_id == case.tenant_id, pages.object_id == case.id
        )
    ).scalar()
    return url if url is not None and url.startswith("https://") else None


#: What became of a message is what became of its delivery.
_DELIVERED = sa.case(
    (
        _notifications.status.in_((NotificationStatus.DELIVERED, NotificationStatus.FOLDED)),
        ActionResult.DONE.value,
    ),
    (
        _notifications.status.in_((NotificationStatus.FAILED, NotificationStatus.CANCELLED, NotificationStatus.MUTED)),
        ActionResult.FAILED.value,
    ),
    else_=_actions.result,
)
_ACTIONS = (
    sa.select(
        _actions.action,
        _actions.severity,
        _actions.workflow_id,
        _actions.execution_id,
        _DELIVERED.label("result"),
        _actions.asked_at,
        sa.func.coalesce(_actions.finished_at, _notifications.delivered_at).label("finished_at"),
    )
    .outerjoin(
        tables.notifications,
        sa.and_(
            _notifications.episode_id == _actions.episode_id,
            _notifications.channel == Channel.SLACK,
        ),
    )
    .where(_actions.tenant_id == sa.bindparam("tenant"), _actions.case_id == sa.bindparam("case"))
    .order_by(_actions.id)
    .limit(MAX_RUNS)
)
