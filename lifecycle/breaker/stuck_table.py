"""How often a workflow got stuck lately, as the table says: the truth that Redis is a copy of (40.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from lifecycle import tables

#: The longest window there is; what is older than this, seen from the newest, counts for nothing.
LONGEST_WINDOW = timedelta(days=7)

_stuck = tables.stuck_executions.c
_blacklist = tables.workflow_blacklist.c


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckCounter:
    """A workflow's stuck executions since its last release."""

    #: Executions that got stuck later than this count; None: it was never released.
    released_at: datetime | None = None
    #: The newest time recorded, also of an execution that recovered since; None while there is none.
    newest: datetime | None = None
    #: By execution id, without those that recovered.
    stuck: Mapping[str, datetime]
    #: When those that moved again did so.
    recovered: Mapping[str, datetime]

    def within(self, window: timedelta) -> list[str]:
        """The executions that count, sorted: those of `(newest - window, newest]`."""
        if self.newest is None:
            return []
        begin = self.newest - window
        return sorted(execution_id for execution_id, stuck_at in self.stuck.items() if stuck_at > begin)


def read_counter(connection: sa.Connection, tenant_id: str, workflow_id: str) -> StuckCounter:
    """What the table says of a workflow."""
    whose = {"tenant": tenant_id, "workflow": workflow_id}
    released_at = connection.execute(_RELEASED, whose).scalar()
    rows = connection.execute(_ROWS, {**whose, "released_at": released_at, "longest": LONGEST_WINDOW}).all()
    return StuckCounter(
        released_at=released_at,
        newest=max((row.stuck_at for row in rows if row.stuck_at is not None), default=None),
        stuck={row.execution_id: row.stuck_at for row in rows if row.recovered_at is None},
        recovered={row.execution_id: row.recovered_at for row in rows if row.recovered_at is not None},
    )


_RELEASED = sa.select(sa.func.max(_blacklist.removed_at)).where(
    _blacklist.tenant_id == sa.bindparam("tenant"), _blacklist.workflow_id == sa.bindparam("workflow")
)
_of_the_workflow = sa.and_(_stuck.tenant_id == sa.bindparam("tenant"), _stuck.workflow_id == sa.bindparam("workflow"))
_released_at = sa.func.coalesce(
    sa.bindparam("released_at", type_=sa.DateTime(timezone=True)), sa.text("'-infinity'::timestamptz")
)
_longest = sa.bindparam("longest", type_=sa.Interval())
_newest = sa.select(sa.func.max(_stuck.stuck_at)).where(_of_the_workflow).scalar_subquery()
_ROWS = sa.select(_stuck.execution_id, _stuck.stuck_at, _stuck.recovered_at).where(
    _of_the_workflow,
    sa.or_(
        sa.and_(_stuck.stuck_at > _released_at, _stuck.stuck_at > _newest - _longest),
        # Its recovery came first; the word that it was stuck may follow.
        sa.and_(_stuck.stuck_at.is_(None), _stuck.recovered_at > sa.func.now() - _longest),
    ),
)
