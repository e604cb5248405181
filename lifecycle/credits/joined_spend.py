"""Read which spend anomalies joined a task: how many, of when, and those furthest above what was expected (50.9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.spend_history import SpendEpisode, episode_rows, read_episode
from lifecycle.kinds import SpendRise

_joined = tables.task_decisions.c
_decisions = tables.decisions.c


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedSpend:
    """The anomalies of one task, which are of one tenant and kind."""

    rise: SpendRise
    count: int
    #: Event time of the first and the last one.
    since: datetime
    until: datetime
    #: The furthest first.
    furthest: Sequence[SpendEpisode]


def read_joined(connection: sa.Connection, task_ids: Sequence[str], *, limit: int) -> Mapping[str, JoinedSpend]:
    """What joined each of the tasks, with `limit` anomalies at most of each; tasks of other kinds are left out."""
    spent = sa.func.coalesce(_decisions.observed["credits"].astext, _decisions.observed["credits_a_day"].astext)
    beyond = sa.cast(spent, sa.Numeric) - sa.cast(_decisions.threshold["expected"].astext, sa.Numeric)
    ranked = (
        episode_rows()
        .join(tables.task_decisions, _joined.decision_id == _decisions.decision_id)
        .add_columns(
            _joined.task_id,
            sa.func.count().over(partition_by=_joined.task_id).label("joined"),
            sa.func.min(_decisions.occurred_at).over(partition_by=_joined.task_id).label("since"),
            sa.func.max(_decisions.occurred_at).over(partition_by=_joined.task_id).label("until"),
            sa.func.row_number()
            .over(
                partition_by=_joined.task_id, order_by=(beyond.desc(), _decisions.occurred_at, _decisions.decision_id)
            )
            .label("rank"),
        )
        .where(_joined.task_id.in_(task_ids))
        .subquery()
    )
    rows = connection.execute(sa.select(ranked).where(ranked.c.rank <= limit).order_by(ranked.c.task_id, ranked.c.rank))
    found = {}
    for task_id, some in groupby(rows, key=lambda row: str(row.task_id)):
        of_task = list(some)
        found[task_id] = JoinedSpend(
            rise=SpendRise(of_task[0].reason_code),
            count=of_task[0].joined,
            since=of_task[0].since.astimezone(UTC),
            until=of_task[0].until.astimezone(UTC),
            furthest=[read_episode(row) for row in of_task],
        )
    return found
