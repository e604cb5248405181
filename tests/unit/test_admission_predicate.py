"""Which runs may start, and the code of those that may not (40.5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.events import GATE_ERROR_CODES
from lifecycle.admission.predicate import ERROR_CODES, MESSAGES, Facts, why_not
from lifecycle.kinds import GateHoldKind, RefusalCode
from lifecycle.statuses import Status

NOT_LIVE = RefusalCode.AUTOMATION_NOT_LIVE
BY_STATUS = {
    Status.INTAKE_IN_PROGRESS: NOT_LIVE,
    Status.NEEDS_PRICING: NOT_LIVE,
    Status.AWAITING_CLIENT_APPROVAL: NOT_LIVE,
    Status.READY_FOR_BUILD: NOT_LIVE,
    Status.BUILD_IN_PROGRESS: NOT_LIVE,
    Status.QA_AND_TESTING: NOT_LIVE,
    Status.READY_TO_LAUNCH: NOT_LIVE,
    Status.LIVE: None,
    Status.PAUSED: RefusalCode.AUTOMATION_PAUSED,
    Status.BLOCKED: RefusalCode.AUTOMATION_BLOCKED,
    Status.ARCHIVED: RefusalCode.AUTOMATION_ARCHIVED,
}
HOLD = frozenset({GateHoldKind.QUARANTINE})


@pytest.mark.parametrize("status", Status)
def test_only_live_versions_run(status: Status) -> None:
    assert why_not(Facts(False, status)) == BY_STATUS[status]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        pytest.param(Facts(False, None), NOT_LIVE, id="no version is bound: it was never launched"),
        pytest.param(Facts(True, Status.LIVE), RefusalCode.WORKFLOW_BLACKLISTED, id="blacklisted"),
        pytest.param(Facts(True, Status.PAUSED, HOLD), RefusalCode.WORKFLOW_BLACKLISTED, id="the blacklist is first"),
        pytest.param(Facts(True, None), RefusalCode.WORKFLOW_BLACKLISTED, id="blacklisted, and bound to nothing"),
        pytest.param(Facts(False, Status.BLOCKED, HOLD), RefusalCode.AUTOMATION_BLOCKED, id="a status before a hold"),
        pytest.param(Facts(False, Status.LIVE, HOLD), RefusalCode.WORKFLOW_ON_HOLD, id="on hold"),
    ],
)
def test_the_first_reason_is_told(facts: Facts, code: RefusalCode) -> None:
    assert why_not(facts) == code


@given(
    st.builds(Facts, st.booleans(), st.none() | st.sampled_from(Status), st.frozensets(st.sampled_from(GateHoldKind)))
)
def test_a_run_starts_only_when_nothing_at_all_forbids_it(facts: Facts) -> None:
    nothing = not facts.blacklisted and facts.status is Status.LIVE and not facts.holds
    assert (why_not(facts) is None) == nothing


def test_every_refusal_has_words_and_a_code_that_detectors_pass_over() -> None:
    assert set(MESSAGES) == set(ERROR_CODES) == set(RefusalCode)
    assert set(ERROR_CODES.values()) == GATE_ERROR_CODES
    assert MESSAGES[RefusalCode.WORKFLOW_BLACKLISTED] == "Workflow is blacklisted"
