"""Approved baselines: which runs count, what is stable, and how far a week may move them (50.3)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.credits.baseline_arithmetic import (
    WEEK,
    InForce,
    Measured,
    Move,
    Run,
    Unstable,
    is_steady,
    measure,
    next_move,
)

SUNDAY = datetime(2026, 3, 8, 23, tzinfo=UTC)


def run(credits_total: float | str, days_ago: float = 1, **more: Any) -> Run:
    """A healthy run before the Sunday, unless more is said of it."""
    fields: dict[str, Any] = {"status": "success", "retry_count": 0, "severity": "SEV4"} | more
    return Run(SUNDAY - timedelta(days=days_ago), Decimal(str(credits_total)), **fields)


FIVE = [run(100)] * 5


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        pytest.param([run(n) for n in (90, 95, 100, 110, 120)], Measured(Decimal(100), 5), id="the middle of five"),
        pytest.param([run(n) for n in (90, 95, 100, 110, 115, 120)], Measured(Decimal(105), 6), id="the mean of two"),
        pytest.param(FIVE[:4], Unstable.TOO_FEW_RUNS, id="four are too few"),
        pytest.param([], Unstable.TOO_FEW_RUNS, id="none are too few"),
        pytest.param(
            [*FIVE, *[run(140, days_ago=20)] * 7], Measured(Decimal(140), 12), id="older ones of 30 days count as well"
        ),
        pytest.param([*FIVE, run(900, days_ago=30)] * 2, Measured(Decimal(100), 12), id="30 days ago is within"),
        pytest.param([*FIVE, *[run(900, days_ago=30.1)] * 9], Measured(Decimal(100), 5), id="what is older is not"),
        pytest.param([*FIVE, *[run(900, days_ago=-1)] * 9], Measured(Decimal(100), 5), id="nor what is still to come"),
        pytest.param([*FIVE[:4], run(100, days_ago=14.1)], Unstable.TOO_FEW_RUNS, id="five in 30 days but not in 14"),
        pytest.param([*FIVE[:4], run(100, days_ago=14)], Measured(Decimal(100), 5), id="14 days ago is within"),
        pytest.param([*FIVE[:4], run(100, status="failure")], Unstable.TOO_FEW_RUNS, id="a failed run is not healthy"),
        pytest.param([*FIVE[:4], run(100, retry_count=2)], Unstable.TOO_FEW_RUNS, id="nor one with two retries"),
        pytest.param([*FIVE[:4], run(100, retry_count=1)], Measured(Decimal(100), 5), id="one retry is healthy"),
        pytest.param([*FIVE[:4], run(100, retry_count=None)], Measured(Decimal(100), 5), id="so is none told of"),
        pytest.param([*FIVE[:4], run(100, severity="SEV2")], Unstable.TOO_FEW_RUNS, id="a SEV2 is not"),
        pytest.param([*FIVE[:4], run(100, severity="SEV3")], Measured(Decimal(100), 5), id="a SEV3 is"),
        pytest.param([*FIVE, run(500, severity="SEV2")], Measured(Decimal(100), 5), id="a SEV2 does not count"),
        pytest.param([*FIVE, run(900, severity="SEV1")], Unstable.INCIDENT, id="a SEV1 in 14 days"),
        pytest.param([*FIVE, run(9, severity="SEV0", status="failure")], Unstable.INCIDENT, id="a failed SEV0, too"),
        pytest.param([*FIVE, run(900, 15, severity="SEV1")], Measured(Decimal(100), 5), id="a SEV1 15 days ago"),
        pytest.param([run(n) for n in [70, 130] * 3], Unstable.SPREAD, id="a spread of exactly 0.3"),
        pytest.param(
            [run(n) for n in (70, 130, 70, 130, 100)], Measured(Decimal(100), 5), id="a spread of less than 0.3"
        ),
        pytest.param([run(0)] * 5, Measured(Decimal(0), 5), id="all of them free"),
        pytest.param([*[run(0)] * 4, run(1)], Unstable.SPREAD, id="nearly all of them free"),
    ],
)
def test_what_a_scenario_s_runs_say(runs: list[Run], expected: Measured | Unstable) -> None:
    assert measure(runs, SUNDAY) == expected


def history(*values: tuple[float, float, bool] | tuple[float, float]) -> list[InForce]:
    """Baselines of so many days ago, with so many credits; decided by a person where it is said."""
    return [
        InForce(SUNDAY - timedelta(days=days), Decimal(str(credits_)), is_decided=bool(decided and decided[0]))
        for days, credits_, *decided in values
    ]


@pytest.mark.parametrize(
    ("before", "measured", "expected"),
    [
        pytest.param([], "80", Move(Decimal(80), needs_approval=False), id="the first is taken as it is"),
        pytest.param([(7, 100)], "100.0", None, id="no change is none"),
        pytest.param([(7, 100)], "119", Move(Decimal(119), needs_approval=False), id="less than a fifth up"),
        pytest.param([(7, 100)], "120", Move(Decimal(120), needs_approval=False), id="a fifth up"),
        pytest.param([(7, 100)], "121", Move(Decimal(120), needs_approval=False), id="more than a fifth up"),
        pytest.param([(7, 100)], "60", Move(Decimal(80), needs_approval=False), id="more than a fifth down"),
        pytest.param([(7, 100)], "150", Move(Decimal(120), needs_approval=False), id="just a half up"),
        pytest.param([(7, 100)], "150.01", Move(Decimal("150.01"), needs_approval=True), id="over a half up"),
        pytest.param([(7, 100)], "49.99", Move(Decimal("49.99"), needs_approval=True), id="over a half down"),
        pytest.param([(7, 0)], "0.1", Move(Decimal("0.1"), needs_approval=True), id="from nothing to something"),
        pytest.param([(14, 100), (7, 120)], "150", Move(Decimal(144), needs_approval=False), id="a week later, again"),
        pytest.param([(14, 100), (6.9, 120)], "150", None, id="within the week nothing more"),
        pytest.param([(14, 100), (3, 110)], "150", Move(Decimal(120), needs_approval=False), id="only what is left"),
        pytest.param([(14, 100), (3, 110)], "70", Move(Decimal(88), needs_approval=False), id="or back by a fifth"),
        pytest.param(
            [(14, 100), (3, 300, True)], "310", Move(Decimal(310), needs_approval=False), id="from what was decided on"
        ),
    ],
)
def test_how_far_a_baseline_moves(before: list[Any], measured: str, expected: Move | None) -> None:
    assert next_move(history(*before), Decimal(measured), SUNDAY) == expected


def test_what_is_equal_is_steady() -> None:
    assert is_steady([Decimal("0.1")] * 3)


@given(
    st.lists(
        st.tuples(st.floats(min_value=0.01, max_value=30), st.decimals(min_value=0, max_value=10_000, places=2)),
        max_size=40,
    )
)
def test_no_mix_of_medians_moves_a_baseline_by_more_than_a_fifth_a_week(steps: list[tuple[float, Decimal]]) -> None:
    at = SUNDAY
    told = [InForce(at, Decimal(100))]
    for days, measured in steps:
        at += timedelta(days=days)
        move = next_move(told, measured, at)
        if move is None or move.needs_approval:
            continue
        within = [
            one.credits
            for one, after in zip(told, [*told[1:], None], strict=True)
            if after is None or after.since > at - WEEK
        ]
        assert max(within) * Decimal("0.8") <= move.credits <= min(within) * Decimal("1.2")
        told.append(InForce(at, move.credits))
