"""Runs with credits through the file detectors: once each, in event time, across workflows (spec 20.5, 50.1)."""

import hashlib
from typing import Any

import pytest

from dataflows.credit_runs import BaselineSource
from dataflows.dead_letters import DeadLetterCode
from dataflows.events import BaselineChange
from dataflows.registry import Binding, StaticRegistry
from tests.dataflows.credits_given import Line, approved, encoded, ended, replayed, usual


def test_each_run_with_credits_is_recorded_and_a_spike_is_an_incident() -> None:
    outcome = replayed([*usual(), ended(1, "spike", 775), ended(2, "after", 100), ended(3, "free", None)])
    assert [run.execution_id for run in outcome.records] == [*(f"usual-{n}" for n in range(5)), "spike", "after"]
    assert [run.severity for run in outcome.records[-2:]] == ["SEV1", "SEV4"]
    (incident,) = outcome.decisions
    assert (incident.kind, incident.detail["execution_id"], incident.detail["severity"]) == (
        "credit_incident",
        "spike",
        "SEV1",
    )
    assert outcome.summary["decisions"] == {"credit_incident": 1}


def test_a_scenario_is_one_whatever_workflows_it_has() -> None:
    lines = [
        ended(number, f"x{number}", 100, workflow_id=f"wf{number}", automation_version_id=f"v{number}")
        for number in range(6)
    ]
    assert replayed(lines).records[-1].baseline_source is BaselineSource.LEARNED


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"tenant_id": "t_else", "workflow_id": "wf9"}, id="another tenant's"),
        pytest.param({"scenario_id": "s2"}, id="another"),
    ],
)
def test_scenarios_of_the_same_name_have_nothing_to_do_with_each_other(other: dict[str, Any]) -> None:
    assert replayed([*usual(), ended(1, "x", 100, **other)]).records[-1].baseline_source is BaselineSource.NONE


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(ended(1, "x", 775, status="running"), id="a run that goes on"),
        pytest.param(
            ended(1, "x", 775, status="failure", error_code="WorkflowBlacklisted"), id="a run that the gate refused"
        ),
    ],
)
def test_what_is_no_ended_run_is_not_judged(line: Line) -> None:
    outcome = replayed([*usual(), line])
    assert (len(outcome.records), outcome.summary["events"]) == (5, 6)


@pytest.mark.parametrize("status", ["failure", "cancelled", "timed_out"])
def test_a_run_that_ended_badly_is_judged_too(status: str) -> None:
    found = [one for one in replayed([*usual(), ended(1, "x", 775, status=status)]).decisions if one.detail]
    assert "credit_incident" in {decision.kind for decision in found}


CONFLICTS = [
    pytest.param({"credits_total": 776}, id="other credits"),
    pytest.param({"status": "failure"}, id="another end"),
    pytest.param({"input_tokens": 5}, id="other tokens"),
    pytest.param({"risk_flags": ["pii_exposure"]}, id="a flag"),
    pytest.param({"event_id": "e-x", "credits_total": 776}, id="other credits under the same event id"),
]


@pytest.mark.parametrize("change", CONFLICTS)
@pytest.mark.parametrize("is_late", [False, True], ids=["in order", "long after"])
def test_another_record_of_a_run_is_refused(change: dict[str, Any], is_late: bool) -> None:
    first, second = ended(1, "x", 775), ended(1, "x", 775, event_id="again") | change
    between = [ended(10, "between", 100)] if is_late else []
    outcome = replayed([*usual(), first, *between, second])
    assert [run.credits_total for run in outcome.records if run.execution_id == "x"] == [775]
    assert outcome.summary["dead_letters"] == {"conflicting_run": 1}
    assert outcome.summary["events"] == 6 + len(between)
    (letter,) = outcome.dead_letters
    raw = encoded([second]).rstrip()
    assert (letter.code, letter.raw, letter.size) == (DeadLetterCode.CONFLICTING_RUN, raw, len(raw))
    assert letter.sha256 == hashlib.sha256(raw).hexdigest()
    assert letter.position.offset == len(encoded([*usual(), first, *between]))


def test_the_place_of_what_is_refused_is_right_among_lines_that_can_not_be_used() -> None:
    first, second = ended(1, "x", 775), ended(1, "x", 776, event_id="again")
    before = encoded([first]) + b"\n\nnonsense\n"
    outcome = replayed(before + encoded([second]))
    positions = {letter.code: letter.position.offset for letter in outcome.dead_letters}
    assert positions == {
        DeadLetterCode.NOT_JSON: len(encoded([first])) + 2,
        DeadLetterCode.CONFLICTING_RUN: len(before),
    }


def test_the_same_record_again_is_neither_refused_nor_recorded() -> None:
    again = [ended(1, "x", 775), ended(1, "x", 775, event_id="again"), ended(1.5, "x", 775, event_id="again-2")]
    outcome = replayed([*usual(), *again])
    assert (len(outcome.records), outcome.dead_letters, outcome.summary["events"]) == (6, [], 8)


def test_flags_in_another_order_are_the_same_record() -> None:
    flags = ["pii_exposure", "regulatory_data"]
    first, second = (ended(1, "x", 775, event_id=f"e{order}", risk_flags=flags[::order]) for order in (1, -1))
    outcome = replayed([*usual(), first, second])
    assert (len(outcome.records), outcome.dead_letters) == (6, [])


def test_credits_that_come_with_a_second_terminal_event_count() -> None:
    lines = [ended(1, "x", None), ended(2, "x", 775, event_id="bill"), ended(3, "x", 776, event_id="bill-2")]
    outcome = replayed([*usual(), *lines])
    assert [run.credits_total for run in outcome.records[-1:]] == [775]
    assert outcome.summary["dead_letters"] == {"conflicting_run": 1}


def test_runs_of_a_scenario_that_nobody_registered_are_read_by_this_detector_alone() -> None:
    refused = {"status": "failure", "http_status": 401, "automation_version_id": "scenario:s1", "workflow_id": None}
    registry = StaticRegistry({"v1": Binding("t_acme", "v1", "wf1")})
    lines = [*usual(), *(ended(number, f"x{number}", 775, **refused) for number in range(4))]
    outcome = replayed([*lines, ended(9, "x3", 776, event_id="e", **refused)], registry=registry)
    assert {decision.kind for decision in outcome.decisions} == {"credit_incident"}
    assert {run.workflow_id for run in outcome.records[5:]} == {"scenario:s1"}
    assert outcome.summary["dead_letters"] == {"conflicting_run": 1}


def test_runs_are_judged_in_the_order_of_their_times() -> None:
    # The spike came first, three seconds before its time.
    lines = [*usual(4), ended(1, "spike", 775), ended(0.95, "fifth", 100), ended(2, "last", 100)]
    outcome = replayed(lines)
    assert [run.execution_id for run in outcome.records[4:]] == ["fifth", "spike", "last"]
    assert outcome.records[5].severity == "SEV1"


def test_a_run_that_is_later_than_that_is_compared_with_those_before_its_time() -> None:
    lines = [*usual(), ended(20, "new price", 180), ended(0.5, "late", 775)]
    outcome = replayed(lines)
    late = next(run for run in outcome.records if run.execution_id == "late")
    assert (late.baseline_credits, late.severity) == (100, "SEV1")


def test_baselines_hold_from_their_event_time_on() -> None:
    lines = [*usual(), ended(1, "before", 300), approved(2, s1=300), ended(3, "after", 300)]
    before, after = replayed([*lines, approved(4, s1=None), ended(5, "withdrawn", 300)]).records[5:7]
    assert (before.severity, before.baseline_source) == ("SEV2", BaselineSource.LEARNED)
    assert (after.severity, after.baseline_source) == ("SEV4", BaselineSource.APPROVED)
    withdrawn = replayed([*lines, approved(4, s1=None), ended(5, "withdrawn", 300)]).records[-1]
    assert withdrawn.baseline_source is BaselineSource.LEARNED


def test_baselines_given_at_the_beginning_hold_until_the_stream_changes_them() -> None:
    change = ("t_acme", BaselineChange(scenario_id="s1", median_credits=50))
    lines = [ended(0, "x0", 100), approved(1, s1=100), ended(2, "x1", 100)]
    assert [run.baseline_credits for run in replayed(lines, baselines=[change]).records] == [50, 100]


def test_a_control_line_of_baselines_is_checked_like_all_others() -> None:
    lines = [approved(1), approved(1, s1=-5), approved(1, s1=5) | {"tenant_id": None}]
    assert [letter.code for letter in replayed(lines).dead_letters] == [
        "invalid_field",
        "invalid_field",
        "missing_field",
    ]


def test_policies_choose_profile_and_cap() -> None:
    policies = {
        "version": 7,
        "defaults": {"credits": {"profile": "sintraprime"}},
        "tenants": {"t_capped": {"credits": {"profile": "default", "absolute_cap": 500}}},
    }
    lines = [ended(1, "x1", 500), ended(2, "x2", 500, tenant_id="t_capped", workflow_id="wf2")]
    original, capped = replayed(lines, policies=policies).records
    assert (original.severity, original.profile, original.policy_version) == ("SEV4", "sintraprime", 7)
    assert (capped.severity, capped.profile) == ("SEV1", "default")
