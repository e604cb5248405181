"""Column charts as shapes to draw: no scripts, nothing to hover over; what they show stands in a table, too. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import floor, log10

WIDTH, HEIGHT = 720, 200
_LEFT, _BOTTOM, _TOP = 64, 24, 12
#: So many labels below the columns at most.
_LABELS = 10


@dataclass(frozen=True, slots=True)
class Column:
    """One column, in the chart's own units."""

    x: float
    y: float
    width: float
    height: float
    label: str
    #: Empty where there is no room for it.
    below: str
    value: str
    is_marked: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line at a height, with what it stands for."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of `WIDTH` by `HEIGHT`."""

    title: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    left: float = _LEFT
    width: float = WIDTH
    height: float = HEIGHT


def columns(title: str, values: Sequence[tuple[str, Decimal]], *, marked: str | None = None) -> Chart | None:
    """A chart of labelled values, none of them negative; None where there is nothing to see."""
    most = max((value for _, value in values), default=Decimal(0))
    if most <= 0:
        return None
    step = _step(float(most))
    top = step * -(-float(most) // step)
    room = HEIGHT - _BOTTOM - _TOP
    slot = (WIDTH - _LEFT) / len(values)
    every = -(-len(values) // _LABELS)
    return Chart(
        title=title,
        columns=[
            Column(
                x=round(_LEFT + slot * (number + 0.15), 1),
                y=round(_TOP + room * (1 - float(value) / top), 1),
                width=round(slot * 0.7, 1),
                height=round(room * float(value) / top, 1),
                label=label,
                below=label if number % every == 0 else "",
                value=f"{value:,.2f}".rstrip("0").rstrip("."),
                is_marked=label == marked,
            )
            for number, (label, value) in enumerate(values)
        ],
        lines=[
            Line(y=round(_TOP + room * (1 - number * step / top), 1), text=f"{number * step:,.10g}")
            for number in range(round(top / step) + 1)
        ],
    )


def _step(most: float) -> float:
    """The least of 1, 2, 5, 10, … that comes to at most five lines."""
    size = 10.0 ** floor(log10(most / 5))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor * 5 >= most)
