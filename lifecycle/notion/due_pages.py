"""Which objects' pages are not up to date, as a condition on a query: the same for all kinds."""

from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.notion.kinds import NotionKind

_pages = tables.notion_pages.c

#: So many objects are read at once; what follows is read when they are written.
BATCH = 20


def with_pages(
    query: sa.Select[Any], kind: NotionKind, tenant_id: sa.ColumnElement[Any], object_id: sa.ColumnElement[Any]
) -> sa.Select[Any]:
    """Join what is known of each object's page."""
    return query.outerjoin(
        tables.notion_pages,
        sa.and_(
            _pages.kind == kind,
            _pages.object_id == object_id,
            # What is of no tenant is a review; elsewhere equality lets Postgres hash or merge.
            _pages.tenant_id.is_not_distinct_from(tenant_id)
            if kind is NotionKind.REVIEW
            else _pages.tenant_id == tenant_id,
        ),
    )


def is_due(version: sa.ColumnElement[Any], also: sa.ColumnElement[bool] | None = None) -> sa.ColumnElement[bool]:
    """Whether a page does not show this version, or `also` holds, and it may be tried."""
    outdated = _pages.object_version.is_distinct_from(version)
    return sa.and_(outdated if also is None else sa.or_(outdated, also), may_be_tried())


def may_be_tried() -> sa.ColumnElement[bool]:
    """Whether a page is not left alone after a try in vain."""
    return sa.or_(_pages.not_before.is_(None), _pages.not_before <= sa.func.clock_timestamp())
