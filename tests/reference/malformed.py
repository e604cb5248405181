"""Lines that are no event, or only just one: every dead-letter code of 10, their order, and their edges.

Times in refused lines often lie hours ahead, so that a reader that lets them move its watermark is found out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

Fields = dict[str, Any]

_MIB = 1024 * 1024
_REQUIRED = ("event_id", "status", "occurred_at", "tenant_id", "automation_version_id", "execution_id")
_FAR = "2026-03-03T09:00:00Z"

#: Values that are wrong for their field.
INVALID: tuple[tuple[str, Any], ...] = (
    ("event_id", ""),
    ("event_id", "has space"),
    ("event_id", "x" * 129),
    ("event_id", 7),
    ("event_id", "ümlaut"),
    ("event_id", "line\n"),
    ("status", "done"),
    ("status", ""),
    ("status", " success"),
    ("status", 1),
    ("status", ["success"]),
    ("occurred_at", "yesterday"),
    ("occurred_at", ""),
    ("occurred_at", 1772438400),
    ("occurred_at", "2026-03-02"),
    ("occurred_at", "2026-03-02T08:00Z"),
    ("occurred_at", "20260302T080000Z"),
    ("occurred_at", "2026-03-02T08:00:00+0000"),
    ("occurred_at", "2026-02-30T08:00:00Z"),
    ("occurred_at", "2026-03-02T25:00:00Z"),
    ("occurred_at", "2026-03-02T08:00:00+25:00"),
    ("occurred_at", " 2026-03-02T08:00:00Z"),
    ("tenant_id", ""),
    ("tenant_id", "t" * 129),
    ("tenant_id", 5),
    ("tenant_id", {"id": "t_a"}),
    ("automation_version_id", ""),
    ("automation_version_id", False),
    ("workflow_id", ""),
    ("workflow_id", "w" * 129),
    ("workflow_id", 3),
    ("execution_id", ""),
    ("execution_id", "e" * 129),
    ("execution_id", 12),
    ("system_key", "s" * 65),
    ("system_key", 4),
    ("http_status", 99),
    ("http_status", 600),
    ("http_status", "401"),
    ("http_status", True),
    ("http_status", 401.5),
    ("error_code", "c" * 129),
    ("error_code", 401),
    ("error_message", "m" * 8193),
    ("error_message", {"text": "Bad credentials"}),
    ("scenario_id", "s" * 129),
    ("scenario_name", "s" * 241),
    ("job_type", "analysis"),
    ("job_type", "MINING"),
    ("credits_total", -1),
    ("credits_total", "12"),
    ("credits_total", True),
    ("credits_in", -0.5),
    ("credits_out", []),
    ("model", "m" * 121),
    ("input_tokens", -1),
    ("output_tokens", 1.5),
    ("retry_count", "2"),
    ("has_idempotency_key", 1),
    ("has_max_items_config", "true"),
    ("is_batch_job", 0),
    ("is_backfill", "no"),
    ("prompt_version", "p" * 121),
    ("deployment_timestamp", "last week"),
    ("input_item_count", -3),
    ("input_item_count", 2**63),
    ("input_tokens", 10**400),
    ("risk_flags", "pii_exposure"),
    ("risk_flags", [1]),
    ("artifacts_link", "ftp://example.org/a"),
    ("artifacts_link", "no link"),
    ("artifacts_link", "https://example.org/" + "a" * 2048),
)

#: Values at the allowed edge of their field.
EDGES: tuple[tuple[str, Any], ...] = (
    ("system_key", None),
    ("http_status", None),
    ("error_code", None),
    ("error_message", "m" * 8192),
    ("scenario_id", "s" * 128),
    ("scenario_name", "s" * 240),
    ("job_type", "EMAIL_SEND"),
    ("credits_total", 0),
    ("credits_total", 12.5),
    ("retry_count", 0),
    ("output_tokens", 2**63 - 1),
    ("is_batch_job", False),
    ("risk_flags", []),
    ("risk_flags", ["pii_exposure", "anything"]),
    ("artifacts_link", "https://example.org/a?b=c"),
    ("deployment_timestamp", "2026-03-01T00:00:00+01:00"),
    ("payload", {"tenant_id": "t_other", "status": "failure", "http_status": 401}),
    ("payload", None),
    ("payload", "kind"),
    ("kind", None),
    ("kind", 7),
    ("kind", "not_a_known_kind"),
    ("a_field_of_the_future", {"nested": [1, 2, 3]}),
    ("model", "ünïcödé ☃"),
)


def encode(fields: Fields) -> bytes:
    """One line without its end."""
    return json.dumps(fields, ensure_ascii=False).encode()


def malformed_line(rng: Random, event: Fields, *, rare: bool) -> bytes:
    """Spoil a good run event (with its line end left out); `rare` allows lines of a mebibyte."""
    event = dict(event)
    if rng.random() < 0.5:
        event["occurred_at"] = _FAR
    makers: list[Callable[[Random, Fields], bytes]] = [
        _blank,
        _not_json,
        _not_an_object,
        _missing,
        _missing,
        _invalid,
        _invalid,
        _invalid,
        _naive,
        _several,
    ]
    if rare:
        makers = [_too_large]
    return rng.choice(makers)(rng, event)


def malformed_control(rng: Random, control: Fields) -> bytes:
    """Spoil a good control line: a field away, null, of a wrong type, or a naive time."""
    control = dict(control)
    names = [name for name in control if name not in ("kind", "automation_version_id")]
    name = rng.choice(names)
    match rng.choice(("missing", "null", "type", "naive", "time")):
        case "missing":
            del control[name]
        case "null":
            control[name] = None
        case "type":
            control[name] = rng.choice((5, [], {}, True))
        case "naive":
            control["occurred_at"] = "2026-03-03T09:00:00"
        case _:
            control["occurred_at"] = "at noon"
    return encode(control)


def full_mebibyte(event: Fields, *, excess: int) -> bytes:
    """A good event filled up with payload to 1 MiB plus `excess` bytes."""
    empty = encode({**event, "payload": ""})
    return encode({**event, "payload": "x" * (_MIB + excess - len(empty))})


def _blank(rng: Random, event: Fields) -> bytes:
    return rng.choice((b"", b"   ", b"\t", b" \r"))


def _not_json(rng: Random, event: Fields) -> bytes:
    good = encode(event)
    return rng.choice(
        (
            good[:-1],
            good[:-1] + b",}",
            good + b"}",
            good.replace(b'"status"', b"'status'"),
            b"\xef\xbb\xbf" + good,
            good[:-1] + b', "model": "\xff\xfe"}',
            good[:-1] + b', "credits_total": NaN}',
            good[:-1] + b', "credits_total": -Infinity}',
            b"\x80\x81",
            b"not json",
        )
    )


def _not_an_object(rng: Random, event: Fields) -> bytes:
    return rng.choice((b"null", b"12", b"true", b'"success"', b"[]", b"[" + encode(event) + b"]"))


def _missing(rng: Random, event: Fields) -> bytes:
    name = rng.choice(_REQUIRED)
    event.pop("run_id", None)
    if rng.random() < 0.5:
        event[name] = None
    else:
        event.pop(name, None)
    return encode(event)


def _invalid(rng: Random, event: Fields) -> bytes:
    name, value = rng.choice(INVALID)
    event[name] = value
    if rng.random() < 0.05:
        return encode({**event, "credits_total": 0}).replace(b'"credits_total": 0', b'"credits_total": 1e999')
    return encode(event)


def _naive(rng: Random, event: Fields) -> bytes:
    event["occurred_at"] = rng.choice(("2026-03-03T09:00:00", "2026-03-03T09:00:00.250"))
    return encode(event)


def _several(rng: Random, event: Fields) -> bytes:
    """Two or three faults at once: only the order of codes says which is reported."""
    event["occurred_at"] = "2026-03-03T09:00:00"
    if rng.random() < 0.6:
        name, value = rng.choice(INVALID)
        event[name] = value
        if name == "occurred_at":
            event["http_status"] = "401"
    if rng.random() < 0.6:
        event[rng.choice(_REQUIRED)] = None
    if rng.random() < 0.3:
        event["tenant_id"] = "t_nobody"
    return encode(event) + (b"]" if rng.random() < 0.2 else b"")


def _too_large(rng: Random, event: Fields) -> bytes:
    match rng.randrange(3):
        case 0:
            return full_mebibyte(event, excess=1)
        case 1:
            return full_mebibyte({**event, "status": None}, excess=1)
        case _:
            return b"x" * (_MIB + 1)
