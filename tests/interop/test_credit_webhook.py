"""The credit webhook's record as a run event: names, defaults, whose version it is."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dataflows.dead_letters import Unusable
from dataflows.decode import decode
from dataflows.events import JobType, RunEvent, RunStatus
from dataflows.interop.credit_webhook import to_run_event
from dataflows.interop.event_ids import event_id_of
from dataflows.interop.references import Reference

RECEIVED = datetime(2026, 1, 23, 11, 0, tzinfo=UTC)
RECORD = {
    "run_id": "RUN-20260123-001",
    "timestamp": "2026-01-23T10:30:00Z",
    "scenario_id": "BINDER_EXPORT_v2",
    "scenario_name": "Binder Export Quarterly",
    "job_type": "BINDER_EXPORT",
    "status": "Success",
    "credits_total": 2480,
    "credits_in": 1800,
    "credits_out": 680,
    "model": "gpt-4",
    "input_tokens": 220000,
    "output_tokens": 52000,
    "artifacts_link": "https://drive.google.com/...",
    "retry_count": 0,
    "has_idempotency_key": True,
}
PASCAL = {"_".join(part.capitalize() for part in name.split("_")): value for name, value in RECORD.items()}
BOUND = {"BINDER_EXPORT_v2": Reference("t1", "v7", "wf7")}


def mapped(record: dict[str, Any], bound: dict[str, Reference] = BOUND) -> dict[str, Any]:
    """The run event's object."""
    return json.loads(to_run_event(json.dumps(record).encode(), "t1", RECEIVED, bound.get))


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(RECORD, id="the example of the flows"),
        pytest.param(PASCAL, id="PascalCase_With_Underscores"),
        pytest.param({**PASCAL, "Run_ID": RECORD["run_id"]}, id="Run_ID"),
    ],
)
def test_the_example_becomes_a_run_event(record: dict[str, Any]) -> None:
    record = {name: value for name, value in record.items() if name != "Run_Id" or "Run_ID" not in record}
    made = decode(to_run_event(json.dumps(record).encode(), "t1", RECEIVED, BOUND.get))
    assert made == RunEvent(
        event_id=event_id_of("t1", "RUN-20260123-001"),
        status=RunStatus.SUCCESS,
        occurred_at=datetime(2026, 1, 23, 10, 30, tzinfo=UTC),
        tenant_id="t1",
        automation_version_id="v7",
        workflow_id="wf7",
        execution_id="RUN-20260123-001",
        scenario_id="BINDER_EXPORT_v2",
        scenario_name="Binder Export Quarterly",
        job_type=JobType.BINDER_EXPORT,
        credits_total=2480,
        credits_in=1800,
        credits_out=680,
        model="gpt-4",
        input_tokens=220000,
        output_tokens=52000,
        artifacts_link="https://drive.google.com/...",
        retry_count=0,
        has_idempotency_key=True,
    )


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        pytest.param({"timestamp": None}, "occurred_at", RECEIVED.isoformat(), id="without a time: when received"),
        pytest.param({"baseline": 300}, "baseline_expected_credits", 300, id="baseline by its short name"),
        pytest.param({"Baseline_Expected_Credits": 250}, "baseline_expected_credits", 250, id="by its long name"),
        pytest.param({"scenario_id": "NEW"}, "automation_version_id", "scenario:NEW", id="an unknown scenario"),
        pytest.param({"tenant_id": "t2"}, "tenant_id", "t1", id="the tenant is the sender's"),
        pytest.param({"automation_version_id": "v9"}, "automation_version_id", "v7", id="the version is not told"),
        pytest.param({"kind": "workflow_released"}, "kind", None, id="a control event can't be smuggled in"),
        pytest.param({"Status": "failed"}, "status", "Success", id="of two spellings the plain one counts"),
    ],
)
def test_defaults_and_what_is_not_the_senders_to_say(changes: dict[str, Any], name: str, expected: Any) -> None:
    assert mapped({**RECORD, **changes}).get(name) == expected


@pytest.mark.parametrize(
    ("changes", "explanation"),
    [
        pytest.param({"run_id": None, "scenario_id": None}, "missing: run_id, scenario_id", id="no ids"),
        pytest.param({"run_id": 7}, "invalid: run_id", id="a number as id"),
        pytest.param({"run_id": ""}, "invalid: run_id", id="an empty id"),
        pytest.param({"scenario_id": "s" * 120}, "invalid: scenario_id", id="no room for the prefix"),
    ],
)
def test_records_without_names_are_refused(changes: dict[str, Any], explanation: str) -> None:
    with pytest.raises(Unusable) as refused:
        mapped({**RECORD, **changes})
    assert refused.value.explanation == explanation


@pytest.mark.parametrize("record", [b"", b"[]", b"\xff", b"NaN"], ids=["empty", "array", "no UTF-8", "NaN"])
def test_what_is_no_record_is_refused(record: bytes) -> None:
    with pytest.raises(Unusable):
        to_run_event(record, "t1", RECEIVED, BOUND.get)


def test_the_id_belongs_to_the_tenant() -> None:
    raw = json.dumps(RECORD).encode()
    ids = {json.loads(to_run_event(raw, tenant, RECEIVED, BOUND.get))["event_id"] for tenant in ("t1", "t2")}
    assert len(ids) == 2
