"""Count what operations watches (80.4)."""

from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.case_reads import count_open_cases
from lifecycle.intents import list_open_intents
from lifecycle.kinds import OPEN_TASK_STATUSES, CaseSeverity, HoldKind, HoldStatus, Priority, TaskKind
from lifecycle.statuses import Status


@dataclass(frozen=True, slots=True)
class Overview:
    """How things stand now, over all tenants."""

    automations_blocked: int
    workflows_blacklisted: int
    #: Pairs without an open task are absent.
    tasks_open: dict[tuple[TaskKind, Priority], int]
    provider_incidents: int
    #: Decisions that wait; kinds without any are absent.
    holds: dict[HoldKind, int]
    #: Credit cases that are not resolved; severities without any are absent.
    cases_open: dict[CaseSeverity, int]
    #: What was asked of the platform and is not settled.
    platform_intents: int

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
    incidents = connection.execute(
        sa.select(sa.func.count())
        .select_from(tables.provider_incidents)
        .where(tables.provider_incidents.c.closed_at.is_(None))
    ).scalar_one()
    holds = connection.execute(
        sa.select(tables.holds.c.kind, sa.func.count())
        .where(tables.holds.c.status == HoldStatus.HELD)
        .group_by(tables.holds.c.kind)
    )
    return Overview(
        provider_incidents=incidents,
        holds={HoldKind(kind): count for kind, count in holds},
        cases_open=count_open_cases(connection),
        platform_intents=len(list_open_intents(connection)),
        automations_blocked=blocked,
        workflows_blacklisted=blacklisted,
        tasks_open={(TaskKind(kind), Priority(priority)): count for kind, priority, count in tasks},
    )
