"""The page of a credit case: a row of the cases database (50.4, 50.5)."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import ActionResult, CaseAction
from lifecycle.notion.columns import GATE, STAGE, VERDICT
from lifecycle.notion.due_pages import BATCH, is_due, with_pages
from lifecycle.notion.kinds import NotionKind
from lifecycle.notion.page_writer import Wanted
from lifecycle.notion.values import Content
from lifecycle.options import LifecycleOptions

_cases, _runs, _actions = tables.credit_cases.c, tables.credit_case_runs.c, tables.credit_case_actions.c

#: The newest runs of a case that its page names.
_MAX_RUNS = 100

#: A lock that was asked for and is not there.
_OPEN = (ActionResult.PLANNED, ActionResult.FAILED)
_LOCK_IS_OPEN = sa.exists().where(
    _actions.tenant_id == _cases.tenant_id,
    _actions.case_id == _cases.id,
    _actions.action == CaseAction.PAGE_LOCK,
    _actions.result.in_(_OPEN),
)


def due_cases(connection: sa.Connection, options: LifecycleOptions) -> list[Wanted]:
    """Cases whose pages are not up to date, the gravest first; at most `BATCH`. Looks at all cases."""
    query = with_pages(
        sa.select(tables.credit_cases, _LOCK_IS_OPEN.label("lock")), NotionKind.CASE, _cases.tenant_id, _object_id()
    )
    due = connection.execute(
        query.where(is_due(_cases.version, _LOCK_IS_OPEN)).order_by(_cases.severity, _cases.opened_at).limit(BATCH)
    ).all()
    return [_wanted(case, _runs_of(connection, case), options) for case in due]


def note_lock(connection: sa.Connection, wanted: Wanted, result: ActionResult) -> None:
    """Write down what became of the lock that a case asked for."""
    connection.execute(
        sa.update(tables.credit_case_actions)
        .where(
            _actions.tenant_id == wanted.tenant_id,
            _actions.case_id == wanted.object_id,
            _actions.action == CaseAction.PAGE_LOCK,
            _actions.result.in_(_OPEN),
        )
        .values(result=result, finished_at=sa.func.clock_timestamp())
    )


def fail_locks(connection: sa.Connection) -> None:
    """Nothing can be locked now: each lock that was planned has failed, until it is made after all."""
    connection.execute(
        sa.update(tables.credit_case_actions)
        .where(_actions.action == CaseAction.PAGE_LOCK, _actions.result == ActionResult.PLANNED)
        .values(result=ActionResult.FAILED, finished_at=sa.func.clock_timestamp())
    )


def _object_id() -> sa.ColumnElement[str]:
    return sa.cast(_cases.id, sa.Text)


def _runs_of(connection: sa.Connection, case: sa.Row[Any]) -> Sequence[str]:
    return (
        connection.execute(
            sa.select(_runs.execution_id)
            .where(_runs.tenant_id == case.tenant_id, _runs.case_id == case.id)
            .order_by(_runs.occurred_at.desc(), _runs.execution_id)
            .limit(_MAX_RUNS)
        )
        .scalars()
        .all()
    )


def _wanted(case: sa.Row[Any], runs: Sequence[str], options: LifecycleOptions) -> Wanted:
    return Wanted(
        kind=NotionKind.CASE,
        tenant_id=case.tenant_id,
        object_id=case.id,
        version=case.version,
        content=Content(
            title=case.title,
            columns={
                "Case_ID": case.case_id,
                "Tenant_ID": case.tenant_id,
                "Scenario": case.scenario,
                "Category": case.category,
                "Severity": case.severity,
                "Exposure_Band": case.exposure_band,
                "Status": case.status,
                STAGE: case.stage,
                GATE: case.wt_gate_for_automation,
                VERDICT: case.wt_gate_verdict,
                "Root_Cause": case.root_cause,
                "Primary_Run_ID": case.primary_execution_id,
                "Related_Run_IDs": ", ".join(runs),
                "Fix_Patch": case.fix,
                "Prevent_Recurrence_Notes": case.recurrence_notes,
                "Slack_Thread_URL": case.slack_thread_url,
                "Link": options.case_link(case.case_id),
                "Created_At": case.opened_at,
                "Updated_At": case.updated_at,
                "Resolved_At": case.resolved_at,
            },
        ),
        lock=case.lock,
    )
