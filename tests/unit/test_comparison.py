"""What a decision's page says of times, durations and thresholds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.console.comparison import Row, compare
from api.console.times import show_age, show_duration

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3599.9, "59 min 59 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (86_400 + 7200, "1 d 2 h"),
        (86_400 + 60, "1 d"),
    ],
)
def test_durations_have_two_units_next_to_each_other(seconds: float, shown: str) -> None:
    assert show_duration(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-60, "just now"), (59, "just now"), (60, "1 min"), (5400, "1 h"), (200_000, "2 d")],
)
def test_ages_have_one_unit(seconds: float, shown: str) -> None:
    assert show_age(T0, T0 + timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("observed", "threshold", "rows"),
    [
        pytest.param(
            {"failure_ratio": None, "runs": 4},
            {"failure_ratio": 0.5, "min_runs": 10},
            [Row("Share of runs refused", "—", "more than 50 %"), Row("Runs in the window", "4", "at least 10")],
            id="too few runs for a share",
        ),
        pytest.param(
            {"consecutive_failures": 2},
            {"consecutive_failures": None},
            [Row("Refused in a row", "2", "rule is off", decisive=True)],
            id="a rule that is off",
        ),
        pytest.param(
            {"stuck_count": 12, "execution_count": 80, "stuck_ratio": 0.15},
            {"threshold": 5, "min_stuck_ratio": 0.1},
            [
                Row("Stuck executions in the window", "12", "at least 5"),
                Row("Executions that ended or got stuck in the window", "80", None),
                Row("Share of them that got stuck", "15 %", "at least 10 %"),
            ],
            id="a share of stuck executions",
        ),
        pytest.param(
            {"last_activity_at": "2026-03-02T07:30:00+00:00"},
            {"run_timeout_seconds": 1800.0, "queue_timeout_seconds": None},
            [
                Row("Last sign of life", "2026-03-02 07:30:00 UTC", None),
                Row("Without a sign of life", "30 min", "30 min", decisive=True),
            ],
            id="silence is counted out",
        ),
        pytest.param(
            {"last_activity_at": "yesterday", "stuck_at": "0001-01-01T00:00:00+14:00", "failure_ratio": 10**400},
            {"run_timeout_seconds": 1e300},
            [
                Row("Share of runs refused", f"{10**400:,}"[:200], None),
                Row("Last sign of life", "yesterday", None),
                Row("Called stuck", "0001-01-01T00:00:00+14:00", None),
                Row("Silence allowed", None, "1e+300"),
            ],
            id="values that are none are shown as they are",
        ),
        pytest.param(
            {"credits": 2904.3469999999998, "runs": 305, "score": 0.9998359047821728},
            {"expected": 53.65928571428571, "limit": 80.48892857142856, "score": 0.5, "window_hours": 1},
            [
                Row("Runs in the window", "305", None),
                Row("Credits in the hour", "2,904.35", "more than 80.49"),
                Row("How odd the hour is, from 0 to 1", "0.9998", "at least 0.5"),
                Row("Credits expected", None, "53.66"),
                Row("Window hours", None, "1"),
            ],
            id="a burst of spending",
        ),
        pytest.param(
            {"credits_a_day": 1114.241, "share_more": 0.11391759},
            {"expected": 1000.2903333333334, "limit": 1100.3193666666666, "window_hours": 168},
            [
                Row("Credits a day, mean of the last seven", "1,114.24", "at least 1,100.32"),
                Row("More than before", "11.39 %", None),
                Row("Credits expected", None, "1,000.29"),
                Row("Window hours", None, "168"),
            ],
            id="a drift of spending",
        ),
        pytest.param(
            {"legit_score": 0, "credits_total": 320.0, "misconfig_score": 5, "variance_multiplier": 7.952286},
            {
                "profile": "default",
                "multipliers": {"SEV0": 10.0, "SEV1": 5.0, "SEV2": 2.0, "SEV3": 1.5},
                "absolute_cap": None,
                "baseline_source": "learned",
                "baseline_credits": 40.24,
            },
            [
                Row("Credits of the run", "320", "no limit of its own"),
                Row("Times what is usual", "7.95", "SEV3 from 1.5, SEV2 from 2, SEV1 from 5, SEV0 from 10"),
                Row("Points for a misconfiguration", "5", None),
                Row("Points for legitimate load", "0", None),
                Row("Baseline: what is usual, in credits", None, "40.24"),
                Row("Kind of baseline", None, "learned"),
                Row("Profile of rules", None, "default"),
            ],
            id="a run that cost too much",
        ),
        pytest.param(
            {"spend_per_hour": 1234.5, "nested": {"a": [1]}},
            {"spend_per_hour": 1000, "armed": True},
            [
                Row("Spend per hour", "1,234.5", "1,000"),
                Row("Nested", '{"a": [1]}', None),
                Row("Armed", None, "yes"),
            ],
            id="what is not known here is not hidden",
        ),
        pytest.param({}, {}, [], id="nothing compared"),
    ],
)
def test_observed_stands_beside_its_threshold(
    observed: dict[str, Any], threshold: dict[str, Any], rows: list[Row]
) -> None:
    assert compare(observed, threshold, reason_code="consecutive_failures", occurred_at=T0) == rows


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
known = st.sampled_from(
    [
        "failure_ratio",
        "last_activity_at",
        "run_timeout_seconds",
        "threshold",
        "stuck_count",
        "window_seconds",
        "multipliers",
    ]
)


@given(st.dictionaries(known | st.text(), json_values), st.dictionaries(known | st.text(), json_values))
def test_any_json_can_be_shown(observed: dict[str, Any], threshold: dict[str, Any]) -> None:
    for row in compare(observed, threshold, reason_code="x", occurred_at=T0):
        assert len(row.label) <= 80
        assert all(len(cell or "") <= 420 for cell in (row.observed, row.threshold))
