"""One run's record, classified by itself: no stream, no service, nothing is kept (spec 50.8, `classify`).

The record's names are snake_case or PascalCase_With_Underscores, as the automation platforms' flows send them.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Annotated, Any

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from dataflows.credit_runs import BaselineSource, CreditAction, Likelihood, RiskFlag, Severity
from dataflows.detectors.credit_classification import Classification, classify
from dataflows.detectors.credit_profiles import Profile
from dataflows.events import MAX_MESSAGE_BYTES, STATUS_ALIASES, TERMINAL, JobType, RunStatus

#: More than any double; what is written beyond it is taken for an error of typing.
MOST_CREDITS = Decimal("1e300")

_RUN_ID = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"
_URI = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_TERMINAL_WORDS = sorted(word for word, status in STATUS_ALIASES.items() if status in TERMINAL)
_ENDS = sorted({word for name in _TERMINAL_WORDS for word in (name, name.capitalize())})
#: Other names for a field; the first is the record's own.
_ALIASES = {"execution_id": "run_id", "occurred_at": "timestamp"}
#: Where an empty text is none, as the original's records have it.
_MAY_BE_EMPTY = ("artifacts_link", "deployment_timestamp")


class InvalidRecordError(Exception):
    """A record can't be classified. `faults` has a sentence for each field that is wrong, without its value."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004  (a type error would end the validation)
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite() or not 0 <= number <= MOST_CREDITS:
        raise ValueError("must be a number of at least 0, and finite")
    # As in the stream, whose numbers are doubles: what is nearer to zero than all of them is zero.
    return number if float(number) else Decimal(0)


def _whole(value: object) -> object:
    """What JSON Schema takes for an integer: `3.0` is one."""
    return int(value) if isinstance(value, float | Decimal) and isfinite(value) and value == int(value) else value


def _time(value: object) -> datetime:
    if isinstance(value, str) and _TIME.fullmatch(value) is not None:
        try:
            return msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            pass
    raise ValueError("must be a time with an offset, as in 2026-01-31T00:00:00Z")


def _time_or_day(value: object) -> datetime:
    """A day is its beginning, UTC."""
    is_day = isinstance(value, str) and _DATE.fullmatch(value) is not None
    return _time(f"{value}T00:00:00Z" if is_day else value)


def _end(value: object) -> RunStatus:
    status = STATUS_ALIASES.get(value.lower()) if isinstance(value, str) else None
    if status not in TERMINAL:
        raise ValueError(f"must be one of {', '.join(_TERMINAL_WORDS)}")
    return status


def _link(value: str) -> str:
    if _URI.fullmatch(value) is None:
        raise ValueError("must be a http or https URI")
    return value


Credits = Annotated[
    Decimal, BeforeValidator(_amount), WithJsonSchema({"type": "number", "minimum": 0, "maximum": float(MOST_CREDITS)})
]
Time = Annotated[datetime, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
TimeOrDay = Annotated[
    datetime, BeforeValidator(_time_or_day), WithJsonSchema({"type": "string", "format": "date-time"})
]
End = Annotated[RunStatus, BeforeValidator(_end), WithJsonSchema({"type": "string", "enum": _ENDS})]
Job = Annotated[JobType, Field(strict=False)]
Count = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Link = Annotated[
    str,
    Field(max_length=2048),
    AfterValidator(_link),
    WithJsonSchema({"type": "string", "maxLength": 2048, "pattern": r"^https?://[A-Za-z0-9.-]+(/[A-Za-z0-9._/-]*)?$"}),
]


class CreditRecord(BaseModel):
    """A run with its cost, as its sender describes it; null is the same as absent. What is unknown is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    run_id: Annotated[str, Field(min_length=1, max_length=128, pattern=_RUN_ID)] | None = None
    occurred_at: Time | None = Field(default=None, alias="timestamp")
    scenario_id: Annotated[str, Field(max_length=128)] | None = None
    scenario_name: Annotated[str, Field(max_length=240)] | None = None
    job_type: Job | None = None
    status: End | None = None
    credits_total: Credits
    credits_in: Credits | None = None
    credits_out: Credits | None = None
    model: Annotated[str, Field(max_length=120)] | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    retry_count: Count | None = None
    has_idempotency_key: bool | None = None
    has_max_items_config: bool | None = None
    is_batch_job: bool | None = None
    is_backfill: bool | None = None
    prompt_version: Annotated[str, Field(max_length=120)] | None = None
    deployment_timestamp: TimeOrDay | None = None
    input_item_count: Count | None = None
    risk_flags: list[str] | None = None
    artifacts_link: Link | None = None
    baseline_expected_credits: Credits | None = None
    #: The webhook's short name for the same, which the original did not know.
    baseline: Credits | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_our_names(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            raise ValueError("must be an object")  # noqa: TRY004  (as above)
        given = {name: one for name, one in value.items() if one is not None and isinstance(name, str)}
        record = {name.lower(): one for name, one in given.items()} | {
            name: one for name, one in given.items() if name.islower()
        }
        for alias, name in _ALIASES.items():
            if alias in record:
                record.setdefault(name, record.pop(alias))
        for name in _MAY_BE_EMPTY:
            if record.get(name) == "":
                del record[name]
        return record


class Classified(BaseModel):
    """What is said of a record (spec 50.8)."""

    model_config = ConfigDict(frozen=True)

    severity: Severity
    variance_multiplier: float | None = Field(description="credits_total / baseline, not rounded")
    misconfig_likelihood: Likelihood
    misconfig_score: int
    legit_score: int
    risk_flags: list[RiskFlag]
    risk_summary: str
    actions: list[CreditAction]
    baseline_credits: float | None
    baseline_source: BaselineSource
    case_id: None = Field(default=None, description="nothing is kept, so there is no case")


def parse_record(text: bytes) -> CreditRecord:
    """The record of a JSON text; `InvalidRecordError` names every bad field."""
    if len(text) > MAX_MESSAGE_BYTES:
        raise InvalidRecordError([f"the record: must be at most {MAX_MESSAGE_BYTES} bytes"])
    try:
        # NaN and Infinity are read, so that the field that has them can be named.
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        # Exponents of more than 18 digits are beyond all decimals.
        raise InvalidRecordError(["the record: must be a JSON object"]) from None
    return read_record(document)


def typed_number(text: str) -> Decimal | str:
    """A number that somebody typed into a field; what is none stays a text, which the record's check names."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def read_record(document: object) -> CreditRecord:
    """The record of an object; `InvalidRecordError` names every bad field."""
    try:
        return CreditRecord.model_validate(document)
    except ValidationError as error:
        raise InvalidRecordError([_sentence(fault) for fault in error.errors()]) from None


def classify_record(record: CreditRecord, profile: Profile, baseline: Decimal | None = None) -> Classified:
    """Classify a record, against `baseline` or the one that it names itself."""
    compared = record.baseline_expected_credits if baseline is None else baseline
    if compared is None and profile.takes_short_baseline:
        compared = record.baseline
    if compared is not None and compared <= 0:
        compared = None
    found: Classification = classify(record, record.credits_total, compared, profile)
    return Classified(
        severity=found.severity,
        variance_multiplier=found.variance_multiplier,
        misconfig_likelihood=found.misconfig_likelihood,
        misconfig_score=found.misconfig_score,
        legit_score=found.legit_score,
        risk_flags=list(found.risk_flags),
        risk_summary=found.risk_summary,
        actions=list(found.actions),
        baseline_credits=None if compared is None else float(compared),
        baseline_source=BaselineSource.NONE if compared is None else BaselineSource.GIVEN,
    )


def parse_baseline(text: str) -> Decimal:
    """A number of credits as it is typed; `ValueError` says what is wrong with it."""
    try:
        number = Decimal(text) if _NUMBER.fullmatch(text) else None
    except ArithmeticError:  # an exponent of more than 18 digits
        number = None
    return _amount(number)


def _sentence(fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"]) or "the record"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}"
