"""The file of approved baselines, as `breakwater baselines export` writes it (spec 50.3)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dataflows.events import BaselineChange, JobType


class UnusableBaselinesError(Exception):
    """A file of baselines can't be used; each fault with its place. Whoever has an older one keeps it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _as_written(value: object) -> object:
    """A number of the file, which was read as a decimal; a text is none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004  (a type error would end the validation)
    # As in the stream, whose numbers are doubles: what is nearer to zero than all of them is zero.
    return Decimal(0) if isinstance(value, Decimal) and not float(value) else value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time that UTC has, too") from None


def _without_nul(value: str) -> str:
    """A name that no database keeps is nobody's."""
    if "\0" in value:
        raise ValueError("must have no NUL in it")
    return value


#: As the table of baselines holds it.
MOST_RUNS = 2**31 - 1

Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Credits = Annotated[Decimal, BeforeValidator(_as_written), Field(ge=0, allow_inf_nan=False)]


class ApprovedBaseline(BaseModel):
    """One scenario's baseline."""

    # Fields that a later version adds are none of ours.
    model_config = ConfigDict(extra="ignore", frozen=True)

    tenant_id: Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_without_nul)]
    scenario_id: Annotated[str, Field(min_length=1, max_length=240), AfterValidator(_without_nul)]
    median_credits: Credits
    calculated_at: Time | None = None
    #: The healthy runs that it is the median of.
    sample_size: Annotated[int, Field(ge=0, le=MOST_RUNS)] | None = None
    last_updated: Time | None = None
    #: Where it is known which scenarios are alike before a run was seen.
    job_type: JobType | None = None


class BaselineFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: str | int
    updated_at: datetime | None = None
    baselines: tuple[ApprovedBaseline, ...]


def parse_baselines(text: bytes | str) -> BaselineFile:
    """The file's content; `UnusableBaselinesError` names every fault."""
    try:
        document = json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (UnicodeDecodeError, ValueError, ArithmeticError, RecursionError):
        raise UnusableBaselinesError(["no JSON text"]) from None
    try:
        found = BaselineFile.model_validate(document)
    except ValidationError as error:
        raise UnusableBaselinesError([_sentence(fault) for fault in error.errors()]) from None
    if again := list(_named_again(found)):
        raise UnusableBaselinesError(again)
    return found


def _named_again(document: BaselineFile) -> Iterator[str]:
    """A fault for each baseline of a scenario that has one before it."""
    seen: dict[tuple[str, str], int] = {}
    for number, one in enumerate(document.baselines):
        first = seen.setdefault((one.tenant_id, one.scenario_id), number)
        if first != number:
            yield f"baselines.{number}: is of the same scenario as baselines.{first}"


def read_baselines(path: Path) -> list[tuple[str, BaselineChange]]:
    """Tenants and baselines of a file, for the detector. `OSError` or `UnusableBaselinesError`."""
    return [
        (
            one.tenant_id,
            BaselineChange(
                scenario_id=one.scenario_id, median_credits=float(one.median_credits), job_type=one.job_type
            ),
        )
        for one in parse_baselines(path.read_bytes()).baselines
    ]


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _sentence(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"]) or "the file"
    message = "must be a JSON object" if fault["type"] == "model_type" else fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}"
