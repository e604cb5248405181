"""The record of a run's cost: exact numbers, and its JSON form."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.credit_runs import exact


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(2480.0, "2480", id="whole credits have no decimals"),
        pytest.param(0.1, "0.1", id="a tenth is a tenth"),
        pytest.param(141.2, "141.2", id="what was written is what is kept"),
        pytest.param(0.0, "0", id="nothing"),
    ],
)
def test_credits_are_the_numbers_that_were_written(value: float, expected: str) -> None:
    assert str(exact(value)) == expected


@given(st.decimals(min_value=0, max_value=10**9, places=4))
def test_up_to_thirteen_digits_survive_the_way_through_a_float(written: Decimal) -> None:
    assert exact(float(written)) == written


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_every_float_comes_back_as_itself(value: float) -> None:
    assert float(exact(value)) == value
