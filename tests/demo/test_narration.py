"""What the demo tells of a decision, as a reader sees it."""

from collections import namedtuple

import pytest

from cli.demo.narration import Narrator
from lifecycle.kinds import DecisionKind
from lifecycle.options import LifecycleOptions

Row = namedtuple(
    "Row", "decision_id kind tenant_name workflow_name observed threshold detail evidence_count outcome outcome_reason"
)
LINK = "http://127.0.0.1:8080/console/decisions/d1"


@pytest.mark.parametrize(
    ("count", "more"),
    [
        pytest.param(1, f"1 event as evidence: {LINK}", id="one event"),
        pytest.param(5, f"5 events as evidence: {LINK}", id="several"),
    ],
)
def test_a_dear_run_is_told_with_its_evidence(count: int, more: str) -> None:
    row = Row(
        decision_id="d1",
        kind=DecisionKind.CREDIT_INCIDENT,
        tenant_name="Hooli Media",
        workflow_name="Press review",
        observed={"credits_total": 320.0, "variance_multiplier": 7.95},
        threshold={"baseline_credits": 40.24},
        detail={"severity": "SEV1"},
        evidence_count=count,
        outcome="applied",
        outcome_reason="case_opened",
    )
    line = Narrator({}, LifecycleOptions(public_url="http://127.0.0.1:8080")).decision_line(row)
    assert line.text == "Hooli Media · Press review: a run cost 320 credits, 8.0 times the usual 40.24 (SEV1)"
    assert line.more == more
