"""What was spent over time, with the band of what was expected, as shapes to draw. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import TypeVar

from api.console.amounts import show_amount
from api.console.charts import WIDTH, Chart, Dot, Frame, Note, frame

T = TypeVar("T")

#: Columns are cut off at so many times the most that was expected: beyond that the band would not be seen.
_MOST = 4
#: Room for so many columns at least, so that a first hour is a column and no wall.
_ROOM = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An hour or a day."""

    label: str
    #: What stands below it; empty for most.
    below: str
    value: Decimal
    #: From and to; None where nothing was expected yet.
    expected: tuple[Decimal, Decimal] | None = None
    #: The mean of some points up to this one, drawn as a line.
    mean: Decimal | None = None
    #: It was told as an anomaly.
    is_told: bool = False
    has_incident: bool = False


def timeline(title: str, points: Sequence[Point], summary: str) -> Chart | None:
    """Columns before the band; None where there is nothing to see. `summary` says in words what the drawing shows."""
    most = max((one.value for one in points), default=Decimal(0))
    limit = max((one.expected[1] for one in points if one.expected), default=Decimal(0))
    most = max(limit, min(most, _MOST * limit)) if limit else most
    if most <= 0:
        return None
    sheet = frame(most, max(len(points), _ROOM))
    return Chart(
        title=title,
        columns=[
            sheet.column(number, one.value, one.label, one.below, is_marked=one.is_told)
            for number, one in enumerate(points)
        ],
        lines=sheet.lines(),
        summary=summary,
        bands=[
            _points(
                [
                    *((sheet.x(number + edge), sheet.y(high)) for number, (_, high) in stretch for edge in (0, 1)),
                    *((sheet.x(number + edge), sheet.y(low)) for number, (low, _) in stretch[::-1] for edge in (1, 0)),
                ]
            )
            for stretch in _stretches([one.expected for one in points])
        ],
        curves=[
            _points([(sheet.x(number + 0.5), sheet.y(mean)) for number, mean in stretch])
            for stretch in _stretches([one.mean for one in points])
        ],
        dots=[
            Dot(x=sheet.x(number + 0.5), y=max(sheet.y(min(one.value, sheet.top)) - 5, 5))
            for number, one in enumerate(points)
            if one.has_incident
        ],
        notes=list(_notes(points, sheet)),
    )


def _notes(points: Sequence[Point], sheet: Frame) -> Iterator[Note]:
    """The amounts of columns that are cut off; of some beside each other that of the highest."""
    for stretch in _stretches([one.value if one.value > sheet.top else None for one in points]):
        number, value = max(stretch, key=lambda pair: pair[1])
        is_left = sheet.x(number) > WIDTH / 2
        edge = stretch[0][0] - 0.5 if is_left else stretch[-1][0] + 1.5
        yield Note(x=sheet.x(edge), y=sheet.y(sheet.top) + 10, text=show_amount(value), is_left=is_left)


def _stretches(values: Sequence[T | None]) -> Iterator[list[tuple[int, T]]]:
    for is_there, stretch in groupby(enumerate(values), key=lambda pair: pair[1] is not None):
        if is_there:
            yield [(number, value) for number, value in stretch if value is not None]


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in pairs)
