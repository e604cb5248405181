"""Small words for example tables: lines at seconds after `T0`, decisions as short tuples."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.reference.decisions import Decision
from tests.reference.malformed import encode
from tests.reference.oracle import decide
from tests.reference.readings import LITERAL, Readings
from tests.reference.streams import T0

Fields = dict[str, Any]

MINUTE = 60
TENANT = "t_a"
WORKFLOW = "wf1"
VERSION = "v1"


def stamp(seconds: float) -> str:
    """`T0` plus `seconds` as an RFC 3339 time."""
    return (T0 + timedelta(seconds=seconds)).isoformat()


def event(seconds: float, status: str, execution: str, **more: Any) -> Fields:
    """A run event of workflow `wf1`; its id is `execution:status:seconds` unless given."""
    return {
        "event_id": f"{execution}:{status}:{seconds:g}",
        "status": status,
        "occurred_at": stamp(seconds),
        "tenant_id": TENANT,
        "workflow_id": WORKFLOW,
        "automation_version_id": VERSION,
        "execution_id": execution,
        **more,
    }


def denied(seconds: float, execution: str, system: str | None = "crm", **more: Any) -> Fields:
    """An auth failure; its id is its execution."""
    return event(
        seconds,
        "failure",
        execution,
        **{"event_id": execution, "http_status": 401, "system_key": system, **more},
    )


def failed(seconds: float, execution: str, system: str | None = "crm", **more: Any) -> Fields:
    """A failure that is no auth failure."""
    return event(seconds, "failure", execution, **{"http_status": 500, "system_key": system, **more})


def success(seconds: float, execution: str, system: str | None = None, **more: Any) -> Fields:
    """A success, without a system unless one is named."""
    return event(seconds, "success", execution, **{"system_key": system, **more})


def control(seconds: float, kind: str, **more: Any) -> Fields:
    """A control line of workflow `wf1`."""
    return {
        "kind": kind,
        "tenant_id": TENANT,
        "workflow_id": WORKFLOW,
        "occurred_at": stamp(seconds),
        **more,
    }


def changed(seconds: float, before: str, after: str, **more: Any) -> Fields:
    """A change of status."""
    return control(seconds, "automation_status_changed", from_status=before, to_status=after, **more)


def credential(seconds: float, status: str, event_id: str = "c1", system: str = "crm") -> Fields:
    """A credential event."""
    return control(seconds, "credential_event", status=status, event_id=event_id, system_key=system)


def hold_ended(seconds: float, begin: float, end: float, system: str = "crm") -> Fields:
    """The end of a hold."""
    return control(seconds, "hold_ended", system_key=system, **{"from": stamp(begin), "to": stamp(end)})


def released(seconds: float) -> Fields:
    """A release from the blacklist."""
    return control(seconds, "workflow_released")


def is_401(fields: Fields) -> bool:
    """The simplest classifier."""
    return fields.get("http_status") == 401


def said(
    given: list[Fields],
    *,
    policies: Fields | None = None,
    until: float | None = None,
    readings: Readings = LITERAL,
) -> list[tuple[Any, ...]]:
    """All decisions on these lines, in short form."""
    result = decide(
        [encode(fields) + b"\n" for fields in given],
        policies=policies,
        until=None if until is None else stamp(until),
        is_auth_failure=is_401,
        readings=readings,
    )
    return [short(decision) for decision in result.decisions]


def short(decision: Decision) -> tuple[Any, ...]:
    """A decision as one tuple; its time in seconds after `T0`."""
    at = (datetime.fromisoformat(decision["occurred_at"]) - T0).total_seconds()
    detail = decision["detail"]
    match decision["kind"]:
        case "block_for_credentials":
            systems = ",".join(detail["failed_systems"])
            return ("block", at, decision["reason_code"], systems, " ".join(decision["evidence"]))
        case "execution_stuck":
            return ("stuck", at, detail["execution_id"], decision["reason_code"])
        case "execution_recovered":
            return ("recovered", at, detail["execution_id"])
        case _:
            return ("blacklist", at, detail["reason"], " ".join(detail["execution_ids"]))
