"""What is spent, watched in the second stage: switched by the policy, and a function of the input alone."""

from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from config.credit_profiles import load_profile
from config.policies import MisconfiguredPolicyError, parse_policies
from dataflows.decisions import Decision
from dataflows.engine.credit_logic import CreditLogic, PartReport, credit_logic, to_parts
from dataflows.engine.credit_records import CreditReport, part_of
from dataflows.engine.detector_sets import CreditFactory
from dataflows.events import RunEvent, RunStatus
from dataflows.times import from_micros, to_micros
from tests.dataflows.credits_given import T0, Line, ended, replayed
from tests.dataflows.product import LATENESS

OFF: dict[str, Any] = {"spend_rate": {"enabled": False}}
DAY = 24 * 60
MINUTE = 60_000_000


def lines(seed: int) -> list[Line]:
    """Four weeks of two workflows, and of a third that runs every third day; two bursts, of which no run is dear."""
    rng = Random(seed)
    found = [
        ended(minute + rng.uniform(0, 30), f"{workflow}-{minute}", rng.uniform(8, 12), workflow_id=workflow)
        for workflow in ("wf1", "wf2")
        for minute in range(0, 28 * DAY, 30)
    ]
    found += [
        ended(day * DAY + 570 + number / 3, f"wf3-{day}-{number}", rng.uniform(8, 12), workflow_id="wf3")
        for day in range(0, 28, 3)
        for number in range(2 if day < 27 else 60)
    ]
    found += [ended(17 * DAY + number / 4, f"burst-{number}", rng.uniform(8, 12)) for number in range(150)]
    return sorted(found, key=lambda line: str(line["occurred_at"]))


def anomalies(decisions: list[Decision]) -> list[tuple[str, str | None, str]]:
    return [
        (one.reason_code.value, one.workflow_id, one.decision_id) for one in decisions if one.kind == "spend_anomaly"
    ]


def test_bursts_are_told() -> None:
    outcome = replayed(lines(1))
    assert [(reason, workflow) for reason, workflow, _ in anomalies(outcome.decisions)] == [
        ("spend_burst", "wf1"),
        ("spend_burst", "wf3"),
    ]
    assert outcome.summary["decisions"]["spend_anomaly"] == 2


@pytest.mark.parametrize(
    "policies",
    [
        pytest.param({"defaults": OFF}, id="for everybody"),
        pytest.param({"tenants": {"t_acme": OFF}}, id="for this tenant"),
    ],
)
def test_nothing_is_watched_where_it_is_off(policies: dict[str, Any]) -> None:
    assert anomalies(replayed(lines(1), policies=policies).decisions) == []


def small_rises(seed: int) -> list[Line]:
    """Eight weeks of 40 workflows with six uneven runs a day; in the last two each spends a seventh more."""
    rng = Random(seed)
    found = []
    for day in range(56):
        usual = 10 if day < 42 else 11.5
        for number in range(240):
            cost = round(max(0.0, rng.gauss(usual, usual / 2)), 2)
            execution = f"{day}-{number}"
            found.append(ended(day * DAY + number * 6, execution, cost, workflow_id=f"wf{number % 40:02}"))
    return found


def test_many_small_rises_are_told_of_the_tenants_sum() -> None:
    """And of no workflow before it: none of them shows it."""
    told = [one for one in replayed(small_rises(1)).decisions if one.kind == "spend_anomaly"]
    assert (told[0].reason_code, told[0].workflow_id) == ("spend_drift", None)
    assert len(told) <= 3  # of 40 some rise by more than a seventh, by chance
    assert told[0].observed["credits_a_day"] > told[0].threshold["limit"] > 2_200
    assert told[0].occurred_at >= T0 + 43 * timedelta(days=1)
    assert len(told[0].detail["workflows"]) == 10
    assert len(told[0].evidence) == 7


def test_a_workflow_can_not_have_a_policy_of_its_own() -> None:
    document = {"workflows": {"t_acme/wf1": {"spend_rate": {"enabled": True}}}}
    with pytest.raises(MisconfiguredPolicyError, match="about a whole tenant"):
        parse_policies(document, allowed_lateness=LATENESS)


@pytest.mark.parametrize("has_folder", [False, True], ids=["in snapshots", "in files of changes"])
@pytest.mark.parametrize("seed", range(4))
def test_lanes_cuts_and_restarts_change_nothing(seed: int, has_folder: bool) -> None:
    with TemporaryDirectory() as folder:
        assert _in_two_lanes(seed, Path(folder) if has_folder else None) == anomalies(replayed(lines(seed)).decisions)


def _in_two_lanes(seed: int, folder: Path | None) -> list[tuple[str, str | None, str]]:
    rng, given = Random(seed), lines(seed)
    build = credit_logic(lambda part: _factory().stage(2, part, 8), folder and (lambda part: folder / str(part)))
    parts: dict[str, CreditLogic] = {}
    out: list[Decision] = []

    def report(lane: int, some: list[Line], mark: int, *, is_end: bool = False) -> None:
        charges = [_charge(line, lane) for line in some]
        for key, part in to_parts(CreditReport(str(lane), mark, charges, is_end)):
            said = parts.setdefault(key, build(None)).on_batch([part])[0]
            out.extend(one for one in said if isinstance(one, Decision))

    waiting = [[line for line in given if (line["workflow_id"] == "wf1") is is_first] for is_first in (True, False)]
    while any(waiting):
        lane = rng.randrange(2)
        some, waiting[lane] = waiting[lane][: (count := rng.choice((1, 1, 1, 7, 200)))], waiting[lane][count:]
        if some:
            report(lane, some, _time(some[-1]))
        if rng.random() < 0.2:
            snapshots = {key: logic.snapshot() for key, logic in parts.items()}
            if rng.random() < 0.5:
                parts = {key: build(snapshot) for key, snapshot in snapshots.items()}
    for lane in range(2):
        report(lane, [], _time(given[-1]), is_end=True)
    return anomalies(out)


def test_a_snapshot_within_an_hour_writes_what_was_spent_since_the_last_one(tmp_path: Path) -> None:
    """Forty workflows are known, one has spent something: less than what is known of one is written."""
    logic = credit_logic(lambda part: _factory().stage(1, part, 8), lambda _: tmp_path)(None)
    part = part_of("t_acme", 8)

    def take(some: list[Line]) -> int:
        logic.on_batch([PartReport(part, CreditReport("0", _time(some[-1]) + MINUTE, [_charge(x, 0) for x in some]))])
        logic.snapshot()
        return max(tmp_path.glob("[0-9]*")).stat().st_size

    given = small_rises(1)
    whole = take(given[: 40 * 40 + 1])
    within_the_hour = take(given[40 * 40 + 1 : 40 * 40 + 2])
    assert whole > 40 * 2_000
    assert within_the_hour < whole / 40


def _factory() -> CreditFactory:
    return CreditFactory(parse_policies(None, allowed_lateness=LATENESS), load_profile, keeps_records=False)


def _time(line: Line) -> int:
    return to_micros(T0.fromisoformat(line["occurred_at"].replace("Z", "+00:00")))


def _charge(line: Line, lane: int) -> Any:
    event = RunEvent(
        **(line | {"status": RunStatus.SUCCESS, "occurred_at": from_micros(_time(line))}),
    )
    return (_time(line), _time(line), True, line["workflow_id"], str(lane), 0, event)
