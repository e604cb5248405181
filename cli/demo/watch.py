"""What has become of the stream so far, read from the database: the same rows that the console shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import Channel, NotificationStatus


@dataclass(frozen=True)
class Totals:
    """Counts of rows."""

    decisions: int
    tasks: int
    in_app: int
    emails_delivered: int


class Watch:
    """Remembers what it has shown already; each row is news once."""

    def __init__(self, engine: sa.Engine) -> None:
        """Reads only."""
        self._engine = engine
        self._seen: set[str] = set()

    def decisions(self) -> Sequence[sa.Row[tuple[object, ...]]]:
        """Decisions that were not there before, in the order of recording, with the names of whom they concern."""
        decisions, tenants, workflows = tables.decisions, tables.tenants, tables.workflows
        query = (
            sa.select(decisions, tenants.c.name.label("tenant_name"), workflows.c.name.label("workflow_name"))
            .join_from(decisions, tenants, tenants.c.id == decisions.c.tenant_id, isouter=True)
            .join(workflows, workflows.c.workflow_id == decisions.c.workflow_id, isouter=True)
            .order_by(decisions.c.recorded_at, decisions.c.occurred_at)
        )
        return self._new(query, lambda row: str(row.decision_id))

    def tasks(self) -> Sequence[sa.Row[tuple[object, ...]]]:
        """Tasks that were not there before, oldest first."""
        query = sa.select(tables.tasks).order_by(tables.tasks.c.created_at, tables.tasks.c.id)
        return self._new(query, lambda row: str(row.id))

    def system_names(self) -> dict[str, str]:
        """Display names by key."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(tables.systems.c.system_key, tables.systems.c.display_name))
            return {row.system_key: row.display_name for row in rows}

    def totals(self) -> Totals:
        """How much there is by now."""
        notifications = tables.notifications.c
        is_email_delivered = sa.and_(
            notifications.channel == Channel.EMAIL, notifications.status == NotificationStatus.DELIVERED
        )
        with self._engine.connect() as connection:

            def count(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
                query = sa.select(sa.func.count()).select_from(table).where(*conditions)
                return int(connection.execute(query).scalar_one())

            return Totals(
                decisions=count(tables.decisions),
                tasks=count(tables.tasks),
                in_app=count(tables.notifications, notifications.channel == Channel.IN_APP),
                emails_delivered=count(tables.notifications, is_email_delivered),
            )

    def _new(
        self, query: sa.Select[tuple[object, ...]], key: Callable[[sa.Row[tuple[object, ...]]], str]
    ) -> list[sa.Row[tuple[object, ...]]]:
        with self._engine.connect() as connection:
            rows = [row for row in connection.execute(query) if key(row) not in self._seen]
        self._seen.update(key(row) for row in rows)
        return rows
