"""What a weekly review says (50.6): the report, its fields in the order of the document."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec


class Totals(msgspec.Struct, kw_only=True, frozen=True):
    """All runs of the week; every one counts as spent, also those that failed."""

    total_credits: Decimal
    total_runs: int
    #: 0 with no runs.
    avg_credits_per_run: Decimal
    sev0_count: int
    sev1_count: int
    sev2_count: int
    sev3_count: int
    sev4_count: int
    #: Those that did not succeed.
    failed_runs: int
    failed_credits: Decimal


class ScenarioSummary(msgspec.Struct, kw_only=True, frozen=True):
    """One scenario's week."""

    tenant_id: str
    scenario_id: str
    total_credits: Decimal
    run_count: int
    avg_credits: Decimal
    #: What its newest run that had one was compared with.
    baseline: Decimal | None
    #: `avg_credits / baseline`; None without a baseline.
    variance_multiplier: float | None
    #: The least that 95 % of its runs did not exceed (nearest rank).
    p95_credits: Decimal
    max_credits: Decimal


class SpikeRun(msgspec.Struct, kw_only=True, frozen=True):
    """A run that cost at least twice its baseline, or broke a rule."""

    tenant_id: str
    scenario_id: str
    workflow_id: str
    run_id: str
    occurred_at: datetime
    credits_total: Decimal
    baseline: Decimal | None
    variance_multiplier: float | None
    severity: str
    risk_flags: list[str]
    misconfig_likelihood: str
    #: The flags in words, or what kind of spike it is.
    violation_type: str


class Change(msgspec.Struct, kw_only=True, frozen=True):
    """Against the week before."""

    previous_credits: Decimal
    previous_runs: int
    #: 0.2 is a fifth more; None where nothing was spent before.
    credits_change: float | None
    runs_change: float | None


class WeekTotal(msgspec.Struct, kw_only=True, frozen=True):
    """A week's sum."""

    iso_week: str
    credits: Decimal
    runs: int


class Direction(StrEnum):
    """Where spending goes: this week against the mean of the four before it."""

    GROWING = "growing"  #: by over a fifth
    DECLINING = "declining"  #: by over a fifth
    STABLE = "stable"
    UNKNOWN = "unknown"  #: nothing was spent before


class Trend(msgspec.Struct, kw_only=True, frozen=True):
    """The four weeks before, and this one."""

    weeks: list[WeekTotal]
    direction: Direction


class Forecast(msgspec.Struct, kw_only=True, frozen=True):
    """What the month that the week ends in will have cost."""

    #: 2026-01
    month: str
    #: Until the end of the week.
    spent: Decimal
    days_left: int
    #: `spent`, and for each day left the mean of the last 28 days, or of those since the first run in them.
    expected: Decimal
    #: The same with the cheapest and the dearest of the last weeks.
    low: Decimal
    high: Decimal


class DayTotal(msgspec.Struct, kw_only=True, frozen=True):
    """A day's sum, UTC."""

    day: date
    credits: Decimal
    runs: int


class WeeklyReport(msgspec.Struct, kw_only=True, frozen=True):
    """The whole review."""

    report_id: str
    iso_week: str
    #: None: all tenants together.
    tenant_id: str | None
    period_start: datetime
    #: Not included; before the end of the week where it is made to date.
    period_end: datetime
    summary_stats: Totals
    top_scenarios_by_total: list[ScenarioSummary]
    top_spike_runs: list[SpikeRun]
    baseline_candidates: list[ScenarioSummary]
    policy_violations: list[SpikeRun]
    change: Change
    trend: Trend
    forecast: Forecast
    days: list[DayTotal]
