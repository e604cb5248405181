"""The pages of the ledger's rows: each tenant's ledger is gone through in its order, once (50.1, 50.5)."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.artifact_links import safe_link
from lifecycle.kinds import CaseAction, CaseSeverity
from lifecycle.notion.backlog import heads_and_cursors, position
from lifecycle.notion.columns import RUN_STATUSES
from lifecycle.notion.cursors import move_cursor
from lifecycle.notion.due_pages import BATCH, may_be_tried, with_pages
from lifecycle.notion.kinds import NotionCursor, NotionKind
from lifecycle.notion.page_writer import Wanted
from lifecycle.notion.values import Content

_runs, _heads, _joined = tables.credit_runs.c, tables.credit_ledger_heads.c, tables.credit_case_runs.c
_cursors, _pages = tables.notion_cursors.c, tables.notion_pages.c

#: The gravest first.
_SEVERITIES = ("SEV0", "SEV1", "SEV2", "SEV3", "SEV4")


def due_runs(connection: sa.Connection, min_severity: str) -> list[Wanted]:
    """Rows without a page, at most `BATCH`: those of SEV0 cases, else those that did not work, else the next.

    Less grave runs are passed over. A row that is tried has a row of `notion_pages`, so it is not lost when the
    cursor, which is moved here, goes on.
    """
    severities = _SEVERITIES[: _SEVERITIES.index(min_severity) + 1]
    return _of_cases(connection) or _to_repeat(connection) or _next(connection, severities)


def _of_cases(connection: sa.Connection) -> list[Wanted]:
    """Their pages shall be locked soon, however long the ledger is."""
    query = with_pages(
        sa.select(tables.credit_runs).join(
            tables.credit_case_runs,
            sa.and_(
                _joined.tenant_id == _runs.tenant_id,
                _joined.workflow_id == _runs.workflow_id,
                _joined.execution_id == _runs.execution_id,
            ),
        ),
        NotionKind.RUN,
        _runs.tenant_id,
        _object_id(),
    )
    due = connection.execute(
        query.where(_joined.severity == CaseSeverity.SEV0, _pages.id.is_(None)).order_by(_joined.joined_at).limit(BATCH)
    )
    # A run may be of two cases, when one was reopened.
    return list({(row.tenant_id, row.seq): _wanted(row) for row in due}.values())


def _to_repeat(connection: sa.Connection) -> list[Wanted]:
    due = connection.execute(
        sa.select(tables.credit_runs)
        .join(
            tables.notion_pages,
            sa.and_(_pages.tenant_id == _runs.tenant_id, sa.cast(_pages.object_id, sa.BigInteger) == _runs.seq),
        )
        .where(
            _pages.kind == NotionKind.RUN,
            _pages.digest.is_(None),
            may_be_tried(),
        )
        .order_by(_pages.not_before)
        .limit(BATCH)
    )
    return [_wanted(row) for row in due]


def _next(connection: sa.Connection, severities: Sequence[str]) -> list[Wanted]:
    """The next rows of the tenant whose cursor has waited longest, of those that have any."""
    while True:
        tenant = connection.execute(
            sa.select(_heads.tenant_id, _heads.seq, position().label("position"))
            .select_from(heads_and_cursors())
            .where(_heads.seq > position())
            .order_by(_cursors.moved_at.nulls_first(), _heads.tenant_id)
            .limit(1)
        ).first()
        if tenant is None:
            return []
        query = with_pages(sa.select(tables.credit_runs), NotionKind.RUN, _runs.tenant_id, _object_id())
        rows = connection.execute(
            query.where(
                _runs.tenant_id == tenant.tenant_id,
                _runs.seq > tenant.position,
                _runs.seq <= tenant.seq,
                _runs.severity.in_(severities),
                _pages.id.is_(None),
            )
            .order_by(_runs.seq)
            .limit(BATCH)
        ).all()
        # All before the first of them are done, or tried.
        seq = rows[0].seq - 1 if rows else tenant.seq
        move_cursor(connection, NotionCursor.RUNS, tenant.tenant_id, seq=seq)
        if rows:
            return [_wanted(row) for row in rows]


def _object_id() -> sa.ColumnElement[str]:
    return sa.cast(_runs.seq, sa.Text)


def _wanted(run: sa.Row[Any]) -> Wanted:
    return Wanted(
        kind=NotionKind.RUN,
        tenant_id=run.tenant_id,
        object_id=str(run.seq),
        version=1,  # the ledger is never rewritten
        content=Content(
            title=run.execution_id,
            columns={
                "Run_ID": run.execution_id,
                "Timestamp": run.occurred_at,
                "Tenant_ID": run.tenant_id,
                "Workflow_ID": run.workflow_id,
                "Scenario_Name": run.scenario_name or run.scenario,
                "Scenario_ID": run.scenario_id or run.scenario,
                "Job_Type": run.job_type,
                "Status": RUN_STATUSES.get(run.status, run.status),
                "Credits_Total": run.credits_total,
                "Credits_In": run.credits_in,
                "Credits_Out": run.credits_out,
                "Model": run.model,
                "Input_Tokens": run.input_tokens,
                "Output_Tokens": run.output_tokens,
                "Artifacts_Link": safe_link(run.artifacts_link),
                "Severity": run.severity,
                "Risk_Flags": run.risk_flags,
                "Risk_Summary": run.risk_summary,
                "Misconfig_Likelihood": run.misconfig_likelihood,
                "Baseline_Expected_Credits": run.baseline_credits,
                "Variance_Multiplier": run.variance_multiplier,
            },
        ),
        lock=CaseAction.PAGE_LOCK in run.actions,
    )
