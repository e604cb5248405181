"""What run events from outside must pass: whose they are, and to which partition they go."""

import json
from typing import Any

import pytest

from dataflows.dead_letters import Unusable
from dataflows.interop.acceptance import Accepted, accept, within_claim
from tests.given import SECOND, changed, started, time

RUN = started(0)
ANONYMOUS = {name: value for name, value in RUN.items() if name != "tenant_id"}


def encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode()


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in RUN.items() if key != name}


@pytest.mark.parametrize(
    ("line", "tenants", "expected"),
    [
        pytest.param(RUN, ["t1"], "t1", id="its own tenant"),
        pytest.param(RUN, ["t2", "t1"], "t1", id="one of several"),
        pytest.param(ANONYMOUS, ["t1"], "t1", id="none: the sender's"),
        pytest.param({**ANONYMOUS, "tenant_id": None}, ["t1"], "t1", id="null: the sender's"),
        pytest.param(ANONYMOUS, ["t1", "t2"], "missing_field", id="none, and the sender has two"),
        pytest.param(ANONYMOUS, [], "missing_field", id="none, and the sender has none"),
        pytest.param(RUN, ["t2"], "tenant_mismatch", id="another's"),
        pytest.param({**RUN, "tenant_id": ["t1"]}, ["t1"], "tenant_mismatch", id="no text"),
        pytest.param({**ANONYMOUS, "payload": {"tenant_id": "t2"}}, ["t1"], "t1", id="a payload says nothing"),
    ],
)
def test_the_sender_decides_the_tenant(line: dict[str, Any], tenants: list[str], expected: str) -> None:
    try:
        found = json.loads(within_claim(encoded(line), tenants))["tenant_id"]
    except Unusable as refused:
        found = refused.code.value
    assert found == expected


def test_an_event_that_names_its_workflow_is_written_as_it_came() -> None:
    raw = encoded(RUN)
    assert accept(raw, latest=time(0), workflow_of=lambda *_: None) == Accepted(RUN["event_id"], b"wf1", raw)


def test_an_event_without_a_workflow_goes_where_the_versions_other_ones_go() -> None:
    accepted = accept(encoded(without("workflow_id")), latest=time(0), workflow_of=lambda *asked: "/".join(asked))
    assert accepted.key == b"t1/v1"
    assert json.loads(accepted.value) == {**RUN, "workflow_id": "t1/v1"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        pytest.param(without("workflow_id"), "unknown_automation_version", id="nobody knows its workflow"),
        pytest.param(without("status"), "missing_field", id="no status"),
        pytest.param({**RUN, "http_status": 99}, "invalid_field", id="a bad field"),
        pytest.param({**RUN, "occurred_at": "2026-03-02T08:00:00"}, "naive_timestamp", id="a naive time"),
        pytest.param(started(SECOND), "future_timestamp", id="later than is believed"),
        pytest.param(changed(0, "Blocked", "Live"), "invalid_field", id="a control event is not a sender's business"),
    ],
)
def test_what_is_refused(line: dict[str, Any], code: str) -> None:
    with pytest.raises(Unusable) as refused:
        accept(encoded(line), latest=time(0), workflow_of=lambda *_: None)
    assert refused.value.code.value == code
