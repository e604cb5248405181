"""What a credit case is called, what it is about, and how soon somebody must look at it (50.4). Pure."""

import secrets
import string
from collections.abc import Callable, Collection, Mapping
from datetime import date, timedelta

from lifecycle.kinds import CaseCategory, CaseSeverity, ExposureBand
from lifecycle.texts import one_line

#: Flags that tell of data at risk, the one that names a case first.
PII_EXPOSURE, REGULATORY_DATA = SENSITIVE_FLAGS = ("pii_exposure", "regulatory_data")

#: How long a case may wait until somebody acknowledges it; the others may wait.
RESPONSE_TIMES: Mapping[CaseSeverity, timedelta] = {
    CaseSeverity.SEV0: timedelta(minutes=15),
    CaseSeverity.SEV1: timedelta(hours=1),
}

_ALPHABET = string.ascii_uppercase + string.digits
_LENGTH = 6


def new_case_id(day: date, draw: Callable[[str], str] = secrets.choice) -> str:
    """`CASE-YYYYMMDD-XXXXXX`: drawn by lot, so it may be taken; the database says so."""
    return f"CASE-{day:%Y%m%d}-{''.join(draw(_ALPHABET) for _ in range(_LENGTH))}"


def worst(one: CaseSeverity, other: CaseSeverity) -> CaseSeverity:
    """The worse of two severities."""
    order = list(CaseSeverity)
    return order[min(order.index(one), order.index(other))]


def title_of(severity: CaseSeverity, sensitive_flags: Collection[str], scenario: str) -> str:
    """One line: `SEV1 · Credit spike · <scenario>`."""
    return one_line(f"{severity} · {_WHAT[category_of(sensitive_flags)]} · {scenario}")


def category_of(sensitive_flags: Collection[str]) -> CaseCategory:
    """Personal data before regulated data before cost."""
    if PII_EXPOSURE in sensitive_flags:
        return CaseCategory.PII
    return CaseCategory.REGULATORY if REGULATORY_DATA in sensitive_flags else CaseCategory.COST


def exposure_of(severity: CaseSeverity, sensitive_flags: Collection[str]) -> ExposureBand:
    """What is at risk: of a SEV0 with flags the data, else money where it is much of it."""
    if severity is CaseSeverity.SEV0 and sensitive_flags:
        return ExposureBand.REGULATORY if REGULATORY_DATA in sensitive_flags else ExposureBand.PRIVACY
    return ExposureBand.OPERATIONAL if severity is CaseSeverity.SEV2 else ExposureBand.FINANCIAL


_WHAT = {
    CaseCategory.PII: "PII exposure",
    CaseCategory.REGULATORY: "Regulatory data",
    CaseCategory.COST: "Credit spike",
}
