"""Count what operations watches (80.4)."""

from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import OPEN_TASK_STATUSES, Priority, TaskKind
from lifecycle.statuses import Status


@dataclass(frozen=True, slots=True)
class Overview:
    """How things stand now, over all tenants."""

    automations_blocked: int
    workflows_blacklisted: int
    #: Pairs without an open task are absent.
    tasks_open: dict[tuple[TaskKind, Priority], int]

    @property
    def tasks_open_total(self) -> int:
        """Open tasks of any kind."""
        return sum(self.tasks_open.values())


def read_overview(connection: sa.Connection) -> Overview:
    """Count; one statement each, so that the numbers may be an instant apart."""
    blocked = connection.execute(
        sa.select(sa.func.count())
        .select_from(tables.automation_versions)
        .where(tables.automation_versions.c.status == Status.BLOCKED)
    ).scalar_one()
    blacklisted = connection.execute(
        sa.select(sa.func.count())
        .select_from(tables.workflow_blacklist)
        .where(tables.workflow_blacklist.c.removed_at.is_(None))
    ).scalar_one()
    tasks = connection.execute(
        sa.select(tables.tasks.c.kind, tables.tasks.c.priority, sa.func.count())
        .where(tables.tasks.c.status.in_(OPEN_TASK_STATUSES))
        .group_by(tables.tasks.c.kind, tables.tasks.c.priority)
    )
    return Overview(
        automations_blocked=blocked,
        workflows_blacklisted=blacklisted,
        tasks_open={(TaskKind(kind), Priority(priority)): count for kind, priority, count in tasks},
    )
