"""Columns before a band: what is drawn where."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from api.console.charts import HEIGHT, WIDTH
from api.console.timelines import Point, timeline

AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=2)


def point(value: float, expected: tuple[float, float] | None = None, **more: bool) -> Point:
    band = None if expected is None else (Decimal(expected[0]), Decimal(expected[1]))
    return Point(label="a", below="", value=Decimal(value), expected=band, **more)


def test_a_band_is_as_wide_as_its_columns_and_broken_where_nothing_is_expected() -> None:
    points = [point(5, (2, 8)), point(5, (2, 10)), point(5), *[point(1)] * 36, point(1, (0, 4))]
    chart = timeline("x", points, "words")
    assert chart is not None
    assert chart.bands == ["64,44.8 80.4,44.8 80.4,12 96.8,12 96.8,143.2 80.4,143.2 80.4,143.2 64,143.2",
                           "703.6,110.4 720,110.4 720,176 703.6,176"]  # fmt: skip


def test_the_first_hour_is_a_column_and_no_wall() -> None:
    chart = timeline("x", [point(5)], "words")
    assert chart is not None
    assert chart.columns[0].width < 20


def test_what_was_told_is_marked_and_incidents_have_a_dot_above_their_column() -> None:
    chart = timeline("x", [point(5, is_told=True), point(10, has_incident=True)], "words")
    assert chart is not None
    assert [one.is_marked for one in chart.columns] == [True, False]
    [dot] = chart.dots
    assert chart.columns[1].x < dot.x < chart.columns[1].x + chart.columns[1].width
    assert dot.y == chart.columns[1].y - 5


def test_columns_far_beyond_the_band_are_cut_off_and_say_their_amount() -> None:
    chart = timeline("x", [point(1, (0, 2)), point(900), point(1000), *[point(1)] * 25, point(50)], "words")
    assert chart is not None
    assert chart.lines[-1].text == "8"
    assert [(one.text, one.is_left) for one in chart.notes] == [("1,000", False), ("50", True)]
    assert chart.notes[0].x > chart.columns[2].x + chart.columns[2].width
    assert chart.notes[1].x < chart.columns[28].x
    assert chart.columns[1].height == chart.columns[2].height == chart.columns[28].height


def test_nothing_is_drawn_of_nothing() -> None:
    assert timeline("x", [], "") is timeline("x", [point(0)], "") is None


@given(st.lists(st.tuples(AMOUNTS, st.none() | st.tuples(AMOUNTS, AMOUNTS).map(sorted)), min_size=1, max_size=40))
def test_everything_stays_within_the_drawing(values: list[tuple[Decimal, list[Decimal] | None]]) -> None:
    points = [
        Point(
            label="a", below="", value=value, expected=None if band is None else (band[0], band[1]), has_incident=True
        )
        for value, band in values
    ]
    chart = timeline("x", points, "words")
    if chart is None:
        return
    corners = [corner.split(",") for band in chart.bands for corner in band.split()]
    places = [(float(x), float(y)) for x, y in corners] + [(dot.x, dot.y) for dot in chart.dots]
    places += [(one.x + one.width, one.y + one.height) for one in chart.columns]
    assert all(0 <= x <= WIDTH + 0.1 and 0 <= y <= HEIGHT for x, y in places)
