"""Make a week's review from rows of the ledger (50.6). Pure; all sums are exact."""

from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from sys import float_info

from lifecycle.credits.baseline_arithmetic import STABLE_WINDOW, Run, instability
from lifecycle.credits.entry import plain
from lifecycle.credits.iso_weeks import WEEK, period_of, week_of
from lifecycle.credits.weekly_report import (
    Change,
    DayTotal,
    Direction,
    Forecast,
    ScenarioSummary,
    SpikeRun,
    Totals,
    Trend,
    WeeklyReport,
    WeekTotal,
)

TOP = 5
SPIKE = 2.0
#: A candidate for a new baseline costs less than this times the one it has, and has run so often.
CANDIDATE_BELOW = 1.2
CANDIDATE_RUNS = 10
#: Weeks before this one that tell of the trend, and days that the forecast goes by.
TREND_WEEKS = 4
FORECAST_DAYS = 28
_TURN = Fraction(1, 5)
_DIGITS = Decimal("0.000001")

#: Enough digits for sums of any doubles: what one tenant sends must not end the review of all.
EXACT_DIGITS = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedRun:
    """What of a ledger's row a review tells."""

    tenant_id: str
    scenario: str
    workflow_id: str
    execution_id: str
    occurred_at: datetime
    credits: Decimal
    baseline: Decimal | None
    multiplier: float | None
    status: str
    retry_count: int | None
    severity: str
    risk_flags: Sequence[str]
    misconfig_likelihood: str

    @property
    def is_grave(self) -> bool:
        """A SEV0 or SEV1."""
        return self.severity in ("SEV0", "SEV1")


@dataclass(slots=True)
class _Scenario:
    """Of one scenario: the week's credits, its newest baseline, and 14 days of what says whether it is stable."""

    credits: list[Decimal] = field(default_factory=list)
    baseline: Decimal | None = None
    baseline_at: datetime | None = None
    runs: list[Run] = field(default_factory=list)


def first_needed(period_end: datetime) -> tuple[datetime, datetime]:
    """From when on `review` needs runs, and from when on days."""
    end_of_week = period_of(week_of(period_end - timedelta(microseconds=1)))[1]
    month = _last_day(period_end).replace(day=1)
    return (
        min(end_of_week - WEEK, period_end - STABLE_WINDOW),
        min(end_of_week - (TREND_WEEKS + 1) * WEEK, datetime(month.year, month.month, 1, tzinfo=UTC)),
    )


def review(
    runs: Iterable[ReviewedRun],
    days: Sequence[DayTotal],
    *,
    week: str,
    period_end: datetime,
    tenant_id: str | None,
) -> WeeklyReport:
    """The report of `week` until `period_end`, from runs and daily sums since `first_needed`; the order is no matter.

    A run counts by its event time. About 4 µs a run; holds the credits of each.
    """
    with localcontext(prec=EXACT_DIGITS):
        return _review(runs, days, week, period_end, tenant_id)


def _review(
    runs: Iterable[ReviewedRun], days: Sequence[DayTotal], week: str, period_end: datetime, tenant_id: str | None
) -> WeeklyReport:
    begin, _ = period_of(week)
    totals: Counter[str] = Counter()
    spent = failed = Decimal(0)
    scenarios: dict[tuple[str, str], _Scenario] = {}
    spikes: list[ReviewedRun] = []
    violations: list[ReviewedRun] = []
    for run in runs:
        if run.occurred_at >= period_end:
            continue
        scenario = scenarios.setdefault((run.tenant_id, run.scenario), _Scenario())
        if run.occurred_at >= period_end - STABLE_WINDOW:
            scenario.runs.append(Run(run.occurred_at, run.credits, run.status, run.retry_count, run.severity))
        if run.occurred_at < begin:
            continue
        _count(scenario, run)
        totals[run.severity] += 1
        spent += run.credits
        if run.status != "success":
            totals["failed"] += 1
            failed += run.credits
        if run.multiplier is not None and run.multiplier >= SPIKE:
            spikes.append(run)
            if len(spikes) > 100 * TOP:
                spikes = _worst(spikes)
        if run.is_grave:
            violations.append(run)
    summaries = sorted(
        (_summary(key, scenario) for key, scenario in scenarios.items() if scenario.credits),
        key=lambda one: (-one.total_credits, one.tenant_id, one.scenario_id),
    )
    count = sum(one.run_count for one in summaries)
    return WeeklyReport(
        report_id=f"CREDIT_REVIEW_{week}" + ("" if tenant_id is None else f"_{tenant_id}"),
        iso_week=week,
        tenant_id=tenant_id,
        period_start=begin,
        period_end=period_end,
        summary_stats=Totals(
            total_credits=plain(spent),
            total_runs=count,
            avg_credits_per_run=_ratio(spent, count) if count else Decimal(0),
            sev0_count=totals["SEV0"],
            sev1_count=totals["SEV1"],
            sev2_count=totals["SEV2"],
            sev3_count=totals["SEV3"],
            sev4_count=totals["SEV4"],
            failed_runs=totals["failed"],
            failed_credits=plain(failed),
        ),
        top_scenarios_by_total=summaries[:TOP],
        top_spike_runs=[_told(run) for run in _worst(spikes)],
        baseline_candidates=[one for one in summaries if _is_candidate(one, scenarios)][:TOP],
        policy_violations=[
            _told(run) for run in sorted(violations, key=lambda run: (run.severity, *_worst_first(run)))
        ],
        change=_change(days, begin, period_end),
        trend=_trend(days, begin, period_end),
        forecast=_forecast(days, begin, period_end),
        days=[day for day in sorted(days, key=lambda one: one.day) if begin.date() <= day.day <= _last_day(period_end)],
    )


def p95(values: Sequence[Decimal]) -> Decimal:
    """The nearest rank: of the values in order the one at ⌈0.95 n⌉, counted from one."""
    return sorted(values)[-(-95 * len(values) // 100) - 1]


def _count(scenario: _Scenario, run: ReviewedRun) -> None:
    scenario.credits.append(run.credits)
    if run.baseline is not None and (scenario.baseline_at is None or run.occurred_at >= scenario.baseline_at):
        scenario.baseline, scenario.baseline_at = run.baseline, run.occurred_at


def _summary(key: tuple[str, str], scenario: _Scenario) -> ScenarioSummary:
    total = sum(scenario.credits, Decimal(0))
    baseline = scenario.baseline if scenario.baseline is not None and scenario.baseline > 0 else None
    return ScenarioSummary(
        tenant_id=key[0],
        scenario_id=key[1],
        total_credits=plain(total),
        run_count=len(scenario.credits),
        avg_credits=_ratio(total, len(scenario.credits)),
        baseline=None if baseline is None else plain(baseline),
        variance_multiplier=None
        if baseline is None
        else _double(Fraction(total) / len(scenario.credits) / Fraction(baseline)),
        p95_credits=plain(p95(scenario.credits)),
        max_credits=plain(max(scenario.credits)),
    )


def _is_candidate(one: ScenarioSummary, scenarios: Mapping[tuple[str, str], _Scenario]) -> bool:
    return (
        one.variance_multiplier is not None
        and one.variance_multiplier < CANDIDATE_BELOW
        and one.run_count >= CANDIDATE_RUNS
        and instability(scenarios[one.tenant_id, one.scenario_id].runs) is None
    )


def _worst(spikes: Iterable[ReviewedRun]) -> list[ReviewedRun]:
    return sorted(spikes, key=_worst_first)[:TOP]


def _worst_first(run: ReviewedRun) -> tuple[float, datetime, str, str, str]:
    return -(run.multiplier or 0), run.occurred_at, run.tenant_id, run.workflow_id, run.execution_id


def _told(run: ReviewedRun) -> SpikeRun:
    return SpikeRun(
        tenant_id=run.tenant_id,
        scenario_id=run.scenario,
        workflow_id=run.workflow_id,
        run_id=run.execution_id,
        occurred_at=run.occurred_at,
        credits_total=plain(run.credits),
        baseline=None if run.baseline is None else plain(run.baseline),
        variance_multiplier=run.multiplier,
        severity=run.severity,
        risk_flags=list(run.risk_flags),
        misconfig_likelihood=run.misconfig_likelihood,
        violation_type=", ".join(run.risk_flags) or "credit_spike",
    )


def _change(days: Sequence[DayTotal], begin: datetime, end: datetime) -> Change:
    """A week to date is compared with as many whole days of the week before."""
    credits_, runs = _sum(days, begin.date(), _last_day(end))
    before, runs_before = _sum(days, (begin - WEEK).date(), _last_day(end) - WEEK)
    return Change(
        previous_credits=before,
        previous_runs=runs_before,
        credits_change=_relative(credits_, before),
        runs_change=_relative(Decimal(runs), Decimal(runs_before)),
    )


def _trend(days: Sequence[DayTotal], begin: datetime, end: datetime) -> Trend:
    weeks = []
    for number in range(TREND_WEEKS, -1, -1):
        monday = begin - number * WEEK
        last = _last_day(end) if number == 0 else (monday + WEEK).date() - timedelta(days=1)
        credits_, runs = _sum(days, monday.date(), last)
        weeks.append(WeekTotal(iso_week=week_of(monday), credits=credits_, runs=runs))
    before = [Fraction(one.credits) for one in weeks[:-1] if one.runs]
    if not any(before):
        return Trend(weeks=weeks, direction=Direction.UNKNOWN)
    length = Fraction((_last_day(end) - begin.date()).days + 1, 7)
    change = Fraction(weeks[-1].credits) / (sum(before) / len(before) * length) - 1
    direction = Direction.GROWING if change > _TURN else Direction.DECLINING if change < -_TURN else Direction.STABLE
    return Trend(weeks=weeks, direction=direction)


def _forecast(days: Sequence[DayTotal], begin: datetime, end: datetime) -> Forecast:
    last = _last_day(end)
    spent, _ = _sum(days, last.replace(day=1), last)
    left = monthrange(last.year, last.month)[1] - last.day
    first = max(min((one.day for one in days if one.runs), default=last), last - timedelta(days=FORECAST_DAYS - 1))
    total, _ = _sum(days, first, last)
    rate = Fraction(total) / ((last - first).days + 1)
    rates = [rate]
    monday = begin.date()
    while monday >= first:
        sunday = min(monday + timedelta(days=6), last)
        rates.append(Fraction(_sum(days, monday, sunday)[0]) / ((sunday - monday).days + 1))
        monday -= WEEK
    expected, low, high = (_decimal(Fraction(spent) + one * left) for one in (rate, min(rates), max(rates)))
    return Forecast(month=f"{last:%Y-%m}", spent=spent, days_left=left, expected=expected, low=low, high=high)


def _sum(days: Iterable[DayTotal], first: date, last: date) -> tuple[Decimal, int]:
    within = [one for one in days if first <= one.day <= last]
    return plain(sum((one.credits for one in within), Decimal(0))), sum(one.runs for one in within)


def _last_day(end: datetime) -> date:
    return (end - timedelta(microseconds=1)).astimezone(UTC).date()


def _relative(now: Decimal, before: Decimal) -> float | None:
    return _double(Fraction(now) / Fraction(before) - 1) if before else None


def _double(number: Fraction) -> float:
    """The nearest double; the largest one for what is beyond all."""
    try:
        return float(number)
    except OverflowError:
        return float_info.max


def _ratio(total: Decimal, count: int) -> Decimal:
    return _decimal(Fraction(total) / count)


def _decimal(number: Fraction) -> Decimal:
    """To six digits behind the point, the nearest."""
    return plain((Decimal(number.numerator) / Decimal(number.denominator)).quantize(_DIGITS))
