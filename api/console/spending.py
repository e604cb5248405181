"""What a workflow or a tenant spent over time, what was expected, and what was told of it (50.9)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from math import isfinite
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints
from starlette.responses import Response

from api.console.amounts import show_amount
from api.console.charts import Chart
from api.console.pages import page
from api.console.timelines import Point, timeline
from api.console.visitor import VisitorOfRequest
from dataflows.spend_band import expected_of
from lifecycle.credits.spend_history import HourTotal, SpendEpisode, SpendHistory, read_spend_history
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import SpendRise
from lifecycle.names import read_tenant_names, read_workflow_name

router = APIRouter()

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURS_SHOWN, DAYS_SHOWN = 7 * 24, 8 * 7
#: Up to so many columns are labelled by themselves, every fourth of them; of more those of midnight, or of Monday.
FEW = 36


class Step(StrEnum):
    """What a column is."""

    HOUR = "hour"
    DAY = "day"


_Id = Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]


class SpendingQuery(BaseModel):
    """Whose spending, and how it is shown."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tenant_id: _Id
    #: None: the tenant's sum.
    workflow_id: Annotated[_Id | None, BeforeValidator(lambda value: value or None)] = None
    by: Step = Step.HOUR


class Row(NamedTuple):
    """An hour or a day, as the table below the drawing has it."""

    begin: datetime
    credits: Decimal
    runs: int
    incidents: int
    #: Usual and limit of an hour; mean of the last seven days, of the weeks before, and limit of a day.
    compared: Sequence[Decimal] | None
    told: Sequence[SpendEpisode]


@router.get("/console/credits/spending")
def show_spending(request: Request, query: Annotated[SpendingQuery, Query()], visitor: VisitorOfRequest) -> Response:
    """The last week by the hour, or eight weeks by the day."""
    with visitor.access.read() as connection:
        history = read_spend_history(connection, query.tenant_id, query.workflow_id)
        tenant_names = read_tenant_names(connection, {query.tenant_id})
        name = None if query.workflow_id is None else read_workflow_name(connection, query.tenant_id, query.workflow_id)
    if history is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no run with credits of it, or not for you.")
    is_hourly = query.by is Step.HOUR
    told = [episode for episode in history.episodes if episode.workflow_id == query.workflow_id]
    rows = _rows(history, told, is_hourly=is_hourly)
    return page(
        request,
        "spending.html",
        {
            "query": query,
            "tenant_names": tenant_names,
            "workflow_name": name,
            "steps": list(Step),
            "history": history,
            "rows": rows,
            "drawing": _drawing(rows, is_hourly=is_hourly),
            "shown": sum((row.credits for row in rows), Decimal(0)),
            "is_hourly": is_hourly,
            "burst": SpendRise.BURST,
        },
    )


def _rows(history: SpendHistory, episodes: Sequence[SpendEpisode], *, is_hourly: bool) -> list[Row]:
    """Every hour or day that is shown, those without runs too; the oldest first."""
    first, last = history.hours[0].begin, history.until.replace(minute=0, second=0, microsecond=0)
    spent = {one.begin: one for one in history.hours}
    every = [first + HOUR * number for number in range((last - first) // HOUR + 1)]
    hours = [spent.get(at, HourTotal(at, Decimal(0), 0, Decimal(0), 0)) for at in every]
    bands = expected_of(first, [(float(one.credits), one.runs, float(one.dearest)) for one in hours])
    told: dict[datetime, list[SpendEpisode]] = {}
    for episode in episodes:
        begin = episode.occurred_at - HOUR
        told.setdefault(begin if is_hourly else _midnight(begin), []).append(episode)
    if is_hourly:
        return [
            Row(one.begin, one.credits, one.runs, one.incidents, _decimals(band), told.get(one.begin, []))
            for one, band in zip(hours[-HOURS_SHOWN:], bands.hours[-HOURS_SHOWN:], strict=True)
        ]
    days = [(day, list(some)) for day, some in groupby(hours, key=lambda one: _midnight(one.begin))]
    # The last day may go on yet: its week is not compared.
    risen = [None if rise is None else rise[:3] for rise in bands.days] + [None]
    return [
        Row(
            begin=day,
            credits=sum((one.credits for one in some), Decimal(0)),
            runs=sum(one.runs for one in some),
            incidents=sum(one.incidents for one in some),
            compared=_decimals(rise),
            told=told.get(day, []),
        )
        for (day, some), rise in list(zip(days, risen, strict=False))[-DAYS_SHOWN:]
    ]


def _drawing(rows: Sequence[Row], *, is_hourly: bool) -> Chart | None:
    """Columns with the band of what was expected. It reaches as far below the usual as the limit is above it."""
    points = []
    for number, row in enumerate(rows):
        mean, usual, limit = None, None, None
        if row.compared is not None:
            mean, usual, limit = (None, *row.compared) if is_hourly else row.compared
        is_few = len(rows) <= FEW
        is_labelled = number % 4 == 0 if is_few else row.begin.hour == 0 if is_hourly else row.begin.weekday() == 0
        points.append(
            Point(
                label=f"{row.begin:%d %b %H:%M}" if is_hourly else f"{row.begin:%d %b}",
                below=_below(row.begin, is_hourly=is_hourly, is_few=is_few) if is_labelled else "",
                value=row.credits,
                expected=None if usual is None or limit is None else (max(2 * usual - limit, Decimal(0)), limit),
                mean=mean,
                is_told=bool(row.told),
                has_incident=row.incidents > 0,
            )
        )
    most = max(rows, key=lambda row: row.credits)
    name = "hour" if is_hourly else "day"
    summary = (
        f"{len(rows)} {name}s from {rows[0].begin:%d %b %Y} to {rows[-1].begin:%d %b %Y};"
        f" most, {show_amount(most.credits)} credits, on {most.begin:{'%d %b at %H:%M' if is_hourly else '%d %b'}};"
        f" {sum(bool(row.told) for row in rows)} told as an anomaly,"
        f" {sum(row.incidents > 0 for row in rows)} with incidents"
    )
    return timeline(f"Credits by {name}", points, summary)


def _below(begin: datetime, *, is_hourly: bool, is_few: bool) -> str:
    if not is_hourly:
        return f"{begin:%d %b}"
    return f"{begin:%a %H:%M}" if is_few else f"{begin:%a %d}"


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0)


def _decimals(values: Sequence[float] | None) -> tuple[Decimal, ...] | None:
    """For sums that are no doubles nothing can be expected."""
    return tuple(map(Decimal, values)) if values is not None and all(map(isfinite, values)) else None
