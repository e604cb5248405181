"""The credit detector over runs of scenarios: which baseline counts, what is an incident, what is learned (50.3)."""

from datetime import timedelta
from decimal import Decimal
from itertools import count
from sys import float_info
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.credit_profiles import load_profile
from dataflows.credit_runs import BaselineSource, CreditRun, Severity, decode_credit_run, encode_credit_run
from dataflows.decisions import Decision, ReasonCode
from dataflows.detectors.credit_anomalies import CreditAnomalies, Scenario, credit_rules, scenario_of
from dataflows.detectors.learned_baselines import DAY, WEEK
from dataflows.events import BaselineChange, JobType, RunStatus
from dataflows.times import to_micros
from tests.unit.credit_given import T0, a_run


class Given:
    """One tenant's scenarios under one profile."""

    def __init__(self, profile: str = "default", cap: int | None = None) -> None:
        self.detector = CreditAnomalies(keeps_records=True)
        self.scenarios: dict[str, Scenario] = {}
        self.rules = credit_rules(load_profile(profile), None if cap is None else Decimal(cap), 1)
        self._numbers = count()

    def scenario(self, name: str) -> Scenario:
        return self.scenarios.setdefault(name, Scenario("t_acme", name))

    def approve(
        self, name: str, credits_total: float | None, days: float = -1, job_type: JobType | None = None
    ) -> None:
        change = BaselineChange(scenario_id=name, median_credits=credits_total, job_type=job_type)
        self.detector.on_baseline(self.scenario(name), change, to_micros(T0 + timedelta(days=days)))

    def run(self, credits_total: float, days: float = 0, name: str = "s1", **more: Any) -> CreditRun:
        return self.both(credits_total, days, name, **more)[0]

    def both(self, credits_total: float, days: float, name: str, **more: Any) -> tuple[CreditRun, Decision | None]:
        number = next(self._numbers)
        at = T0 + timedelta(days=days)
        ids = {"execution_id": f"x{number}", "event_id": f"e{number}"}
        event = a_run(**{"scenario_id": name, "credits_total": credits_total, "occurred_at": at} | ids | more)
        judged = self.detector.on_run(self.scenario(scenario_of(event)), event, to_micros(at), self.rules)
        assert judged.record is not None
        return judged.record, judged.decision

    def usual(self, credits_total: float = 100, name: str = "s1", runs: int = 5, **more: Any) -> None:
        for _ in range(runs):
            self.run(credits_total, -1, name, **more)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param({"scenario_id": "s", "scenario_name": "n"}, "s", id="the id first"),
        pytest.param({"scenario_name": "n"}, "n", id="then the name"),
        pytest.param({}, "wf1", id="then the workflow"),
        pytest.param({"scenario_id": "", "scenario_name": ""}, "wf1", id="an empty one is none"),
    ],
)
def test_runs_are_grouped_by_scenario(names: dict[str, Any], expected: str) -> None:
    assert scenario_of(a_run(**names)) == expected


def test_a_scenario_is_learned_from_its_first_runs() -> None:
    given_ = Given()
    sources = [given_.run(100).baseline_source for _ in range(6)]
    assert sources == [BaselineSource.NONE] * 5 + [BaselineSource.LEARNED]
    spike, decision = given_.both(775, 1, "s1", is_batch_job=False)
    assert (spike.severity, spike.baseline_credits, spike.variance_multiplier) == (Severity.SEV1, 100, 7.75)
    assert decision is not None
    assert decision.detail["severity"] == Severity.SEV1
    assert decision.detail["execution_id"] == spike.execution_id
    assert (decision.reason_code, decision.evidence) == (ReasonCode.CREDIT_SPIKE, [spike.event_id])


@pytest.mark.parametrize(
    "unhealthy",
    [
        pytest.param({"status": RunStatus.FAILURE}, id="a failure"),
        pytest.param({"status": RunStatus.CANCELLED}, id="a cancelled run"),
        pytest.param({"retry_count": 2}, id="two retries"),
        pytest.param({"risk_flags": ["pii_exposure"]}, id="an incident"),
    ],
)
def test_only_healthy_runs_are_learned(unhealthy: dict[str, Any]) -> None:
    given_ = Given()
    given_.usual(runs=10, **unhealthy)
    assert given_.run(100).baseline_source is BaselineSource.NONE


def test_spikes_are_not_learned() -> None:
    given_ = Given()
    given_.usual()
    found = [given_.run(1000).variance_multiplier for _ in range(40)]
    assert found == [10] * 40


def test_an_approved_baseline_goes_before_what_was_learned() -> None:
    given_ = Given()
    given_.usual()
    given_.approve("s1", 400)
    assert (given_.run(400).baseline_source, given_.run(400).baseline_credits) == (BaselineSource.APPROVED, 400)
    given_.approve("s1", None, days=0)
    assert given_.run(100).baseline_source is BaselineSource.LEARNED


def test_of_two_approvals_the_later_one_holds_whichever_comes_first() -> None:
    given_ = Given()
    given_.approve("s1", 400, days=-1)
    given_.approve("s1", 300, days=-2)
    assert given_.run(400).baseline_credits == 400


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        pytest.param({"p1": "FILING", "p2": "FILING"}, None, id="two peers are too few"),
        pytest.param({"p1": "FILING", "p2": "FILING", "p3": "ANALYSIS"}, None, id="another job type is no peer"),
        pytest.param({"p1": "FILING", "p2": "FILING", "p3": "FILING"}, 200, id="three of them"),
        pytest.param({"p1": "FILING", "p2": "FILING", "p3": "FILING", "p4": "FILING"}, 250, id="the mean of two"),
    ],
)
def test_a_new_scenario_is_compared_with_its_peers(peers: dict[str, str], expected: int | None) -> None:
    given_ = Given()
    for number, (name, job_type) in enumerate(peers.items(), start=1):
        given_.approve(name, 100 * number)
        given_.run(100 * number, name=name, job_type=JobType(job_type))
    found = given_.run(100, job_type=JobType.FILING)
    assert found.baseline_credits == expected
    assert found.baseline_source is (BaselineSource.NONE if expected is None else BaselineSource.PEER)


def test_a_prompt_version_is_compared_with_that_of_the_run_before() -> None:
    given_ = Given()
    given_.usual(prompt_version="p1")
    assert "sudden_prompt_growth" not in given_.run(250, prompt_version="p1").risk_flags
    assert "sudden_prompt_growth" in given_.run(250, prompt_version="p2").risk_flags
    assert "sudden_prompt_growth" not in given_.run(250, prompt_version="p2").risk_flags


def test_twice_the_items_for_twice_the_credits_are_in_proportion() -> None:
    given_ = Given()
    given_.usual(input_item_count=10)
    assert given_.run(600, input_item_count=60).risk_flags == ["linear_scaling"]
    assert given_.run(600, input_item_count=10).risk_flags == []


def test_a_cap_makes_an_incident_of_a_run_that_nothing_is_known_of() -> None:
    record, decision = Given(cap=1000).both(1000, 0, "s1")
    assert record.severity is Severity.SEV1
    assert decision is not None
    assert decision.reason_code is ReasonCode.ABSOLUTE_CAP


@pytest.mark.parametrize("profile", ["default", "sintraprime"])
def test_what_is_kept_of_a_run_survives_its_json_form(profile: str) -> None:
    given_ = Given(profile)
    given_.usual(0.1)
    record = given_.run(0.25, prompt_version="p1", deployment_timestamp=T0, credits_in=0.05)
    assert decode_credit_run(encode_credit_run(record)) == record


costs = st.lists(st.tuples(st.floats(0, 9), st.floats(0.1, 30)), min_size=10, max_size=120)


@pytest.mark.parametrize("profile", ["default", "sintraprime"])
def test_no_multiplier_is_beyond_all_numbers(profile: str) -> None:
    given_ = Given(profile)
    given_.usual(1e-320)
    record, decision = given_.both(1e10, 0, "s1")
    assert decision is not None
    assert record.variance_multiplier == decision.observed["variance_multiplier"] == float_info.max
    assert decode_credit_run(encode_credit_run(record)) == record


@given(costs, st.sampled_from(["default", "sintraprime"]))
def test_no_mix_of_spikes_moves_a_learned_baseline_more_than_a_fifth_a_week(
    runs: list[tuple[float, float]], profile: str
) -> None:
    given_, days = Given(profile), 0.0
    said: list[tuple[float, Decimal]] = []
    for gap, credits_total in runs:
        days += gap
        record = given_.run(credits_total, days)
        if record.baseline_source is BaselineSource.LEARNED and record.baseline_credits is not None:
            said.append((days, record.baseline_credits))
    for index, (begin, before) in enumerate(said):
        for end, after in said[index + 1 :]:
            weeks = max(1, int((end - begin) * DAY // WEEK) + 1)
            assert Decimal("0.8") ** weeks * Decimal("0.999999") <= after / before
            assert after / before <= Decimal("1.2") ** weeks * Decimal("1.000001")


@given(costs)
def test_keeping_no_records_changes_no_decision(runs: list[tuple[float, float]]) -> None:
    keeping, given_, days = Given(), Given(), 0.0
    given_.detector = CreditAnomalies(keeps_records=False)
    scenario = Scenario("t_acme", "s1")
    for number, (gap, credits_total) in enumerate(runs):
        days += gap
        _, expected = keeping.both(credits_total, days, "s1")
        at = T0 + timedelta(days=days)
        ids = {"execution_id": f"x{number}", "event_id": f"e{number}"}
        event = a_run(scenario_id="s1", credits_total=credits_total, occurred_at=at, **ids)
        judged = given_.detector.on_run(scenario, event, to_micros(at), given_.rules)
        assert (judged.decision, judged.record) == (expected, None)
