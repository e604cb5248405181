"""Passes over what Notion does not show yet, against a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.case_changes import CaseChange, change_case
from lifecycle.notion.client import NotionClient
from lifecycle.notion.page_writer import Patience
from lifecycle.notion.sync import NotionSync
from lifecycle.options import LifecycleOptions
from tests.lifecycle.cases_given import OPS_ADMIN
from tests.lifecycle.notion_server import NotionServer

OPTIONS = LifecycleOptions(public_url="https://bw.example", case_pages=True)

#: So short that a client notices soon that a server hangs, and so long that it does not take a busy machine for one.
SOON = timedelta(seconds=2)
#: For servers that answer, however busy the machine is.
PATIENT = timedelta(seconds=30)


@contextmanager
def syncing(
    engine: sa.Engine, server: NotionServer, *, timeout: timedelta = PATIENT, **access: Any
) -> Iterator[NotionSync]:
    """Passes of one worker."""
    with NotionClient(server.access(**access), interval=timedelta(0), timeout=timeout) as notion:
        yield NotionSync(
            engine=engine, notion=notion, access=server.access(**access), options=OPTIONS, patience=Patience()
        )


def sync(engine: sa.Engine, server: NotionServer, *, timeout: timedelta = PATIENT, **access: Any) -> int:
    """One pass of a worker that has just started."""
    with syncing(engine, server, timeout=timeout, **access) as passes:
        return passes.run()


def wait_over(engine: sa.Engine) -> None:
    """All that waits has waited long enough."""
    long_ago = sa.func.now() - sa.text("interval '1 day'")
    pages = tables.notion_pages.c
    with engine.begin() as connection:
        connection.execute(sa.update(tables.notion_pages).values(not_before=None))
        connection.execute(
            sa.update(tables.notion_pages).where(pages.attempt_at.is_not(None)).values(attempt_at=long_ago)
        )
        connection.execute(sa.update(tables.notion_outages).values(left_alone_until=long_ago))


def change(engine: sa.Engine, **what: Any) -> None:
    """Change the one case there is, as operations."""
    with engine.begin() as connection:
        case_id = connection.execute(sa.select(tables.credit_cases.c.case_id)).scalar_one()
        change_case(connection, case_id=case_id, change=CaseChange(**what), actor_context=OPS_ADMIN)
