"""The weekly jobs of credit monitoring: baselines on Sundays, reviews on Mondays (50.3, 50.6)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import WORKER
from lifecycle.credits.baselines import update_baselines
from lifecycle.credits.calendar_jobs import Work
from lifecycle.credits.iso_weeks import last_week_before, period_of
from lifecycle.credits.reviews import Review, lock_reviews, make_reviews
from lifecycle.credits.weekly_report import ScenarioSummary, WeeklyReport
from lifecycle.ids import stable_id
from lifecycle.kinds import CreditJob, Severity, Template
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import ops_recipients
from lifecycle.texts import one_line


def weekly_jobs(options: LifecycleOptions) -> Mapping[CreditJob, Work]:
    """What each job does."""

    def update(connection: sa.Connection, tick: datetime, go_on: Callable[[], None]) -> int:
        done = update_baselines(connection, tick, actor_context=WORKER, options=options, go_on=go_on)
        if done.updated or done.proposed:
            tell_of_baselines(connection, str(tick), len(done.updated), len(done.proposed), options)
        return len(done.updated)

    def review(connection: sa.Connection, tick: datetime, go_on: Callable[[], None]) -> int:
        lock_reviews(connection)
        # Nothing to look back on, at a new installation.
        if connection.execute(sa.select(tables.credit_ledger_heads.c.seq).limit(1)).first() is None:
            return 0
        week = last_week_before(tick)
        made = make_reviews(connection, week, period_of(week)[1], actor_context=WORKER, options=options, go_on=go_on)
        tell_of_reviews(connection, made, options)
        return len(made)

    return {CreditJob.UPDATE_BASELINES: update, CreditJob.WEEKLY_REVIEW: review}


def tell_of_baselines(
    connection: sa.Connection, cause: str, count: int, proposed: int, options: LifecycleOptions
) -> None:
    """`Baselines updated for N scenarios`, to operations; once a cause."""
    put_notices(
        connection,
        tenant_id=None,
        notices=[
            Notice(
                template=Template.BASELINES_UPDATED,
                severity=Severity.INFO,
                episode_id=stable_id("baselines_updated", cause),
                decision_id=None,
                link=options.credits_link(),
                context={"count": count, "proposed": proposed},
                recipients=ops_recipients(options),
            )
        ],
    )


def tell_of_reviews(
    connection: sa.Connection, made: Sequence[tuple[Review, WeeklyReport]], options: LifecycleOptions
) -> None:
    """A summary of all tenants together, to operations; once a revision."""
    for one, report in made:
        if one.tenant_id is not None:
            continue
        stats, change = report.summary_stats, report.change.credits_change
        put_notices(
            connection,
            tenant_id=None,
            notices=[
                Notice(
                    template=Template.CREDIT_REVIEW,
                    severity=Severity.WARNING if stats.sev0_count or stats.sev1_count else Severity.INFO,
                    episode_id=stable_id("credit_review", one.id),
                    decision_id=None,
                    link=options.review_link(one.iso_week, None),
                    context={
                        "week": one.iso_week,
                        "credits": f"{stats.total_credits:,.6f}".rstrip("0").rstrip("."),
                        "runs": f"{stats.total_runs:,}",
                        "change": None if change is None else f"{change:+.0%}",
                        "sev0": stats.sev0_count,
                        "sev1": stats.sev1_count,
                        "failed": stats.failed_runs,
                        "top": [_line(scenario) for scenario in report.top_scenarios_by_total],
                    },
                    recipients=ops_recipients(options),
                )
            ],
        )


def _line(scenario: ScenarioSummary) -> str:
    multiplier = scenario.variance_multiplier
    compared = "no baseline" if multiplier is None else f"{multiplier:.2f}× baseline"
    return f"{one_line(scenario.scenario_id)}: {scenario.total_credits:,.0f} credits ({compared})"
