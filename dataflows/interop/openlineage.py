"""OpenLineage's run events, as Airflow, dbt, Spark and Dagster send them (spec 10, Other inputs)."""

from typing import Any

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import MAX_ERROR_MESSAGE_BYTES, MAX_MESSAGE_BYTES, RunStatus
from dataflows.interop.event_ids import event_id_of
from dataflows.interop.objects import Faults, Fields, inner_object, read_object, text_in, write_object
from dataflows.interop.references import LookUp

STATUSES = {
    "START": RunStatus.STARTED,
    "RUNNING": RunStatus.RUNNING,
    "COMPLETE": RunStatus.SUCCESS,
    "FAIL": RunStatus.FAILURE,
    "ABORT": RunStatus.CANCELLED,
}

#: Adds facets to a run, and says nothing of its course.
_OTHER = "OTHER"


def external_ref(namespace: str, name: str) -> str:
    """What a job is called in `workflow_bindings.external_ref`; the official client makes Kafka keys of it, too."""
    return f"{namespace}/{name}"


def to_run_event(raw: bytes, look_up: LookUp) -> bytes | None:
    """The run event that a lineage event stands for.

    None for one that says nothing of the course of a run: `OTHER`, or the metadata of a job or a data set.
    `Unusable` for one that can't be used, or whose job nobody has given to a version. Asks `look_up` once, last.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise Unusable(DeadLetterCode.TOO_LARGE, f"more than {MAX_MESSAGE_BYTES} bytes")
    event = read_object(raw)
    if "eventType" not in event and ("job" in event or "dataset" in event):
        return None
    faults = Faults()
    event_type = faults.text(event, "eventType")
    event_time = faults.text(event, "eventTime")
    run, job = faults.object(event, "run"), faults.object(event, "job")
    run_id = faults.text(run, "runId", "run.runId")
    namespace, name = faults.text(job, "namespace", "job.namespace"), faults.text(job, "name", "job.name")
    if event_type and event_type.upper() not in (*STATUSES, _OTHER):
        faults.invalid("eventType")
    faults.raise_first()
    if event_type.upper() == _OTHER:
        return None
    reference = look_up(external_ref(namespace, name))
    if reference is None:
        raise Unusable(
            DeadLetterCode.UNKNOWN_AUTOMATION_VERSION, "no automation version is bound to this job (external_ref)"
        )
    fields: dict[str, Any] = {
        "event_id": event_id_of(run_id, event_type, event_time),
        "status": STATUSES[event_type.upper()].value,
        "occurred_at": event_time,
        "tenant_id": reference.tenant_id,
        "automation_version_id": reference.automation_version_id,
        "workflow_id": reference.workflow_id,
        "execution_id": run_id,
        "error_message": _error_message(run),
    }
    return write_object({name: value for name, value in fields.items() if value is not None})


def _error_message(run: Fields) -> str | None:
    """The message of the facet, as much of it as a run event holds: some producers put a whole trace there."""
    facet = inner_object(inner_object(run, "facets") or {}, "errorMessage")
    message = text_in(facet or {}, "message")
    if message is None:
        return None
    return message.encode()[:MAX_ERROR_MESSAGE_BYTES].decode("utf-8", "ignore")
