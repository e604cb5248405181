"""The credit webhook: the record of one run, as the automation platforms' flows send it (spec 10; 50.8)."""

from datetime import datetime
from typing import Any

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import MAX_MESSAGE_BYTES, SCENARIO_PREFIX, RunEvent
from dataflows.interop.event_ids import event_id_of
from dataflows.interop.objects import Faults, Fields, read_object, write_object
from dataflows.interop.references import LookUp

_MAX_IDENTIFIER = 128
#: What the sender says nothing about: it follows from the credential, the record's id and the registry.
_OURS = frozenset(
    ("event_id", "tenant_id", "automation_version_id", "workflow_id", "execution_id", "run_id", "occurred_at", "kind")
)
_TAKEN = (frozenset(RunEvent.__struct_fields__) - _OURS) | {"baseline_expected_credits"}


def to_run_event(raw: bytes, tenant_id: str, received_at: datetime, look_up: LookUp) -> bytes:
    """The run event that a record stands for.

    Names may be written `snake_case` or `PascalCase_With_Underscores`. The tenant is the sender's, whatever the record
    says; the version the one that `look_up` gives for the `scenario_id`, else a pseudo-version of the scenario. A
    record without `timestamp` happened when it was received. `Unusable` for one that can't be used.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise Unusable(DeadLetterCode.TOO_LARGE, f"more than {MAX_MESSAGE_BYTES} bytes")
    record = _snake_case(read_object(raw))
    faults = Faults()
    run_id = faults.text(record, "run_id")
    scenario_id = faults.text(record, "scenario_id")
    if len(SCENARIO_PREFIX + scenario_id) > _MAX_IDENTIFIER:
        faults.invalid("scenario_id")
    faults.raise_first()
    reference = look_up(scenario_id)
    fields: dict[str, Any] = {name: value for name, value in record.items() if name in _TAKEN}
    if "baseline" in record:
        fields.setdefault("baseline_expected_credits", record["baseline"])
    fields |= {
        "event_id": event_id_of(tenant_id, run_id),
        "execution_id": run_id,
        "occurred_at": record.get("timestamp", received_at.isoformat()),
        "tenant_id": tenant_id,
        "automation_version_id": SCENARIO_PREFIX + scenario_id,
    }
    if reference is not None:
        fields["automation_version_id"] = reference.automation_version_id
        if reference.workflow_id is not None:
            fields["workflow_id"] = reference.workflow_id
    return write_object(fields)


def _snake_case(record: Fields) -> Fields:
    """The record by names in lower case; where a name is written in two ways, the one in lower case counts."""
    return {name.lower(): value for name, value in record.items()} | {
        name: value for name, value in record.items() if name.islower()
    }
