"""What a run's cost would mean, asked in a form; nothing is kept (50.8)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.console.pages import page
from api.console.visitor import VisitorOfRequest
from api.csrf import require_token
from config.credit_profiles import ProfileName, load_profile
from dataflows.credit_classify import (
    Classified,
    CreditRecord,
    InvalidRecordError,
    classify_record,
    parse_baseline,
    parse_record,
    read_record,
    typed_number,
)
from dataflows.events import JobType

router = APIRouter()

_TEXTS = ("scenario_name", "job_type", "status", "prompt_version", "deployment_timestamp")
_NUMBERS = ("credits_total", "retry_count", "input_item_count")
#: Not answered, they are not known, which is not the same as no.
_YES_OR_NO = ("has_idempotency_key", "has_max_items_config", "is_batch_job", "is_backfill")
_SENSITIVE = ("pii_exposure", "regulatory_data")
#: The form's own.
_ASKED = ("record", "profile", "baseline")


async def _typed(request: Request) -> Mapping[str, str]:
    """What stands in the form; a field that is empty is one that was left out."""
    form = await request.form()
    names = (*_TEXTS, *_NUMBERS, *_YES_OR_NO, *_SENSITIVE, *_ASKED)
    values = {name: form.get(name) for name in names}
    # The form's own character set may have halves of characters.
    texts = {name: value.encode(errors="replace").decode() for name, value in values.items() if isinstance(value, str)}
    return {name: text.strip() for name, text in texts.items() if text.strip()}


@router.get("/console/credits/classify")
def show_form(request: Request, visitor: VisitorOfRequest) -> Response:
    """The empty form."""
    del visitor  # whoever is let in may ask
    return _show(request, {})


@router.post("/console/credits/classify", dependencies=[Depends(require_token)])
def classify(
    request: Request, visitor: VisitorOfRequest, typed: Annotated[Mapping[str, str], Depends(_typed)]
) -> Response:
    """Classify a record that was pasted, or the one that the fields make."""
    del visitor
    faults: list[str] = []
    profile = typed.get("profile", ProfileName.DEFAULT.value)
    if profile not in set(ProfileName):
        faults.append("profile: must be one of those that are offered")
    baseline = None
    if "baseline" in typed:
        try:
            baseline = parse_baseline(typed["baseline"])
        except ValueError as error:
            faults.append(f"baseline: {error}")
    record = None
    try:
        record = parse_record(typed["record"].encode()) if "record" in typed else read_record(_document(typed))
    except InvalidRecordError as error:
        faults += error.faults
    if record is None or faults:
        return _show(request, typed, faults=faults)
    found = classify_record(record, load_profile(ProfileName(profile)), baseline)
    return _show(request, typed, record=record, found=found)


def _document(typed: Mapping[str, str]) -> dict[str, Any]:
    """The record that the fields make."""
    document: dict[str, Any] = {name: typed[name] for name in _TEXTS if name in typed}
    document |= {name: typed_number(typed[name]) for name in _NUMBERS if name in typed}
    document |= {name: typed[name] == "yes" for name in _YES_OR_NO if name in typed}
    flags = [name for name in _SENSITIVE if name in typed]
    return document | ({"risk_flags": flags} if flags else {})


def _show(
    request: Request,
    typed: Mapping[str, str],
    *,
    faults: list[str] | None = None,
    record: CreditRecord | None = None,
    found: Classified | None = None,
) -> Response:
    return page(
        request,
        "classify.html",
        {
            "typed": typed,
            "faults": faults or [],
            "record": record,
            "found": found,
            "profiles": list(ProfileName),
            "job_types": [(job_type.value, job_type.value) for job_type in JobType],
        },
        HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
    )
