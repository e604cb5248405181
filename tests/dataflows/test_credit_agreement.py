"""The credit detector says of each run exactly what an independent reading of the specification says."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataflows.credit_runs import CreditRun
from tests.dataflows.credits_given import Line, encoded, replayed, some_weeks
from tests.dataflows.test_agreement import SEEDS
from tests.reference.oracle_credits import judge

POLICIES: dict[str, dict[str, Any]] = {
    "default": {},
    "sintraprime": {"defaults": {"credits": {"profile": "sintraprime"}}},
    "both": {
        "defaults": {"credits": {"absolute_cap": 300}},
        "tenants": {"t_b": {"credits": {"profile": "sintraprime"}}},
        "workflows": {"t_a/t_a-wf1": {"credits": {"absolute_cap": None}}},
    },
}


def _said(run: CreditRun) -> dict[str, Any]:
    """What the reference says, too, in its words."""
    baseline = run.baseline_credits
    return {
        "severity": run.severity,
        "baseline_source": run.baseline_source,
        "baseline_credits": None if baseline is None else Fraction(baseline),
        "variance_multiplier": run.variance_multiplier,
        "misconfig_likelihood": run.misconfig_likelihood,
        "misconfig_score": run.misconfig_score,
        "legit_score": run.legit_score,
        "risk_flags": run.risk_flags,
        "risk_summary": run.risk_summary,
        "actions": run.actions,
    }


def _of_the_product(lines: list[Line], policies: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(run.workflow_id, run.execution_id): _said(run) for run in replayed(lines, policies=policies).records}


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("policies", POLICIES)
def test_each_run_is_judged_as_by_the_reference(policies: str, seed: int) -> None:
    lines = some_weeks(seed, paces=(1, 5, 12))
    expected = judge(encoded(lines).splitlines(), POLICIES[policies])
    assert {one["severity"] for one in expected.values()} >= {"SEV1", "SEV2", "SEV3", "SEV4"}
    assert _of_the_product(lines, POLICIES[policies]) == expected


lawful = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 10_000)


@lawful
@given(seeds, st.randoms(use_true_random=False))
def test_disorder_within_five_seconds_changes_nothing(seed: int, rng: Any) -> None:
    # Of runs at the same moment the order of arrival decides.
    lines = list({line["occurred_at"]: line for line in some_weeks(seed, disorder=0)}.values())
    delayed = sorted(lines, key=lambda line: _seconds(line) + rng.uniform(0, 4.99))
    assert _of_the_product(delayed, {}) == _of_the_product(lines, {})


@lawful
@given(seeds, st.randoms(use_true_random=False))
def test_repeats_change_nothing(seed: int, rng: Any) -> None:
    lines = some_weeks(seed, steps=200)
    repeated = list(lines)
    for line in rng.sample(lines, len(lines) // 5):
        repeated.insert(rng.randrange(repeated.index(line) + 1, len(repeated) + 1), line)
    before, after = replayed(lines), replayed(repeated)
    assert (after.decisions, after.dead_letters) == (before.decisions, before.dead_letters)
    assert [_said(run) for run in after.records] == [_said(run) for run in before.records]


@lawful
@given(seeds)
def test_decisions_are_the_incidents_of_the_records(seed: int) -> None:
    outcome = replayed(some_weeks(seed, disorder=60))
    incidents = {run.execution_id: run.severity for run in outcome.records if run.severity <= "SEV2"}
    decided = {
        decision.detail["execution_id"]: decision.detail["severity"]
        for decision in outcome.decisions
        if decision.kind == "credit_incident"
    }
    assert decided == incidents
    assert len({(run.workflow_id, run.execution_id) for run in outcome.records}) == len(outcome.records)
    assert all(isinstance(run.credits_total, Decimal) for run in outcome.records)


def _seconds(line: Line) -> float:
    return datetime.fromisoformat(line["occurred_at"]).timestamp()
