"""The page of a weekly review: its totals as columns, its tables below them (50.6)."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from lifecycle import tables
from lifecycle.credits.reviews import read_review
from lifecycle.credits.weekly_report import ScenarioSummary, SpikeRun, WeeklyReport
from lifecycle.notion.client import Properties
from lifecycle.notion.due_pages import BATCH, is_due, with_pages
from lifecycle.notion.kinds import NotionKind
from lifecycle.notion.page_writer import Wanted
from lifecycle.notion.values import Content, Value, as_text, text
from lifecycle.options import LifecycleOptions

_reviews = tables.credit_reviews.c

#: Notion takes a hundred rows of a table at once, the head included; the console shows all.
_MAX_ROWS = 99
_ALL = "@all"


def due_reviews(connection: sa.Connection, options: LifecycleOptions) -> list[Wanted]:
    """The newest revisions that no page shows yet, the oldest weeks first; at most `BATCH`."""
    newest = (
        sa.select(_reviews.tenant_id, _reviews.iso_week, _reviews.revision)
        .ext(distinct_on(_reviews.iso_week, _reviews.tenant_id))
        .order_by(_reviews.iso_week, _reviews.tenant_id, _reviews.revision.desc())
        .subquery()
        .c
    )
    object_id = newest.iso_week + "/" + sa.func.coalesce(newest.tenant_id, _ALL)
    query = with_pages(
        sa.select(newest.tenant_id, newest.iso_week, newest.revision), NotionKind.REVIEW, newest.tenant_id, object_id
    )
    due = connection.execute(
        query.where(is_due(newest.revision)).order_by(newest.iso_week, newest.tenant_id.nulls_first()).limit(BATCH)
    ).all()
    return [_wanted(connection, row, options) for row in due]


def _wanted(connection: sa.Connection, row: sa.Row[Any], options: LifecycleOptions) -> Wanted:
    read = read_review(connection, iso_week=row.iso_week, tenant_id=row.tenant_id, revision=row.revision)
    assert read is not None
    report = read[1]
    totals = report.summary_stats
    return Wanted(
        kind=NotionKind.REVIEW,
        tenant_id=row.tenant_id,
        object_id=f"{row.iso_week}/{row.tenant_id or _ALL}",
        version=row.revision,
        content=Content(
            title=report.report_id,
            columns={
                "Report ID": report.report_id,
                "ISO Week": report.iso_week,
                "Tenant": row.tenant_id or "all tenants",
                "Revision": row.revision,
                "Period Start": report.period_start,
                "Period End": report.period_end,
                "Total Credits": totals.total_credits,
                "Total Runs": totals.total_runs,
                "SEV0": totals.sev0_count,
                "SEV1": totals.sev1_count,
                "SEV2": totals.sev2_count,
                "Failed Runs": totals.failed_runs,
                "Forecast": report.forecast.expected,
                "Link": options.review_link(row.iso_week, row.tenant_id),
            },
            children=tuple(_blocks(report)),
        ),
    )


def _blocks(report: WeeklyReport) -> Iterator[Properties]:
    change = report.change.credits_change
    against = "nothing was spent the week before" if change is None else f"{change:+.0%} against the week before"
    yield _paragraph(
        f"{_amount(report.summary_stats.total_credits)} credits in {report.summary_stats.total_runs:,} runs, {against}."
        f" {report.forecast.month} is expected to cost {_amount(report.forecast.expected)}"
        f" (between {_amount(report.forecast.low)} and {_amount(report.forecast.high)})."
    )
    scenario_head = ("Scenario", "Credits", "Runs", "Average", "Baseline", "Multiplier", "p95", "Maximum")
    yield from _table("Top scenarios", scenario_head, map(_scenario, report.top_scenarios_by_total))
    run_head = ("Run", "Scenario", "Credits", "Multiplier", "Severity", "What")
    yield from _table("Top spikes", run_head, map(_run, report.top_spike_runs))
    yield from _table("Baseline candidates", scenario_head, map(_scenario, report.baseline_candidates))
    yield from _table("Policy violations", run_head, map(_run, report.policy_violations))
    weeks = ((week.iso_week, week.credits, week.runs) for week in report.trend.weeks)
    yield from _table(f"Trend: {report.trend.direction}", ("Week", "Credits", "Runs"), weeks)


def _scenario(one: ScenarioSummary) -> Sequence[Value]:
    return (
        one.scenario_id,
        one.total_credits,
        one.run_count,
        one.avg_credits,
        one.baseline,
        _times(one.variance_multiplier),
        one.p95_credits,
        one.max_credits,
    )


def _run(one: SpikeRun) -> Sequence[Value]:
    return (
        one.run_id,
        one.scenario_id,
        one.credits_total,
        _times(one.variance_multiplier),
        one.severity,
        one.violation_type,
    )


def _times(multiplier: float | None) -> str | None:
    return None if multiplier is None else f"{multiplier:,.2f}×"


def _amount(amount: Decimal) -> str:
    return f"{amount:,.2f}".removesuffix(".00")


def _table(heading: str, head: Sequence[str], rows: Iterable[Sequence[Value]]) -> Iterator[Properties]:
    listed = list(rows)
    if not listed:
        return
    more = f", {_MAX_ROWS} of {len(listed):,}" if len(listed) > _MAX_ROWS else ""
    yield {"object": "block", "type": "heading_2", "heading_2": {"rich_text": text(f"{heading}{more}")}}
    yield {
        "object": "block",
        "type": "table",
        "table": {
            "table_width": len(head),
            "has_column_header": True,
            "children": [_row(head), *(_row(row) for row in listed[:_MAX_ROWS])],
        },
    }


def _row(cells: Sequence[Value]) -> Properties:
    shown = [text(_amount(cell) if isinstance(cell, Decimal) else as_text(cell)) for cell in cells]
    return {"object": "block", "type": "table_row", "table_row": {"cells": shown}}


def _paragraph(words: str) -> Properties:
    return {"object": "block", "type": "paragraph", "paragraph": {"rich_text": text(words)}}
