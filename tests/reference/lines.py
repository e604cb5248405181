"""One line of input by the letter of 10: blank, refused with a code, a run event, or a control line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

Fields = dict[str, Any]

MAX_LINE_BYTES = 1024 * 1024
GATE_CODES = ("WorkflowBlacklisted", "AutomationNotRunnable", "WorkflowOnHold")
TERMINAL = ("success", "failure", "cancelled", "timed_out")
STATUSES = {
    "queued": "queued",
    "started": "started",
    "running": "running",
    "success": "success",
    "failure": "failure",
    "cancelled": "cancelled",
    "timed_out": "timed_out",
    "succeeded": "success",
    "completed": "success",
    "complete": "success",
    "failed": "failure",
    "fail": "failure",
    "error": "failure",
    "crashed": "failure",
    "canceled": "cancelled",
    "aborted": "cancelled",
    "abort": "cancelled",
    "start": "started",
    "heartbeat": "running",
    "progress": "running",
    "quarantined": "failure",
    "escalated": "failure",
}
JOB_TYPES = ("ANALYSIS", "BINDER_EXPORT", "EMAIL_SEND", "RECONCILE_BACKFILL", "FILING", "OTHER")


class LineKind(Enum):
    """What became of one line."""

    BLANK = "blank"
    REFUSED = "refused"
    RUN = "run"
    CONTROL = "control"


@dataclass(frozen=True)
class Line:
    """A judged line; `fields` of a run event or control line (times parsed), `code` of a refused one."""

    kind: LineKind
    fields: Fields
    code: str = ""


class _NaiveTimeError(Exception):
    """The time has no offset."""


_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


def parse_time(text: str) -> datetime:
    """The moment in UTC, cut to microseconds.

    Raises `_NaiveTimeError` without an offset, `ValueError` when it is no time.  Source: RFC 3339, 5.6.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not RFC 3339")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    micro = int((match[7] or "0").ljust(6, "0")[:6])
    moment = datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC)
    zone = match[8]
    if zone is None:
        raise _NaiveTimeError
    if zone in "Zz":
        return moment
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError("not an offset")
    offset = timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
    try:
        return moment.replace(tzinfo=timezone(offset)).astimezone(UTC)
    except OverflowError as overflow:
        raise ValueError("outside the calendar") from overflow


Check = Callable[[Any], bool]


def _text(low: int, high: int) -> Check:
    return lambda value: isinstance(value, str) and low <= len(value) <= high


def _whole(low: int, high: int | None = None) -> Check:
    def check(value: Any) -> bool:
        return type(value) is int and value >= low and (high is None or value <= high)

    return check


def _amount(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value) and value >= 0


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _event_id(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", value) is not None


def _status(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in STATUSES


def _message(value: Any) -> bool:
    return isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) <= 8192


def _flags(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _link(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > 2048 or re.search(r"\s", value):
        return False
    parts = urlsplit(value)
    return parts.scheme in ("http", "https") and parts.netloc != ""


def _job_type(value: Any) -> bool:
    return value in JOB_TYPES


def _baselines(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= 1000 and all(map(_baseline, value))


def _baseline(value: Any) -> bool:
    if not isinstance(value, dict) or not _text(1, 240)(value.get("scenario_id")):
        return False
    credits_, job_type = value.get("median_credits"), value.get("job_type")
    return (credits_ is None or _amount(credits_)) and (job_type is None or _job_type(job_type))


_RUN_REQUIRED = (
    "event_id",
    "status",
    "occurred_at",
    "tenant_id",
    "automation_version_id",
    "execution_id",
)
_RUN_CHECKS: dict[str, Check] = {
    "event_id": _event_id,
    "status": _status,
    "tenant_id": _text(1, 128),
    "automation_version_id": _text(1, 128),
    "workflow_id": _text(1, 128),
    "execution_id": _text(1, 128),
    "system_key": _text(0, 64),
    "http_status": _whole(100, 599),
    "error_code": _text(0, 128),
    "error_message": _message,
    "scenario_id": _text(0, 128),
    "scenario_name": _text(0, 240),
    "job_type": _job_type,
    "credits_total": _amount,
    "credits_in": _amount,
    "credits_out": _amount,
    "model": _text(0, 120),
    "input_tokens": _whole(0, 2**63 - 1),
    "output_tokens": _whole(0, 2**63 - 1),
    "retry_count": _whole(0, 2**63 - 1),
    "has_idempotency_key": _flag,
    "has_max_items_config": _flag,
    "is_batch_job": _flag,
    "is_backfill": _flag,
    "prompt_version": _text(0, 120),
    "input_item_count": _whole(0, 2**63 - 1),
    "risk_flags": _flags,
    "artifacts_link": _link,
}
_RUN_TIMES = ("occurred_at", "deployment_timestamp")

_SUBJECT = ("tenant_id", "workflow_id", "occurred_at")
_CONTROL_REQUIRED: dict[str, tuple[str, ...]] = {
    "automation_status_changed": (*_SUBJECT, "from_status", "to_status"),
    "credential_event": (*_SUBJECT, "system_key", "status", "event_id"),
    "workflow_released": _SUBJECT,
    "baselines_updated": ("tenant_id", "occurred_at", "baselines"),
    "hold_ended": (*_SUBJECT, "system_key", "from", "to"),
}
_CONTROL_CHECKS: dict[str, Check] = {
    "tenant_id": _text(1, 128),
    "workflow_id": _text(1, 128),
    "automation_version_id": _text(1, 128),
    "from_status": _text(1, 128),
    "to_status": _text(1, 128),
    "system_key": _text(0, 64),
    "status": _text(1, 128),
    "event_id": _event_id,
    "baselines": _baselines,
}
_CONTROL_USES = {
    kind: (*required, *(("automation_version_id",) if kind == "automation_status_changed" else ()))
    for kind, required in _CONTROL_REQUIRED.items()
}
_CONTROL_TIMES = ("occurred_at", "from", "to")


def judge_line(line: bytes) -> Line:
    """Decode and check one line (its line end does not matter), with the order of codes of 10."""
    raw = line.rstrip(b"\r\n")
    if raw.strip(b" \t\r\n") == b"":
        return Line(LineKind.BLANK, {})
    if len(raw) > MAX_LINE_BYTES:
        return _refused("too_large")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except ValueError:
        return _refused("not_json")
    if not isinstance(value, dict):
        return _refused("not_an_object")
    present = {name: given for name, given in value.items() if given is not None}

    kind = present.get("kind")
    if isinstance(kind, str) and kind in _CONTROL_REQUIRED:
        uses = {name: present[name] for name in _CONTROL_USES[kind] if name in present}
        judged = _judge_fields(uses, _CONTROL_REQUIRED[kind], _CONTROL_CHECKS, _CONTROL_TIMES)
        if isinstance(judged, str):
            return _refused(judged)
        return Line(LineKind.CONTROL, {**judged, "kind": kind})

    if "execution_id" not in present and "run_id" in present:
        present["execution_id"] = present["run_id"]
    judged = _judge_fields(present, _RUN_REQUIRED, _RUN_CHECKS, _RUN_TIMES)
    if isinstance(judged, str):
        return _refused(judged)
    return Line(LineKind.RUN, {**judged, "status": STATUSES[judged["status"].lower()]})


def identify(event: Fields, registry: list[dict[str, Any]] | None) -> str | None:
    """Fill in `workflow_id`, or return the dead-letter code (10, "Identity").

    A registered version without a workflow is bound to its own id, as the default of `workflow_id` says.
    """
    version = event["automation_version_id"]
    bound = version
    if registry is not None:
        rows = [row for row in registry if row["automation_version_id"] == version]
        if not rows:
            return "unknown_automation_version"
        rows = [row for row in rows if row["tenant_id"] == event["tenant_id"]]
        if not rows:
            return "tenant_mismatch"
        bound = rows[0].get("workflow_id") or version
        if event.get("workflow_id", bound) != bound:
            return "tenant_mismatch"
    event.setdefault("workflow_id", bound)
    return None


def _judge_fields(
    given: Mapping[str, Any], required: tuple[str, ...], checks: Mapping[str, Check], times: tuple[str, ...]
) -> Fields | str:
    if any(name not in given for name in required):
        return "missing_field"
    out = dict(given)
    naive = False
    for name, value in given.items():
        if name in checks and not checks[name](value):
            return "invalid_field"
        if name in times:
            try:
                out[name] = parse_time(value) if isinstance(value, str) else None
            except _NaiveTimeError:
                naive = True
            except ValueError:
                return "invalid_field"
            if out[name] is None:
                return "invalid_field"
    return "naive_timestamp" if naive else out


def _refused(code: str) -> Line:
    return Line(LineKind.REFUSED, {}, code)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
