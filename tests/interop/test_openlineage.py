"""OpenLineage's events as run events: the table of types, what is read of them, and recorded ones."""

import json
from typing import Any

import pytest

from dataflows.dead_letters import Unusable
from dataflows.decode import decode
from dataflows.events import RunEvent, RunStatus
from dataflows.interop.event_ids import event_id_of
from dataflows.interop.openlineage import to_run_event
from dataflows.interop.references import Reference
from tests.given import shared_data

RUN_ID = "019127de-fd25-7707-bfa4-3ec02693a531"
REFERENCE = Reference("t1", "v1", "wf1")


def lineage(**changes: Any) -> dict[str, Any]:
    """A lineage event, with changes; `...` takes a field away."""
    event = {
        "eventType": "START",
        "eventTime": "2026-03-02T08:00:00.5Z",
        "producer": "https://example.org/airflow",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": RUN_ID},
        "job": {"namespace": "airflow", "name": "invoices.load"},
        **changes,
    }
    return {name: value for name, value in event.items() if value is not ...}


def mapped(event: dict[str, Any]) -> RunEvent:
    """The run event that it becomes, decoded as the monitor does."""
    raw = to_run_event(json.dumps(event).encode(), {"airflow/invoices.load": REFERENCE}.get)
    assert raw is not None
    made = decode(raw)
    assert isinstance(made, RunEvent)
    return made


@pytest.mark.parametrize(
    ("event_type", "status"),
    [
        pytest.param("START", RunStatus.STARTED, id="START: started"),
        pytest.param("RUNNING", RunStatus.RUNNING, id="RUNNING: a heartbeat"),
        pytest.param("COMPLETE", RunStatus.SUCCESS, id="COMPLETE: success"),
        pytest.param("FAIL", RunStatus.FAILURE, id="FAIL: failure"),
        pytest.param("ABORT", RunStatus.CANCELLED, id="ABORT: cancelled"),
    ],
)
def test_each_type_is_a_status(event_type: str, status: RunStatus) -> None:
    made = mapped(lineage(eventType=event_type))
    assert made == RunEvent(
        event_id=event_id_of(RUN_ID, event_type, "2026-03-02T08:00:00.5Z"),
        status=status,
        occurred_at=made.occurred_at,
        tenant_id="t1",
        automation_version_id="v1",
        workflow_id="wf1",
        execution_id=RUN_ID,
    )
    assert made.occurred_at.isoformat() == "2026-03-02T08:00:00.500000+00:00"


@pytest.mark.parametrize(
    ("facets", "expected"),
    [
        pytest.param({"errorMessage": {"message": "401 Unauthorized"}}, "401 Unauthorized", id="its message"),
        pytest.param({"errorMessage": {"message": "ä" * 5000}}, "ä" * 4096, id="as much as 8 KiB hold"),
        pytest.param({"errorMessage": {"message": "x" + "ä" * 5000}}, "x" + "ä" * 4095, id="never half a character"),
        pytest.param({"errorMessage": {"message": 7}}, None, id="no text"),
        pytest.param({"errorMessage": []}, None, id="no facet"),
        pytest.param([], None, id="no facets"),
        pytest.param(None, None, id="null"),
    ],
)
def test_the_error_facet_is_the_message(facets: Any, expected: str | None) -> None:
    made = mapped(lineage(eventType="FAIL", run={"runId": RUN_ID, "facets": facets}))
    assert made.error_message == expected


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(lineage(eventType="OTHER"), id="OTHER"),
        pytest.param(lineage(eventType=...), id="a run without a type"),
        pytest.param(lineage(eventType=..., run=...), id="the metadata of a job"),
        pytest.param(lineage(eventType=..., run=..., job=..., dataset={"namespace": "n"}), id="of a data set"),
    ],
)
def test_what_says_nothing_of_the_course_of_a_run_is_none(event: dict[str, Any]) -> None:
    assert to_run_event(json.dumps(event).encode(), lambda _: REFERENCE) is None


def encoded(**changes: Any) -> bytes:
    return json.dumps(lineage(**changes)).encode()


@pytest.mark.parametrize(
    ("raw", "code", "explanation"),
    [
        pytest.param(b"x", "not_json", "no JSON text", id="no JSON"),
        pytest.param(b"7", "not_an_object", "JSON, but no object", id="no object"),
        pytest.param(b"{}", "missing_field", None, id="nothing"),
        pytest.param(encoded(run=...), "missing_field", "missing: run, run.runId", id="no run"),
        pytest.param(encoded(run={}), "missing_field", "missing: run.runId", id="no run id"),
        pytest.param(encoded(run="x"), "missing_field", None, id="a run that is a text"),
        pytest.param(encoded(run={"runId": 7}), "invalid_field", "invalid: run.runId", id="a number as run id"),
        pytest.param(encoded(job={"namespace": "n"}), "missing_field", "missing: job.name", id="no job name"),
        pytest.param(encoded(eventTime=None), "missing_field", "missing: eventTime", id="no time"),
        pytest.param(encoded(eventType="BEGIN"), "invalid_field", "invalid: eventType", id="an unknown type"),
        pytest.param(
            encoded(job={"namespace": "airflow", "name": "others"}),
            "unknown_automation_version",
            "no automation version is bound to this job (external_ref)",
            id="a job that nobody has bound",
        ),
        pytest.param(encoded(filler="x" * (1 << 20)), "too_large", "more than 1048576 bytes", id="too large"),
    ],
)
def test_what_can_not_be_used_says_why(raw: bytes, code: str, explanation: str | None) -> None:
    with pytest.raises(Unusable) as refused:
        to_run_event(raw, {"airflow/invoices.load": REFERENCE}.get)
    assert refused.value.code.value == code
    assert explanation in (None, refused.value.explanation)


@pytest.mark.shared
def test_every_recorded_event_is_accepted_and_mapped() -> None:
    files = sorted((shared_data() / "openlineage").rglob("*.ndjson"))
    if not files:
        pytest.skip("the recorded lineage events are not beside the checkout")
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    assert len(lines) >= 74
    statuses = {"START": "started", "RUNNING": "running", "COMPLETE": "success", "FAIL": "failure"}
    for line in lines:
        event = json.loads(line)
        raw = to_run_event(line, lambda ref: Reference("t1", f"v-{ref}"[:128], None))
        assert raw is not None
        made = decode(raw)
        assert isinstance(made, RunEvent)
        assert made.execution_id == event["run"]["runId"]
        assert made.status.value == statuses[event["eventType"]]
        assert made.automation_version_id == f"v-{event['job']['namespace']}/{event['job']['name']}"[:128]
