"""`breakwater weekly-review`: what a week cost, as files, in the console and here (50.6)."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import typer

from cli.credit_work import AsJson, By, operator, recorded, transaction
from cli.options import fail_usage
from cli.printable import printable
from config.settings import load_settings
from lifecycle.credits.iso_weeks import last_week_before, period_of
from lifecycle.credits.reviews import Review, make_reviews, read_review
from lifecycle.credits.weekly_report import WeeklyReport
from lifecycle.kinds import CreditJob
from lifecycle.options import LifecycleOptions


def weekly_review(
    week: Annotated[
        str | None, typer.Option(help="An ISO week, 2026-W04; the last one that is over.", metavar="WEEK")
    ] = None,
    by: By = "operator",
    as_json: AsJson = False,
) -> None:
    """Review a week of all tenants together and of each; the week that runs now is reviewed to date."""
    now = datetime.now(UTC)
    week = week or last_week_before(now)
    try:
        begin, end = period_of(week)
    except ValueError as error:
        fail_usage(f"--week: {error}")
    if begin > now:
        fail_usage("--week: has not begun")
    settings = load_settings()
    options = LifecycleOptions.of(settings)
    with recorded(settings, CreditJob.WEEKLY_REVIEW, by) as record, transaction(settings) as connection:
        made = make_reviews(connection, week, min(end, now), actor_context=operator(by), options=options)
        together = read_review(connection, iso_week=week, tenant_id=None)
        record.made = len(made)
    assert together is not None
    if as_json:
        reviews = [_fields(review, str(options.reviews_dir / review.file_name)) for review, _ in made]
        typer.echo(
            json.dumps(
                {
                    "iso_week": week,
                    "report": json.loads(together[2], parse_float=_as_written),
                    "reviews": reviews,
                },
                ensure_ascii=False,
            )
        )
        return
    typer.echo(_text(together[1]))
    for review, _ in made:
        typer.echo(f"wrote {options.reviews_dir / review.file_name}")
    if options.reviews_archive is not None:
        typer.echo("the worker copies them into the archive")


def _as_written(text: str) -> float | int:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(text)


def _fields(review: Review, path: str) -> dict[str, object]:
    return {
        "tenant_id": review.tenant_id,
        "revision": review.revision,
        "file": path,
        "sha256": review.sha256,
        "total_credits": float(review.total_credits),
        "total_runs": review.total_runs,
    }


def _text(report: WeeklyReport) -> str:
    stats, forecast = report.summary_stats, report.forecast
    change = report.change.credits_change
    by_severity = (stats.sev0_count, stats.sev1_count, stats.sev2_count, stats.sev3_count, stats.sev4_count)
    lines = [
        f"Week {report.iso_week}: {report.period_start:%Y-%m-%d} to {report.period_end:%Y-%m-%d %H:%M} UTC",
        f"Credits: {stats.total_credits:,f}" + ("" if change is None else f" ({change:+.0%} against the week before)"),
        f"Runs: {stats.total_runs:,} ({stats.failed_runs:,} failed, {stats.failed_credits:,f} credits)",
        ", ".join(f"SEV{number} {count:,}" for number, count in enumerate(by_severity)),
        f"Forecast for {forecast.month}: {forecast.expected:,.0f} ({forecast.low:,.0f} to {forecast.high:,.0f})",
    ]
    for number, one in enumerate(report.top_scenarios_by_total, 1):
        compared = "no baseline" if one.variance_multiplier is None else f"{one.variance_multiplier:.2f}× baseline"
        lines.append(f"  {number}. {printable(one.scenario_id)}: {one.total_credits:,f} credits ({compared})")
    return "\n".join(lines)
