"""Requests to start a run as they stand in their topic, and what is written of them (40.5). Pure."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import MAX_MESSAGE_BYTES, Identifier, RunStatus
from dataflows.interop.event_ids import event_id_of
from dataflows.interop.objects import read_object

#: One object: an encoder leaves a field out that holds its very default.
_NO_PAYLOAD = msgspec.Raw(b"")


class Trigger(StrEnum):
    """What wants to start a run."""

    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    API = "api"
    MANUAL = "manual"


class RunRequest(msgspec.Struct, gc=False):
    """Somebody wants to start a run; the object on topic `execution_requests`. Unknown fields are ignored."""

    tenant_id: Identifier
    workflow_id: Identifier
    trigger: Trigger
    #: One for each run that is wanted; the same again is the same run.
    idempotency_key: Identifier
    #: The execution that asks for it, where one does.
    parent_execution_id: Identifier | None = None
    #: What the run is to work on: handed on as it came, never read.
    payload: msgspec.Raw = _NO_PAYLOAD


class Job(msgspec.Struct, gc=False, omit_defaults=True):
    """A run that was admitted; the object on topic `execution_jobs`."""

    execution_id: str
    tenant_id: str
    workflow_id: str
    automation_version_id: str | None
    trigger: Trigger
    idempotency_key: str
    admitted_at: datetime
    #: Whether it is to show that a blacklisted workflow works again.
    probe: bool = False
    parent_execution_id: str | None = None
    payload: msgspec.Raw = _NO_PAYLOAD


class RefusedRun(msgspec.Struct, gc=False):
    """The end of a run that was refused, as a run event: it counts neither as failure nor as stuck (spec 10)."""

    event_id: str
    status: RunStatus
    occurred_at: datetime
    tenant_id: str
    workflow_id: str
    automation_version_id: str
    execution_id: str
    error_code: str


class Admitted(NamedTuple):
    """The run may start."""

    execution_id: str
    automation_version_id: str | None
    decided_at: datetime
    probe: bool


class Refused(NamedTuple):
    """It may not; kept for the caller by then."""

    execution_id: str
    #: None: no version is bound to the workflow.
    automation_version_id: str | None
    decided_at: datetime
    #: For detectors: one of `GATE_ERROR_CODES`.
    error_code: str
    #: For the metric: why.
    reason: str


class Repeated(NamedTuple):
    """Another request with this key was answered, and what came of it is written already."""


Outcome = Admitted | Refused | Repeated | Unusable


class Output(StrEnum):
    """Where something is written to."""

    JOBS = "jobs"
    EVENTS = "events"


class Written(NamedTuple):
    """One message; its key is the workflow."""

    output: Output
    key: bytes
    value: bytes


_decode = msgspec.json.Decoder(RunRequest).decode
_encode = msgspec.json.Encoder().encode
_fields: dict[str, Callable[[bytes], object]] = {
    field.encode_name: msgspec.json.Decoder(field.type).decode for field in msgspec.structs.fields(RunRequest)
}
_REQUIRED = ("tenant_id", "workflow_id", "trigger", "idempotency_key")


def decode_request(raw: bytes) -> RunRequest:
    """The request that a message holds; `Unusable` says why there is none, by the codes of spec 10."""
    if len(raw) > MAX_MESSAGE_BYTES:
        raise Unusable(DeadLetterCode.TOO_LARGE, f"more than {MAX_MESSAGE_BYTES} bytes")
    if not raw.isascii():
        # What is handed on unread must be what a reader takes for JSON.
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise Unusable(DeadLetterCode.NOT_JSON, "not UTF-8") from None
    try:
        request = _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise _fault(raw) from None
    # Ids end up in Postgres, which has no such character.
    for name, value in (
        ("tenant_id", request.tenant_id),
        ("workflow_id", request.workflow_id),
        ("idempotency_key", request.idempotency_key),
        ("parent_execution_id", request.parent_execution_id),
    ):
        if value is not None and "\x00" in value:
            raise Unusable(DeadLetterCode.INVALID_FIELD, f"invalid: {name}")
    return request


def write(request: RunRequest, outcome: Outcome) -> Written | None:
    """What is written of an answered request; None when nothing is."""
    key = request.workflow_id.encode()
    match outcome:
        case Admitted(execution_id, version_id, decided_at, probe):
            job = Job(
                execution_id=execution_id,
                tenant_id=request.tenant_id,
                workflow_id=request.workflow_id,
                automation_version_id=version_id,
                trigger=request.trigger,
                idempotency_key=request.idempotency_key,
                admitted_at=decided_at,
                probe=probe,
                parent_execution_id=request.parent_execution_id,
                payload=request.payload,
            )
            return Written(Output.JOBS, key, _encode(job))
        case Refused(execution_id, str() as version_id, decided_at, error_code):
            event = RefusedRun(
                event_id=event_id_of("refused", request.tenant_id, execution_id),
                status=RunStatus.FAILURE,
                occurred_at=decided_at,
                tenant_id=request.tenant_id,
                workflow_id=request.workflow_id,
                automation_version_id=version_id,
                execution_id=execution_id,
                error_code=error_code,
            )
            return Written(Output.EVENTS, key, _encode(event))
        case _:
            # An event has a version; without one the caller's row alone tells of it.
            return None


def _fault(raw: bytes) -> Unusable:
    """What is wrong with a message that is no request."""
    try:
        fields = read_object(raw)
    except Unusable as fault:
        return fault
    missing = [name for name in _REQUIRED if name not in fields]
    if missing:
        return Unusable(DeadLetterCode.MISSING_FIELD, f"missing: {', '.join(missing)}")
    invalid = []
    for name, decode in _fields.items():
        if name in fields:
            try:
                decode(bytes(fields[name]))
            except (msgspec.DecodeError, RecursionError):
                invalid.append(name)
    return Unusable(DeadLetterCode.INVALID_FIELD, f"invalid: {', '.join(invalid)}")
