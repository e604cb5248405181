"""Weekly reviews: what they say of a ledger (50.6)."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.credits.iso_weeks import last_week_before, period_of, week_of
from lifecycle.credits.weekly_report import DayTotal, Direction, WeeklyReport
from lifecycle.credits.weekly_review import ReviewedRun, first_needed, p95, review

WEEK = "2026-W04"
MONDAY = datetime(2026, 1, 19, tzinfo=UTC)
NEXT = MONDAY + timedelta(days=7)


def run(credits_total: float, hours: float = 1, **more: Any) -> ReviewedRun:
    """A run of the week, with whatever else is said of it."""
    baseline = more.get("baseline", Decimal(100))
    fields: dict[str, Any] = {
        "tenant_id": "t1",
        "scenario": "export",
        "workflow_id": "wf1",
        "execution_id": f"x{hours}",
        "occurred_at": MONDAY + timedelta(hours=hours),
        "credits": Decimal(str(credits_total)),
        "baseline": baseline,
        "multiplier": None if baseline is None else float(credits_total) / float(baseline),
        "status": "success",
        "retry_count": 0,
        "severity": "SEV4",
        "risk_flags": [],
        "misconfig_likelihood": "Low",
    }
    return ReviewedRun(**{**fields, **more})


def days_of(*runs: ReviewedRun) -> list[DayTotal]:
    """The daily sums of runs."""
    days = sorted({one.occurred_at.date() for one in runs})
    return [
        DayTotal(
            day=day,
            credits=sum((one.credits for one in runs if one.occurred_at.date() == day), Decimal(0)),
            runs=sum(one.occurred_at.date() == day for one in runs),
        )
        for day in days
    ]


def report(*runs: ReviewedRun, end: datetime = NEXT) -> WeeklyReport:
    """The review of the week."""
    return review(runs, days_of(*runs), week=WEEK, period_end=end, tenant_id="t1")


def test_totals_count_every_run_of_the_week_and_none_outside() -> None:
    stats = report(
        run(100),
        run(50, 0, status="failure", severity="SEV1"),
        run(25.5, 167.9, severity="SEV2"),
        run(1000, -1),
        run(1000, 168),
    ).summary_stats
    assert (stats.total_credits, stats.total_runs) == (Decimal("175.5"), 3)
    assert stats.avg_credits_per_run == Decimal("58.5")
    assert (stats.sev0_count, stats.sev1_count, stats.sev2_count, stats.sev3_count, stats.sev4_count) == (0, 1, 1, 0, 1)
    assert (stats.failed_runs, stats.failed_credits) == (1, 50)


def test_a_week_without_runs() -> None:
    empty = report()
    assert (empty.summary_stats.total_runs, empty.summary_stats.avg_credits_per_run) == (0, 0)
    assert (empty.top_scenarios_by_total, empty.policy_violations, empty.days) == ([], [], [])
    assert (empty.trend.direction, empty.forecast.expected) == (Direction.UNKNOWN, 0)
    assert empty.change.credits_change is None


@pytest.mark.parametrize(
    ("credits_total", "baseline"),
    [
        pytest.param(1e22, 100, id="more digits than a decimal usually has"),
        pytest.param(1e308, 5e-324, id="as large as doubles are, and a quotient beyond them"),
        pytest.param(5e-324, 1e308, id="as small as they are"),
    ],
)
def test_no_amount_ends_a_review(credits_total: float, baseline: float) -> None:
    odd = run(credits_total, baseline=Decimal(str(baseline)), multiplier=3.0)
    before = run(5e-324, hours=-24)
    found = review([odd, run(1, hours=2)], days_of(before, odd), week=WEEK, period_end=NEXT, tenant_id="t1")
    assert found.summary_stats.total_credits == Fraction(Decimal(str(credits_total))) + 1
    (summary,) = found.top_scenarios_by_total
    assert summary.variance_multiplier is not None
    assert math.isfinite(summary.variance_multiplier)
    assert found.change.credits_change is not None
    assert math.isfinite(found.change.credits_change)


def test_the_scenarios_that_cost_most() -> None:
    runs = [run(n, number, scenario=f"s{number % 7}") for number, n in enumerate(range(1, 71))]
    top = report(*runs).top_scenarios_by_total
    assert [one.scenario_id for one in top] == ["s6", "s5", "s4", "s3", "s2"]
    assert (top[0].run_count, top[0].total_credits, top[0].avg_credits) == (10, 385, Decimal("38.5"))
    assert (top[0].p95_credits, top[0].max_credits) == (70, 70)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(1, 1, id="of one"),
        pytest.param(19, 19, id="of 19 the last"),
        pytest.param(20, 19, id="of 20 the 19th"),
        pytest.param(21, 20, id="of 21 the 20th"),
        pytest.param(100, 95, id="of 100 the 95th"),
    ],
)
def test_the_nearest_rank(count: int, expected: int) -> None:
    assert p95([Decimal(n) for n in range(count, 0, -1)]) == expected


def test_a_scenario_is_compared_with_its_newest_baseline_and_one_without_with_none() -> None:
    (with_one,) = report(run(100, 1, baseline=Decimal(10)), run(300, 2, baseline=Decimal(100))).top_scenarios_by_total
    assert (with_one.baseline, with_one.variance_multiplier) == (100, 2.0)
    (without,) = report(run(1_000_000, baseline=None)).top_scenarios_by_total
    assert (without.baseline, without.variance_multiplier) == (None, None)


def test_spikes_are_at_least_twice_their_baseline_the_worst_first() -> None:
    spikes = report(*(run(credits_, number) for number, credits_ in enumerate([199, 200, 350, 900, 250, 600, 220])))
    assert [one.variance_multiplier for one in spikes.top_spike_runs] == [9.0, 6.0, 3.5, 2.5, 2.2]


def test_every_sev0_and_sev1_is_a_violation_the_worst_first() -> None:
    told = report(
        run(700, 1, severity="SEV1", risk_flags=["retry_loop"]),
        run(100, 2, severity="SEV0", risk_flags=["pii_exposure"]),
        run(800, 3, severity="SEV1"),
        run(300, 4, severity="SEV2"),
    ).policy_violations
    assert [(one.severity, one.violation_type) for one in told] == [
        ("SEV0", "pii_exposure"),
        ("SEV1", "credit_spike"),
        ("SEV1", "retry_loop"),
    ]


TEN = [run(110, hour) for hour in range(10)]


@pytest.mark.parametrize(
    ("runs", "is_one"),
    [
        pytest.param(TEN, True, id="ten steady runs a tenth above"),
        pytest.param(TEN[:9], False, id="nine are too few"),
        pytest.param([run(120, hour) for hour in range(10)], False, id="a fifth above"),
        pytest.param([run(110, hour, baseline=None) for hour in range(10)], False, id="nothing to compare with"),
        pytest.param([*TEN, run(110, 20, severity="SEV1")], False, id="a SEV1 in the week"),
        pytest.param([*TEN, run(110, -100, severity="SEV1")], False, id="a SEV1 in the week before"),
        pytest.param([*TEN, run(110, -169, severity="SEV1")], True, id="a SEV1 before that"),
        pytest.param([run(credits_, hour) for hour, credits_ in enumerate([50, 170] * 5)], False, id="not steady"),
    ],
)
def test_which_scenarios_are_candidates_for_a_new_baseline(runs: list[ReviewedRun], is_one: bool) -> None:
    assert bool(report(*runs).baseline_candidates) is is_one


def week_totals(*credits_: float) -> list[ReviewedRun]:
    """One run in each of the last weeks, the newest last."""
    return [
        run(one, 24 - number * 168, execution_id=f"w{number}") for number, one in enumerate(reversed(credits_)) if one
    ]


@pytest.mark.parametrize(
    ("weeks", "change", "direction"),
    [
        pytest.param([100, 100, 100, 100, 121], 0.21, Direction.GROWING, id="over a fifth more"),
        pytest.param([100, 100, 100, 100, 120], 0.2, Direction.STABLE, id="just a fifth more"),
        pytest.param([100, 100, 100, 100, 79], -0.21, Direction.DECLINING, id="over a fifth less"),
        pytest.param([200, 0, 0, 50, 130], 1.6, Direction.STABLE, id="weeks without runs don't count"),
        pytest.param([0, 0, 0, 0, 130], None, Direction.UNKNOWN, id="the first week"),
    ],
)
def test_against_the_weeks_before(weeks: list[float], change: float | None, direction: Direction) -> None:
    found = report(*week_totals(*weeks))
    assert (
        found.change.credits_change == pytest.approx(change) if change is not None else not found.change.previous_runs
    )
    assert found.trend.direction is direction
    assert [float(one.credits) for one in found.trend.weeks] == weeks
    assert [one.iso_week for one in found.trend.weeks][-2:] == ["2026-W03", "2026-W04"]


def test_the_month_goes_on_as_the_last_four_weeks_did() -> None:
    runs = [run(10 if day < 7 else 20, 24 * day - 24 * 20, execution_id=f"d{day}") for day in range(27)]
    forecast = report(*runs).forecast
    # 31 days; the week ends on the 25th. From December 30 on there were runs.
    assert (forecast.month, forecast.days_left) == ("2026-01", 6)
    assert forecast.spent == 5 * 10 + 20 * 20
    assert forecast.expected == pytest.approx(Decimal(450 + 470 / 27 * 6), abs=Decimal("0.001"))
    assert forecast.low <= forecast.expected <= forecast.high == 450 + 6 * 20


def test_a_week_to_date_is_compared_with_as_many_days_of_the_week_before() -> None:
    runs = [run(10, 24 * day + 1, execution_id=f"d{day}") for day in range(-7, 3)]
    to_date = report(*runs, end=MONDAY + timedelta(days=2, hours=12))
    assert (to_date.change.previous_credits, to_date.change.credits_change) == (30, 0.0)
    assert [one.day for one in to_date.days] == [date(2026, 1, day) for day in (19, 20, 21)]


def test_what_a_review_needs() -> None:
    runs, days = first_needed(NEXT)
    assert runs == NEXT - timedelta(days=14)
    assert days == NEXT - timedelta(days=35)
    assert first_needed(datetime(2026, 1, 20, 12, tzinfo=UTC))[0] == datetime(2026, 1, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("week", "begin"),
    [
        pytest.param("2026-W04", datetime(2026, 1, 19, tzinfo=UTC), id="a week"),
        pytest.param("2026-W01", datetime(2025, 12, 29, tzinfo=UTC), id="the first, which begins in December"),
        pytest.param("2026-W53", datetime(2026, 12, 28, tzinfo=UTC), id="the 53rd of a long year"),
    ],
)
def test_where_weeks_begin(week: str, begin: datetime) -> None:
    assert period_of(week) == (begin, begin + timedelta(days=7))
    assert week_of(begin) == week_of(begin + timedelta(days=6, hours=23)) == week
    assert last_week_before(begin + timedelta(days=7, hours=9)) == week


@pytest.mark.parametrize("week", ["2025-W53", "2026-W00", "2026-W60", "0001-W01", "9999-W01", "2026W04", "2026-W4", ""])
def test_what_is_no_week(week: str) -> None:
    with pytest.raises(ValueError, match="week"):
        period_of(week)


@given(st.permutations([run(n, n * 3, scenario=f"s{n % 4}", severity=f"SEV{n % 5}") for n in range(1, 30)]))
def test_the_order_of_the_ledger_is_no_matter(runs: list[ReviewedRun]) -> None:
    assert report(*runs) == report(*sorted(runs, key=lambda one: one.execution_id))
