"""A cluster is started again a number of times in a stretch of time, not in its life."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.engine.restarts import RestartBudget

MONTH = 30 * 24 * 3600


@pytest.mark.parametrize(
    ("asked_at", "answers"),
    [
        pytest.param([0], [1], id="the first waits a second"),
        pytest.param([0, 1, 3, 7], [1, 2, 4, 8], id="each next one twice as long"),
        pytest.param([0, 1, 2, 3, 4, 5], [1, 2, 4, 8, 16, None], id="the sixth within ten minutes is refused"),
        pytest.param([0, 1, 2, 3, 4, 599], [1, 2, 4, 8, 16, None], id="up to their last second"),
        pytest.param([0, 1, 2, 3, 4, 600], [1, 2, 4, 8, 16, 16], id="at ten minutes the first is forgotten"),
        pytest.param([n * MONTH for n in range(100)], [1] * 100, id="once a month for eight years"),
    ],
)
def test_restarts_are_granted_by_their_rate(asked_at: list[float], answers: list[float | None]) -> None:
    budget = RestartBudget()
    assert [budget.ask(now) for now in asked_at] == answers


@given(st.lists(st.floats(0, 100), max_size=50))
def test_no_stretch_sees_more_than_its_share(steps: list[float]) -> None:
    budget = RestartBudget(3, timedelta(seconds=60))
    now, granted = 0.0, []
    for step in steps:
        now += step
        if budget.ask(now) is not None:
            granted.append(now)
    assert all(sum(begin <= at < begin + 60 for at in granted) <= 3 for begin in granted)
