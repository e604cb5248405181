"""What is said of spending is what an independent reading of docs/spend-rate.md says."""

from datetime import datetime
from random import Random
from typing import Any

import pytest

from dataflows.detectors.spend_rate_core import SpendRate
from tests.dataflows.credits_given import Line, encoded, ended, replayed
from tests.reference.oracle_spend import spend_anomalies

DAY = 24 * 60


class ProductsCore:
    """The product's own score of a series."""

    def __init__(self) -> None:
        self._rate = SpendRate()

    def usual(self, at: datetime) -> float | None:
        return self._rate.usual.expected(at)

    def odd(self, at: datetime, value: float) -> float:
        return self._rate.odd(at, value)

    def learn(self, at: datetime, value: float) -> None:
        self._rate.score(at, value)


def spending(seed: int) -> list[Line]:
    """Seven weeks of two tenants: seasons, steps, slow rises, bursts, long silences, repeats and disorder."""
    rng, sent = Random(f"spending:{seed}"), []
    for number in range(6):
        tenant, workflow = rng.choice(("t_a", "t_a", "t_b")), f"wf{number}"
        a_day, noise, night = rng.choice((3, 12, 24, 48)), rng.choice((0.02, 0.2, 0.6)), rng.choice((1.0, 0.2))
        growth, begins = rng.choice((1.0, 1.0, 1.08, 1.3)), rng.choice((0.0, 0.0, 3.4, 12.0))
        silent = rng.choice(((60, 61), (60, 61), (6, 38), (15, 17)))
        burst = rng.choice((60.0, 60.0, 20.4, 33.71))
        given = {"tenant_id": tenant, "workflow_id": workflow, "automation_version_id": f"v-{workflow}"}
        for run in range(int(begins * a_day), 49 * a_day):
            day = run / a_day
            if silent[0] <= day < silent[1] or (night < 1 and not 8 <= day % 1 * 24 < 20 and rng.random() > night):
                continue
            cost = max(0.0, rng.gauss(10.0, 10.0 * noise)) * growth ** max(0.0, (day - 25) / 7)
            more = {"status": rng.choice(("success", "success", "failure"))}
            minute = day * DAY + rng.uniform(0, 20)
            sent.append((minute, ended(minute, f"{workflow}-{run}", round(cost, 2), **given, **more)))
        for run in range(rng.choice((4, 5, 60, 200)) if burst < 49 else 0):
            minute = burst * DAY + run * rng.choice((0.1, 2))
            sent.append((minute, ended(minute, f"{workflow}-b{run}", rng.choice((9, 10, 10, 12.5)), **given)))
    sent += _bursts_that_come_back(seed, sent[-1][1])
    sent.append((49 * DAY + 30, ended(49 * DAY + 30, "last", None)))
    for minute, line in rng.sample(sent, 100):
        sent.append((minute + rng.uniform(0, 40), line | rng.choice(({}, {"event_id": f"again-{len(sent)}"}))))
    delayed = [(minute + rng.choice((0, 0, 0, 0.05, 0.5, 30)) * (rng.random() < 0.2), line) for minute, line in sent]
    return [line for _, line in sorted(delayed, key=lambda pair: pair[0])]


def _bursts_that_come_back(seed: int, like: Line) -> list[tuple[float, Line]]:
    """Of one workflow: the first is the greatest; others, half as great or less, come on later days."""
    rng, found = Random(f"bursts:{seed}"), []
    for number, day in enumerate((24, 24, *rng.sample(range(25, 48), 6))):
        begin, runs = day * DAY + rng.choice((9, 9, 15)) * 60, rng.choice((100, 300, 300)) if number else 900
        for run in range(runs):
            minute = begin + run * 59 / runs
            given = {name: like[name] for name in ("tenant_id", "workflow_id", "automation_version_id")}
            found.append((minute, ended(minute, f"b{number}-{run}", 10, **given)))
    return found


def _of_the_product(lines: list[Line]) -> list[dict[str, Any]]:
    """In the words of the reference."""
    return [
        {
            "tenant": one.tenant_id,
            "reason": one.reason_code.value,
            "workflow": one.workflow_id,
            "until": one.occurred_at,
            "spent": one.observed["credits" if one.reason_code == "spend_burst" else "credits_a_day"],
            "expected": one.threshold["expected"],
            "limit": one.threshold["limit"],
            "events": sorted(one.evidence),
        }
        for one in replayed(lines).decisions
        if one.kind == "spend_anomaly"
    ]


def _in_order(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(told, key=lambda one: (one["until"], one["tenant"], one["workflow"] or "~", one["reason"]))


def _about(told: dict[str, Any]) -> dict[str, Any]:
    """Numbers to nine places: sums are taken in other orders."""
    return told | {name: pytest.approx(told[name], rel=1e-9) for name in ("spent", "expected", "limit")}


@pytest.mark.parametrize("seed", [3, 14, 22, 23])
def test_spending_is_judged_as_by_the_reference(seed: int) -> None:
    lines = spending(seed)
    expected = _in_order(spend_anomalies(encoded(lines).splitlines(), ProductsCore))
    assert expected
    assert _in_order(_of_the_product(lines)) == [_about(one) for one in expected]


def test_streams_have_all_that_can_be_told() -> None:
    told = [one for seed in (3, 14, 22, 23) for one in _of_the_product(spending(seed))]
    kinds = {(one["reason"], one["workflow"] is None) for one in told}
    assert kinds == {("spend_burst", False), ("spend_burst", True), ("spend_drift", False), ("spend_drift", True)}
