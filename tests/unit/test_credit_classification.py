"""How a run's cost is judged: examples for each rule of both profiles, and the laws between them (spec 50.2)."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from sys import float_info
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.credit_profiles import ProfileName, load_profile
from dataflows.credit_runs import Likelihood, RiskFlag, Severity
from dataflows.detectors.credit_classification import LEGITIMATE, BinaryMultiplier, ExactMultiplier, ScenarioMemory
from dataflows.events import JobType
from tests.unit.credit_given import T0, judged

PII = {"risk_flags": ["pii_exposure"]}
REGULATORY = {"risk_flags": ["regulatory_data"]}
#: Score 7.
MISCONFIGURED = {"has_idempotency_key": False, "retry_count": 6}
#: Score -7.
BATCH = {"is_batch_job": True, "is_backfill": True}


@pytest.mark.parametrize(
    ("credits_total", "run", "default", "sintraprime"),
    [
        pytest.param(1000, {}, "SEV0", "SEV1", id="ten times the baseline"),
        pytest.param("999.9999", {}, "SEV1", "SEV1", id="a little less than ten times"),
        pytest.param(1000, PII, "SEV0", "SEV0", id="ten times, with personal data"),
        pytest.param(1000, REGULATORY, "SEV0", "SEV0", id="ten times, with regulatory data"),
        pytest.param(999, PII, "SEV0", "SEV1", id="personal data below ten times"),
        pytest.param(100, PII, "SEV0", "SEV4", id="personal data at the usual cost"),
        pytest.param(500, {}, "SEV1", "SEV1", id="five times"),
        pytest.param(499, {}, "SEV2", "SEV2", id="a little less than five times"),
        pytest.param(200, {}, "SEV2", "SEV2", id="twice"),
        pytest.param(199, {}, "SEV3", "SEV3", id="a little less than twice"),
        pytest.param(150, {}, "SEV3", "SEV3", id="half as much again"),
        pytest.param(149, {}, "SEV4", "SEV4", id="a little less than that"),
        pytest.param(100, {}, "SEV4", "SEV4", id="the baseline itself"),
        pytest.param(0, {}, "SEV4", "SEV4", id="nothing"),
        pytest.param(200, MISCONFIGURED, "SEV1", "SEV2", id="twice, and a misconfiguration is likely"),
        pytest.param(199, MISCONFIGURED, "SEV3", "SEV3", id="less than twice, and a misconfiguration is likely"),
        pytest.param(1000, MISCONFIGURED, "SEV0", "SEV1", id="ten times, and a misconfiguration is likely"),
        pytest.param(800, {"is_backfill": True}, "SEV2", "SEV1", id="eight times in a backfill"),
        pytest.param(300, {"is_batch_job": True}, "SEV3", "SEV2", id="three times in a batch"),
        pytest.param(1000, BATCH, "SEV1", "SEV1", id="ten times in a batch"),
        pytest.param(160, BATCH, "SEV3", "SEV3", id="what is no incident is not lowered"),
        pytest.param(1000, {**BATCH, **PII}, "SEV0", "SEV0", id="personal data is not made good by a batch"),
        pytest.param(500, {"is_batch_job": True, "retry_count": 6}, "SEV1", "SEV1", id="a batch that is retried"),
    ],
)
def test_severities_at_a_baseline_of_a_hundred(
    credits_total: float | str, run: dict[str, Any], default: str, sintraprime: str
) -> None:
    assert judged(credits_total, 100, **run).severity == default
    assert judged(credits_total, 100, "sintraprime", **run).severity == sintraprime


@pytest.mark.parametrize("baseline", [None, 0], ids=["no baseline", "a baseline of nothing"])
def test_a_run_that_can_not_be_compared_is_no_incident_but_says_so(baseline: int | None) -> None:
    unknown = judged(1_000_000, baseline, prompt_version="p2")
    assert (unknown.severity, unknown.variance_multiplier) == (Severity.SEV3, None)
    assert unknown.risk_flags == (RiskFlag.NO_BASELINE,)
    assert unknown.risk_summary == "Variance: unknown | Misconfig likelihood: Low | Misconfig signals: no_baseline"
    blind = judged(1_000_000, baseline, "sintraprime", prompt_version="p2")
    assert (blind.severity, blind.variance_multiplier, blind.risk_flags) == (Severity.SEV4, 0.0, ())
    assert blind.risk_summary == "Variance: 0.00× | Misconfig likelihood: Low"


@pytest.mark.parametrize(
    ("credits_total", "baseline", "run", "expected"),
    [
        pytest.param(1000, 900, {}, "SEV1", id="the cap alone makes an incident"),
        pytest.param(999, 900, {}, "SEV4", id="below it"),
        pytest.param(1000, None, {}, "SEV1", id="it needs no baseline"),
        pytest.param(1000, 250, BATCH, "SEV1", id="a batch does not lower it"),
        pytest.param(1000, 100, {}, "SEV0", id="it makes nothing less bad"),
        pytest.param(1000, 900, PII, "SEV0", id="nor does it what is sensitive"),
    ],
)
def test_the_absolute_cap_makes_at_least_sev1(
    credits_total: int, baseline: int | None, run: dict[str, Any], expected: str
) -> None:
    assert judged(credits_total, baseline, cap=1000, **run).severity == expected


def test_the_original_has_no_cap() -> None:
    assert judged(1000, 900, "sintraprime", cap=1000).severity == Severity.SEV4


NEW_PROMPT = ScenarioMemory(prompt_version="p1")
PER_ITEM = ScenarioMemory(credits_per_item=Decimal(10))


@pytest.mark.parametrize(
    ("credits_total", "run", "memory", "default", "sintraprime"),
    [
        pytest.param(100, {"retry_count": 5}, None, "", "", id="five retries are no loop"),
        pytest.param(100, {"retry_count": 6}, None, "retry_loop", "retry_loop", id="six are"),
        pytest.param(
            100,
            {"has_max_items_config": False, "has_idempotency_key": False},
            None,
            "unbounded_iterator missing_idempotency",
            "unbounded_iterator missing_idempotency",
            id="what the sender denies is a flag",
        ),
        pytest.param(
            100,
            {"has_max_items_config": True, "has_idempotency_key": None, "is_batch_job": False, "is_backfill": False},
            None,
            "",
            "",
            id="what is absent is not denied",
        ),
        pytest.param(
            201, {"prompt_version": "p2"}, NEW_PROMPT, "sudden_prompt_growth", "sudden_prompt_growth", id="a new prompt"
        ),
        pytest.param(200, {"prompt_version": "p2"}, NEW_PROMPT, "", "", id="exactly twice is no growth"),
        pytest.param(201, {"prompt_version": "p1"}, NEW_PROMPT, "", "sudden_prompt_growth", id="the prompt of before"),
        pytest.param(201, {"prompt_version": "p2"}, None, "", "sudden_prompt_growth", id="nobody knows the one before"),
        pytest.param(201, {"prompt_version": ""}, NEW_PROMPT, "", "", id="an empty version is none"),
        pytest.param(
            150,
            {"deployment_timestamp": T0 - timedelta(hours=24)},
            None,
            "deployment_correlation",
            "deployment_correlation",
            id="deployed a day before",
        ),
        pytest.param(
            150,
            {"deployment_timestamp": T0 - timedelta(hours=24, microseconds=1)},
            None,
            "",
            "deployment_correlation",
            id="deployed longer ago",
        ),
        pytest.param(
            150,
            {"deployment_timestamp": T0 + timedelta(microseconds=1)},
            None,
            "",
            "deployment_correlation",
            id="deployed after the run",
        ),
        pytest.param(
            149, {"deployment_timestamp": T0}, None, "", "deployment_correlation", id="deployed, at no greater cost"
        ),
        pytest.param(100, {"is_batch_job": True}, None, "batch_job", "batch_job", id="a batch"),
        pytest.param(100, {"is_backfill": True}, None, "backfill_mode", "backfill_mode", id="a backfill"),
        pytest.param(
            100, {"job_type": JobType.RECONCILE_BACKFILL}, None, "backfill_mode", "", id="a backfill by its type"
        ),
        pytest.param(600, {"input_item_count": 50}, PER_ITEM, "linear_scaling", "", id="more items, more credits"),
        pytest.param(601, {"input_item_count": 50}, PER_ITEM, "", "", id="more than a fifth over the items' share"),
        pytest.param(119, {"input_item_count": 7}, None, "", "linear_scaling", id="near the baseline"),
        pytest.param(120, {"input_item_count": 10}, None, "", "", id="a fifth above the baseline"),
        pytest.param(100, {"input_item_count": 10**400}, PER_ITEM, "", "", id="more items than doubles can tell"),
        pytest.param(100, {"input_item_count": 0}, PER_ITEM, "", "", id="no items"),
        pytest.param(
            100,
            {"risk_flags": ["regulatory_data", "retry_loop", "made_up", "pii_exposure"]},
            None,
            "pii_exposure regulatory_data",
            "pii_exposure regulatory_data",
            id="of the sender's flags only the two that are its to say, in our order",
        ),
    ],
)
def test_flags_at_a_baseline_of_a_hundred(
    credits_total: int, run: dict[str, Any], memory: ScenarioMemory | None, default: str, sintraprime: str
) -> None:
    known = memory or ScenarioMemory()
    assert " ".join(judged(credits_total, 100, memory=known, **run).risk_flags) == default
    assert " ".join(judged(credits_total, 100, "sintraprime", memory=known, **run).risk_flags) == sintraprime


EVERYTHING: dict[str, Any] = {
    **MISCONFIGURED,
    **BATCH,
    "has_max_items_config": False,
    "prompt_version": "p2",
    "deployment_timestamp": T0 - timedelta(hours=1),
    "risk_flags": ["pii_exposure"],
}


def test_flags_stand_in_the_order_of_their_table() -> None:
    found = judged(775, 100, memory=NEW_PROMPT, **EVERYTHING)
    order = list(RiskFlag)
    assert list(found.risk_flags) == sorted(found.risk_flags, key=order.index)
    assert (found.misconfig_score, found.legit_score) == (3 + 4 + 4 + 2 + 3 - 7, 7)
    assert found.risk_summary == (
        "Variance: 7.75× | Misconfig likelihood: High | Misconfig signals: retry_loop, unbounded_iterator, "
        "missing_idempotency, sudden_prompt_growth, deployment_correlation, pii_exposure | "
        "Legit signals: batch_job, backfill_mode"
    )


def test_a_deployment_weighs_nothing_in_the_original() -> None:
    found = judged(775, 100, "sintraprime", **EVERYTHING)
    assert (found.misconfig_score, found.legit_score) == (3 + 4 + 4 + 2 - 7, 7)
    assert found.misconfig_likelihood is Likelihood.HIGH


@pytest.mark.parametrize(
    ("run", "score", "likelihood"),
    [
        pytest.param({}, 0, "Low", id="nothing"),
        pytest.param({"retry_count": 6}, 3, "Medium", id="three points"),
        pytest.param({"has_idempotency_key": False}, 4, "Medium", id="four points"),
        pytest.param({"retry_count": 6, "has_max_items_config": False, "is_batch_job": True}, 4, "Medium", id="net"),
        pytest.param(MISCONFIGURED, 7, "High", id="seven points"),
        pytest.param(BATCH, -7, "Low", id="below nothing"),
    ],
)
@pytest.mark.parametrize("profile", list(ProfileName))
def test_likelihood_follows_the_net_score(profile: str, run: dict[str, Any], score: int, likelihood: str) -> None:
    found = judged(100, 100, profile, **run)
    assert (found.misconfig_score, found.misconfig_likelihood) == (score, likelihood)


@pytest.mark.parametrize(
    ("credits_total", "default", "sintraprime"),
    [
        pytest.param("212.5", "2.13", "2.13", id="a tie that doubles have too goes up"),
        pytest.param("100.5", "1.01", "1.00", id="a tie that doubles do not have"),
        pytest.param("100.49", "1.00", "1.00", id="below a tie"),
        pytest.param("0.5", "0.01", "0.01", id="half a cent"),
        pytest.param(0, "0.00", "0.00", id="nothing"),
        pytest.param(123456700, "1234567.00", "1234567.00", id="no separators"),
    ],
)
def test_the_summary_shows_two_decimals(credits_total: float | str, default: str, sintraprime: str) -> None:
    assert judged(credits_total, 100).risk_summary.split(" | ")[0] == f"Variance: {default}×"
    assert judged(credits_total, 100, "sintraprime").risk_summary.split(" | ")[0] == f"Variance: {sintraprime}×"


def test_the_default_compares_what_was_written_and_the_original_doubles() -> None:
    # 0.3 / 0.1 is 2.9999999999999996 in doubles, and 0.15 / 0.1 is 1.4999999999999998.
    assert judged("0.15", "0.1").severity == Severity.SEV3
    assert judged("0.15", "0.1", "sintraprime").severity == Severity.SEV4
    assert judged("0.3", "0.1").variance_multiplier == 3.0
    assert judged("0.3", "0.1", "sintraprime").variance_multiplier == 0.3 / 0.1


def test_each_severity_asks_for_its_actions() -> None:
    assert judged(1000, 100).actions == (
        "quarantine",
        "block_dispatch",
        "create_case",
        "page_lock",
        "slack_escalate",
    )
    assert judged(500, 100).actions == ("create_case", "slack_alert", "require_ack_before_rerun")
    assert judged(200, 100).actions == ("create_case", "slack_alert", "weekly_review")
    assert judged(200, 100, "sintraprime").actions == ("log_case_optional", "weekly_review")
    assert judged(150, 100).actions == ("ledger_only", "weekly_review_optional")
    assert judged(100, 100).actions == ("ledger_only",)


amounts = st.decimals(min_value=0, max_value=10**6, places=3)
baselines = st.decimals(min_value="0.001", max_value=10**6, places=3)
flags = st.fixed_dictionaries(
    {},
    optional={
        "retry_count": st.integers(0, 12),
        "has_max_items_config": st.booleans(),
        "has_idempotency_key": st.booleans(),
        "prompt_version": st.sampled_from(["p1", "p2"]),
        "is_batch_job": st.booleans(),
        "is_backfill": st.booleans(),
        "input_item_count": st.integers(0, 100),
        "risk_flags": st.lists(st.sampled_from(["pii_exposure", "regulatory_data", "other"]), max_size=2),
    },
)
profiles = st.sampled_from(list(ProfileName))


@given(amounts, amounts, baselines, profiles)
def test_more_credits_are_never_less_bad(one: Decimal, other: Decimal, baseline: Decimal, profile: str) -> None:
    less, more = sorted([one, other])
    assert judged(str(more), str(baseline), profile).severity <= judged(str(less), str(baseline), profile).severity


@given(amounts, baselines, flags, profiles)
def test_what_is_said_follows_from_the_flags(
    credits_total: Decimal, baseline: Decimal, run: dict[str, Any], profile: str
) -> None:
    found = judged(str(credits_total), str(baseline), profile, **run)
    rules = load_profile(profile)
    assert found.actions == rules.actions[found.severity]
    assert found.legit_score == sum(
        getattr(rules.flags, flag).weight for flag in found.risk_flags if flag in LEGITIMATE
    )
    assert len(set(found.risk_flags)) == len(found.risk_flags)
    assert all(flag in found.risk_summary for flag in found.risk_flags)


@given(amounts, baselines, flags)
def test_the_original_severity_depends_on_the_multiplier_and_sensitive_data_alone(
    credits_total: Decimal, baseline: Decimal, run: dict[str, Any]
) -> None:
    found = judged(str(credits_total), str(baseline), "sintraprime", **run)
    sensitive = {"risk_flags": run.get("risk_flags")}
    assert found.severity == judged(str(credits_total), str(baseline), "sintraprime", **sensitive).severity


@given(amounts, baselines)
def test_exact_multipliers_round_the_fraction(credits_total: Decimal, baseline: Decimal) -> None:
    cents = floor(Fraction(credits_total) * 100 / Fraction(baseline) + Fraction(1, 2))
    assert Decimal(ExactMultiplier(credits_total, baseline).two_decimals()) * 100 == cents


@given(
    st.decimals("0", "1e300", allow_nan=False, allow_infinity=False) | amounts,
    st.decimals("1e-300", "1e300", allow_nan=False, allow_infinity=False) | baselines,
)
def test_a_multiplier_is_the_double_next_to_the_fraction(credits_total: Decimal, baseline: Decimal) -> None:
    fraction = Fraction(credits_total) / Fraction(baseline)
    expected = float("inf") if fraction > Fraction(float_info.max) else float(fraction)
    assert ExactMultiplier(credits_total, baseline).value == expected
    cents = floor(fraction * 100 + Fraction(1, 2))
    assert Fraction(ExactMultiplier(credits_total, baseline).two_decimals()) * 100 == cents


@given(st.floats(min_value=0, max_value=1e20))
def test_binary_multipliers_round_the_double_itself(value: float) -> None:
    cents = floor(Fraction(value) * 100 + Fraction(1, 2))
    assert Decimal(BinaryMultiplier(value).two_decimals()) * 100 == cents
