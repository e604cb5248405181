"""A case's run that is to be in the weekly review is in it: the action is done (50.2)."""

from datetime import datetime

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import ActionResult, CaseAction

_actions = tables.credit_case_actions.c
_case_runs = tables.credit_case_runs.c
_ledger = tables.credit_runs.c


def note_reviewed(connection: sa.Connection, *, tenant_id: str, begin: datetime, end: datetime) -> int:
    """Say of a tenant's cases with a run in `[begin, end)` that they are reviewed; of how many.

    For the transaction that writes the review. Only runs that the ledger has by then are in it.
    """
    is_in_review = (
        sa.exists()
        .where(_case_runs.tenant_id == tenant_id, _case_runs.case_id == _actions.case_id)
        .where(
            _ledger.tenant_id == tenant_id,
            _ledger.workflow_id == _case_runs.workflow_id,
            _ledger.execution_id == _case_runs.execution_id,
            _ledger.occurred_at >= begin,
            _ledger.occurred_at < end,
        )
    )
    return connection.execute(
        sa.update(tables.credit_case_actions)
        .where(
            _actions.tenant_id == tenant_id,
            _actions.action == CaseAction.WEEKLY_REVIEW,
            _actions.result == ActionResult.PLANNED,
            is_in_review,
        )
        .values(result=ActionResult.DONE, finished_at=sa.func.now())
    ).rowcount
