"""Requests to start a run, and what is written of them (40.5)."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.decode import decode
from dataflows.events import GATE_ERROR_CODES, MAX_MESSAGE_BYTES, RunEvent
from dataflows.gate_messages import (
    Admitted,
    Outcome,
    Output,
    Refused,
    Repeated,
    Trigger,
    decode_request,
    write,
)
from lifecycle import kinds
from tests.given import T0

REQUEST = {"tenant_id": "t1", "workflow_id": "wf1", "trigger": "schedule", "idempotency_key": "k1"}


def encoded(**changes: Any) -> bytes:
    """A request with these changes; `...` takes a field away."""
    return json.dumps({name: value for name, value in {**REQUEST, **changes}.items() if value is not ...}).encode()


def test_triggers_are_the_lifecycles() -> None:
    assert [one.value for one in Trigger] == [one.value for one in kinds.Trigger]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(b"{", DeadLetterCode.NOT_JSON, id="no JSON"),
        pytest.param(b'{"a":"\xff"}', DeadLetterCode.NOT_JSON, id="not UTF-8"),
        pytest.param(
            encoded()[:-1] + b',"payload":"\xff"}', DeadLetterCode.NOT_JSON, id="not UTF-8 where it is unread"
        ),
        pytest.param(b"[" * 100_000, DeadLetterCode.NOT_JSON, id="nested too deeply"),
        pytest.param(b"7", DeadLetterCode.NOT_AN_OBJECT, id="a number"),
        pytest.param(encoded(tenant_id=...), DeadLetterCode.MISSING_FIELD, id="without a tenant"),
        pytest.param(encoded(workflow_id=None), DeadLetterCode.MISSING_FIELD, id="null is the same as absent"),
        pytest.param(encoded(trigger="moon phase"), DeadLetterCode.INVALID_FIELD, id="no such trigger"),
        pytest.param(encoded(idempotency_key=""), DeadLetterCode.INVALID_FIELD, id="an empty key"),
        pytest.param(encoded(idempotency_key="k" * 129), DeadLetterCode.INVALID_FIELD, id="a key that is too long"),
        pytest.param(encoded(idempotency_key="k\x00"), DeadLetterCode.INVALID_FIELD, id="a key that can't be stored"),
        pytest.param(encoded(payload="x" * MAX_MESSAGE_BYTES), DeadLetterCode.TOO_LARGE, id="too large"),
    ],
)
def test_what_is_no_request_is_a_dead_letter(raw: bytes, code: DeadLetterCode) -> None:
    with pytest.raises(Unusable) as refused:
        decode_request(raw)
    assert refused.value.code is code
    assert "moon" not in refused.value.explanation


@given(st.binary(max_size=200) | st.from_regex(rb'\{"tenant_id":"t".*', fullmatch=True))
def test_whatever_comes_is_a_request_or_a_dead_letter(raw: bytes) -> None:
    with suppress(Unusable):
        assert decode_request(raw).trigger in Trigger


def test_an_admitted_run_is_a_job_with_its_payload_as_it_came() -> None:
    request = decode_request(encoded(parent_execution_id="e0")[:-1] + b', "payload": {"n": 1.50, "\\u0061": [] } }')
    written = write(request, Admitted("e1", "v1", T0, True))
    assert written is not None
    assert (written.output, written.key) == (Output.JOBS, b"wf1")
    assert b'{"n": 1.50, "\\u0061": [] }' in written.value
    assert json.loads(written.value) == {
        **REQUEST,
        "execution_id": "e1",
        "automation_version_id": "v1",
        "admitted_at": "2026-03-02T08:00:00Z",
        "probe": True,
        "parent_execution_id": "e0",
        "payload": {"n": 1.5, "a": []},
    }


def test_a_job_says_nothing_of_what_it_has_not() -> None:
    written = write(decode_request(encoded()), Admitted("e1", "v1", T0, False))
    assert written is not None
    assert json.loads(written.value).keys() == {*REQUEST, "execution_id", "automation_version_id", "admitted_at"}


@pytest.mark.parametrize("error_code", sorted(GATE_ERROR_CODES))
def test_a_refused_run_is_an_event_that_the_monitor_reads(error_code: str) -> None:
    refused = Refused("e1", "v1", T0, error_code, "whatever")
    written = write(decode_request(encoded()), refused)
    assert written is not None
    assert (written.output, written.key) == (Output.EVENTS, b"wf1")
    event = decode(written.value)
    assert isinstance(event, RunEvent)
    assert (event.tenant_id, event.workflow_id, event.automation_version_id) == ("t1", "wf1", "v1")
    assert (event.status, event.execution_id, event.error_code) == ("failure", "e1", error_code)
    assert event.occurred_at == T0
    assert write(decode_request(encoded()), refused) == written, "the same event again has the same id"


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(Repeated(), id="answered before"),
        pytest.param(Refused("e1", None, T0, "AutomationNotRunnable", "x"), id="refused, and bound to no version"),
        pytest.param(Unusable(DeadLetterCode.TENANT_MISMATCH, "x"), id="a dead letter"),
    ],
)
def test_of_others_nothing_is_written_here(outcome: Outcome) -> None:
    assert write(decode_request(encoded()), outcome) is None
