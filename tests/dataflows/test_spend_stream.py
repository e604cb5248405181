"""What is spent, watched in the second stage: switched by the policy, and a function of the input alone."""

from random import Random
from typing import Any

import pytest

from config.credit_profiles import load_profile
from config.policies import MisconfiguredPolicyError, parse_policies
from dataflows.decisions import Decision
from dataflows.engine.credit_logic import CreditLogic, credit_logic, to_parts
from dataflows.engine.credit_records import CreditReport
from dataflows.engine.detector_sets import CreditFactory
from dataflows.events import RunEvent, RunStatus
from dataflows.times import from_micros, to_micros
from tests.dataflows.credits_given import T0, Line, ended, replayed
from tests.dataflows.product import LATENESS

ON: dict[str, Any] = {"defaults": {"spend_rate": {"enabled": True}}}
DAY = 24 * 60
MINUTE = 60_000_000


def lines(seed: int) -> list[Line]:
    """Four weeks of two workflows, and on the eighteenth day a burst of one of them: none of its runs is dear."""
    rng = Random(seed)
    found = [
        ended(minute + rng.uniform(0, 30), f"{workflow}-{minute}", rng.uniform(8, 12), workflow_id=workflow)
        for workflow in ("wf1", "wf2")
        for minute in range(0, 28 * DAY, 30)
    ]
    found += [ended(17 * DAY + number / 4, f"burst-{number}", rng.uniform(8, 12)) for number in range(150)]
    return sorted(found, key=lambda line: str(line["occurred_at"]))


def anomalies(decisions: list[Decision]) -> list[tuple[str, str | None, str]]:
    return [
        (one.reason_code.value, one.workflow_id, one.decision_id) for one in decisions if one.kind == "spend_anomaly"
    ]


def test_a_burst_is_told_where_the_policy_says_so() -> None:
    outcome = replayed(lines(1), policies=ON)
    assert [(reason, workflow) for reason, workflow, _ in anomalies(outcome.decisions)] == [("spend_burst", "wf1")]
    assert outcome.summary["decisions"]["spend_anomaly"] == 1


@pytest.mark.parametrize(
    "policies",
    [
        pytest.param(None, id="by default"),
        pytest.param({**ON, "tenants": {"t_acme": {"spend_rate": {"enabled": False}}}}, id="for this tenant"),
    ],
)
def test_nothing_is_watched_where_it_is_off(policies: dict[str, Any] | None) -> None:
    assert anomalies(replayed(lines(1), policies=policies).decisions) == []


def test_a_workflow_can_not_have_a_policy_of_its_own() -> None:
    document = {"workflows": {"t_acme/wf1": {"spend_rate": {"enabled": True}}}}
    with pytest.raises(MisconfiguredPolicyError, match="about a whole tenant"):
        parse_policies(document, allowed_lateness=LATENESS)


@pytest.mark.parametrize("seed", range(4))
def test_lanes_cuts_and_restarts_change_nothing(seed: int) -> None:
    rng, given = Random(seed), lines(seed)
    factory = CreditFactory(parse_policies(ON, allowed_lateness=LATENESS), load_profile, keeps_records=False)
    build = credit_logic(lambda part: factory.stage(2, part, 8))
    parts: dict[str, CreditLogic] = {}
    out: list[Decision] = []

    def report(lane: int, some: list[Line], mark: int, *, is_end: bool = False) -> None:
        charges = [_charge(line, lane) for line in some]
        for key, part in to_parts(CreditReport(str(lane), mark, charges, is_end)):
            said = parts.setdefault(key, build(None)).on_batch([part])[0]
            out.extend(one for one in said if isinstance(one, Decision))

    waiting = [[line for line in given if line["workflow_id"] == workflow] for workflow in ("wf1", "wf2")]
    while any(waiting):
        lane = rng.randrange(2)
        some, waiting[lane] = waiting[lane][: (count := rng.choice((1, 7, 200)))], waiting[lane][count:]
        if some:
            report(lane, some, _time(some[-1]))
        if rng.random() < 0.2:
            snapshots = {key: logic.snapshot() for key, logic in parts.items()}
            parts = {key: build(snapshot) for key, snapshot in snapshots.items()}
    for lane in range(2):
        report(lane, [], _time(given[-1]), is_end=True)
    assert anomalies(out) == anomalies(replayed(given, policies=ON).decisions) != []


def _time(line: Line) -> int:
    return to_micros(T0.fromisoformat(line["occurred_at"].replace("Z", "+00:00")))


def _charge(line: Line, lane: int) -> Any:
    event = RunEvent(
        **(line | {"status": RunStatus.SUCCESS, "occurred_at": from_micros(_time(line))}),
    )
    return (_time(line), _time(line), True, line["workflow_id"], str(lane), 0, event)
