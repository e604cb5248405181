"""Column charts: what is drawn where."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.console.charts import HEIGHT, WIDTH, columns


@pytest.mark.parametrize(
    ("most", "lines"),
    [
        pytest.param(1, ["0", "0.2", "0.4", "0.6", "0.8", "1"], id="one"),
        pytest.param(735, ["0", "200", "400", "600", "800"], id="hundreds"),
        pytest.param(12_345, ["0", "5,000", "10,000", "15,000"], id="thousands"),
    ],
)
def test_lines_are_at_round_numbers(most: int, lines: list[str]) -> None:
    chart = columns("x", [("a", Decimal(most))])
    assert chart is not None
    assert [line.text for line in chart.lines] == lines


@pytest.mark.parametrize("values", [pytest.param([], id="none"), pytest.param([("a", Decimal(0))], id="zeros alone")])
def test_nothing_is_drawn_of_nothing(values: list[tuple[str, Decimal]]) -> None:
    assert columns("x", values) is None


@given(st.lists(st.decimals(min_value=0, max_value=10**9, places=2), min_size=1, max_size=60))
def test_columns_stay_within_the_drawing_and_in_proportion(values: list[Decimal]) -> None:
    chart = columns("x", [(str(number), value) for number, value in enumerate(values)], marked="0")
    if chart is None:
        assert not any(values)
        return
    for column, value in zip(chart.columns, values, strict=True):
        assert 0 <= column.x <= column.x + column.width <= WIDTH
        assert 0 <= column.y <= column.y + column.height <= HEIGHT
        assert column.is_marked is (column.label == "0")
        assert column.height == pytest.approx(
            float(value / max(values)) * max(one.height for one in chart.columns), abs=0.2
        )
    assert len([one for one in chart.columns if one.below]) <= 10


@pytest.mark.parametrize(
    "value", ["5e-324", "1e308", "1e310"], ids=["the least double", "a large one", "more than all"]
)
def test_any_amount_can_be_drawn(value: str) -> None:
    drawn = columns("Credits", [("a", Decimal(value)), ("b", Decimal(0))])
    assert drawn is not None
    assert 0 < drawn.columns[0].height <= HEIGHT
    assert drawn.columns[1].height == 0
    assert len(drawn.lines) <= 6
