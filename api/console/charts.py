"""Column charts as shapes to draw: no scripts, nothing to hover over; what they show stands in a table, too. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from api.console.amounts import show_amount

WIDTH, HEIGHT = 720, 200
_LEFT, _BOTTOM, _TOP = 64, 24, 12
_ROOM = HEIGHT - _BOTTOM - _TOP
#: From here on a number is written with its exponent, whatever its size.
_HUGE = Decimal("1e300")
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
class Dot:
    """A mark above a column."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Note:
    """Words beside a column that goes beyond the drawing."""

    x: float
    y: float
    text: str
    is_left: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of `WIDTH` by `HEIGHT`."""

    title: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    #: What it shows, in words; empty where its columns are few enough to be read out.
    summary: str = ""
    #: Corners of areas behind the columns, and of lines before them, as SVG has them.
    bands: Sequence[str] = ()
    curves: Sequence[str] = ()
    dots: Sequence[Dot] = ()
    notes: Sequence[Note] = ()
    left: float = _LEFT
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True, slots=True)
class Frame:
    """Where values and columns are on the drawing."""

    top: Decimal
    step: Decimal
    slot: float

    def height(self, value: Decimal) -> float:
        """How much of the drawing a value takes."""
        return round(_ROOM * float(value / self.top), 1)

    def y(self, value: Decimal) -> float:
        """The place of a value."""
        return round(_TOP + _ROOM * (1 - float(value / self.top)), 1)

    def x(self, column: float) -> float:
        """Where a column begins, or a place within one."""
        return round(_LEFT + self.slot * column, 1)

    def column(self, number: int, value: Decimal, label: str, below: str, *, is_marked: bool) -> Column:
        """The column of a value; one that goes beyond the drawing is cut off."""
        shown = min(value, self.top)
        return Column(
            x=self.x(number + 0.15),
            y=self.y(shown),
            width=round(self.slot * 0.7, 1),
            height=self.height(shown),
            label=label,
            below=below,
            value=show_amount(value),
            is_marked=is_marked,
        )

    def lines(self) -> list[Line]:
        """Those at round values."""
        count = int((self.top / self.step).to_integral_value())
        return [Line(y=self.y(value), text=_text(value)) for value in (self.step * n for n in range(count + 1))]


def frame(most: Decimal, count: int) -> Frame:
    """A frame for so many columns, the highest of which is `most`, above 0."""
    step = _step(most)
    top = step * (most / step).to_integral_value(ROUND_CEILING)
    return Frame(top=top, step=step, slot=(WIDTH - _LEFT) / count)


def columns(title: str, values: Sequence[tuple[str, Decimal]], *, marked: str | None = None) -> Chart | None:
    """A chart of labelled values, none of them negative; None where there is nothing to see."""
    most = max((value for _, value in values), default=Decimal(0))
    if most <= 0:
        return None
    sheet = frame(most, len(values))
    every = -(-len(values) // _LABELS)
    return Chart(
        title=title,
        columns=[
            sheet.column(number, value, label, label if number % every == 0 else "", is_marked=label == marked)
            for number, (label, value) in enumerate(values)
        ],
        lines=sheet.lines(),
    )


def _step(most: Decimal) -> Decimal:
    """The least of 1, 2, 5, 10, … that comes to at most five lines. Decimals: sums may be beyond all doubles."""
    size = Decimal(10) ** (most / 5).adjusted()
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor * 5 >= most)


def _text(value: Decimal) -> str:
    return f"{float(value):,.10g}" if value < _HUGE else f"{value:.0e}"
