"""What a run's cost means, asked for one record; nothing is kept (50.8)."""

from decimal import Decimal
from typing import Annotated

from fastapi import Query

from api.v1.context import ContextOfRequest
from api.v1.entered import entered_router
from config.credit_profiles import ProfileName, load_profile
from dataflows.credit_classify import Classified, CreditRecord, classify_record

router = entered_router(tags=["credits"])


@router.post("/credits/classify")
def classify_a_run(
    context: ContextOfRequest,
    body: CreditRecord,
    profile: ProfileName = ProfileName.DEFAULT,
    baseline: Annotated[float | None, Query(ge=0, le=1e300, allow_inf_nan=False)] = None,
) -> Classified:
    """Classify a run's record by a profile, against `baseline` or the record's own `baseline_expected_credits`."""
    del context  # whoever is let in may ask
    return classify_record(body, load_profile(profile), None if baseline is None else Decimal(repr(baseline)))
