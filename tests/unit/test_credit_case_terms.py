"""What a credit case is called and about, how it moves, and what its id looks like (50.4)."""

import re
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.credits.case_statuses import TRANSITIONS, missing_to_resolve
from lifecycle.credits.case_terms import category_of, exposure_of, new_case_id, title_of, worst
from lifecycle.kinds import CaseCategory, CaseSeverity, CaseStatus, ExposureBand, RootCause

SEV0, SEV1, SEV2 = CaseSeverity
PII, REGULATORY = "pii_exposure", "regulatory_data"


@pytest.mark.parametrize(
    ("severity", "flags", "title", "category", "exposure"),
    [
        pytest.param(SEV0, [PII], "SEV0 · PII exposure · S", "Data/PII", "Privacy", id="SEV0 with personal data"),
        pytest.param(
            SEV0, [REGULATORY], "SEV0 · Regulatory data · S", "Filing/Regulatory", "Regulatory", id="SEV0 regulated"
        ),
        pytest.param(
            SEV0, [PII, REGULATORY], "SEV0 · PII exposure · S", "Data/PII", "Regulatory", id="SEV0 with both flags"
        ),
        pytest.param(SEV0, [], "SEV0 · Credit spike · S", "Cost/Credits", "Financial", id="SEV0 without a flag"),
        pytest.param(SEV1, [], "SEV1 · Credit spike · S", "Cost/Credits", "Financial", id="SEV1 without a flag"),
        pytest.param(SEV1, [PII], "SEV1 · PII exposure · S", "Data/PII", "Financial", id="SEV1 with personal data"),
        pytest.param(SEV2, [], "SEV2 · Credit spike · S", "Cost/Credits", "Operational", id="SEV2 without a flag"),
        pytest.param(SEV2, [PII], "SEV2 · PII exposure · S", "Data/PII", "Operational", id="SEV2 with personal data"),
    ],
)
def test_a_case_is_about_what_its_severity_and_flags_say(
    severity: CaseSeverity, flags: list[str], title: str, category: CaseCategory, exposure: ExposureBand
) -> None:
    assert title_of(severity, flags, "S") == title
    assert category_of(flags) == category
    assert exposure_of(severity, flags) == exposure


@pytest.mark.parametrize("status", list(CaseStatus))
def test_a_case_moves_one_step_or_is_resolved_at_once(status: CaseStatus) -> None:
    order = list(CaseStatus)
    following = set(order[order.index(status) + 1 :][:1])
    resolved = set() if status is CaseStatus.RESOLVED else {CaseStatus.RESOLVED}
    assert TRANSITIONS[status] == following | resolved


@pytest.mark.parametrize(
    ("severity", "cause", "notes", "missing"),
    [
        pytest.param(SEV0, None, None, ["root_cause", "recurrence_notes"], id="SEV0 lacks both"),
        pytest.param(SEV1, RootCause.MISCONFIG, " \n", ["recurrence_notes"], id="blanks are no notes"),
        pytest.param(SEV1, RootCause.MISCONFIG, "A limit.", [], id="SEV1 with both"),
        pytest.param(SEV2, None, "A limit.", ["root_cause"], id="SEV2 needs a root cause"),
        pytest.param(SEV2, RootCause.UNKNOWN, None, [], id="SEV2 needs no notes"),
    ],
)
def test_what_a_case_lacks_to_be_resolved(
    severity: CaseSeverity, cause: RootCause | None, notes: str | None, missing: list[str]
) -> None:
    assert [detail.field for detail in missing_to_resolve(severity, cause, notes)] == missing


@given(st.dates(date(2000, 1, 1), date(2999, 12, 31)), st.randoms(use_true_random=False))
def test_a_case_id_has_its_form(day: date, lot: Random) -> None:
    assert re.fullmatch(rf"CASE-{day:%Y%m%d}-[A-Z0-9]{{6}}", new_case_id(day, lot.choice))


@given(st.lists(st.sampled_from(list(CaseSeverity)), min_size=1))
def test_a_case_is_as_grave_as_its_worst_run(severities: list[CaseSeverity]) -> None:
    found = severities[0]
    for severity in severities:
        found = worst(found, severity)
    assert found == min(severities)
