"""An independent reference of `breakwater detect` (20.7): slow, global, nothing is ever forgotten.

Written from 10 and 20 alone, to be compared with the product on random streams (`streams.py`).  History stays
in lists and windows are recomputed from them.  Two bounds of the product are therefore not in here: ids of
events and of counted executions are remembered for ever, so a stream must span less than 24 h.

Ambiguities with a switch are in `readings.py`.  Read without a switch:

- All status words match case-insensitively, not the aliases alone; nothing is trimmed.
- RFC 3339 to the letter: no missing seconds, no `+0000`, no second 60; a space for `T` is allowed; finer
  than microseconds is cut.  A naive `deployment_timestamp`, `from` or `to` is `naive_timestamp` too.
- 1 MiB is measured without the line end, 8 KiB in UTF-8 bytes, other lengths in characters.
- `execution_id` null with a `run_id` takes the alias; with both, `run_id` is an unknown field.
- `NaN` and `Infinity` are `not_json`; a number that overflows to infinity is `invalid_field`.
- `system_key` "" is a system of its own; "unknown" is the same as none for failures.
- Control lines are not looked up in the registry, and `conflicting_run` (50.1) is not judged here.
- `late` counts usable, new run events only; control lines and duplicates never.
- `hold_ended` takes its interval with both ends, removes from window, streak and row, and removes only what
  has arrived.
- An out-of-order auth failure does not end the cooldown; a credential event neither ends it nor has an order.
- With `queue_timeout`: the last event by (`occurred_at`, arrival) decides which timeout holds; `queued`
  recovers nothing.
- "At most once stuck" and what follows a `timed_out` are remembered for ever, other terminals for their time.
- Several releases: stuck at or before any of them counts for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.reference.decisions import Decision, by_subject, normalize
from tests.reference.lines import GATE_CODES, Fields, LineKind, identify, judge_line, parse_time
from tests.reference.oracle_auth import AuthOracle
from tests.reference.oracle_silence import SilenceOracle
from tests.reference.oracle_stuck import StuckOracle
from tests.reference.policies import auth_policy, breaker_policy, silence_limit, stuck_policy
from tests.reference.readings import LITERAL, Readings

__all__ = ["DEFAULT_LATENESS", "Result", "by_subject", "decide", "normalize"]

DEFAULT_LATENESS = timedelta(seconds=60)


@dataclass(frozen=True)
class Result:
    """What `breakwater detect` would have said; line numbers count from 1, blank lines included."""

    decisions: list[Decision]
    summary: dict[str, Any]
    dead_letters: list[tuple[int, str]]


def decide(
    lines: Iterable[bytes],
    *,
    policies: dict[str, Any] | None = None,
    registry: list[dict[str, Any]] | None = None,
    until: str | None = None,
    is_auth_failure: Callable[[Fields], bool],
    allowed_lateness: timedelta = DEFAULT_LATENESS,
    readings: Readings = LITERAL,
) -> Result:
    """Read a stream to its end; `is_auth_failure` is asked about terminal failures only.

    Policies must be valid.  Cost: quadratic in the number of lines.
    """
    policy_version = (policies or {}).get("version", 1)
    decisions: list[Decision] = []
    dead_letters: list[tuple[int, str]] = []
    counts: Counter[str] = Counter()
    seen_ids: set[tuple[str, str, str]] = set()
    auth: dict[tuple[str, str], AuthOracle] = {}
    stuck = StuckOracle(
        lambda tenant, workflow: stuck_policy(policies, tenant, workflow),
        lambda tenant, workflow: breaker_policy(policies, tenant, workflow),
        policy_version,
        allowed_lateness,
        readings,
    )
    silence = SilenceOracle(silence_limit(policies), policy_version)
    highest: datetime | None = None

    for number, raw in enumerate(lines, start=1):
        line = judge_line(raw)
        if line.kind is LineKind.BLANK:
            continue
        code: str | None = line.code
        fields = line.fields
        if line.kind is LineKind.RUN:
            code = identify(fields, registry)
        if code:
            dead_letters.append((number, code))
            continue

        tenant, workflow, at = fields["tenant_id"], fields["workflow_id"], fields["occurred_at"]
        is_run = line.kind is LineKind.RUN
        is_duplicate = False
        if "event_id" in fields and (is_run or readings.controls_are_deduplicated):
            identity = (tenant, workflow, fields["event_id"])
            is_duplicate = identity in seen_ids
            seen_ids.add(identity)

        is_late = highest is not None and at < highest - allowed_lateness
        if highest is None or (at > highest and (not is_duplicate or readings.duplicate_moves_watermark)):
            highest = at
        decisions += stuck.advance(highest - allowed_lateness)
        decisions += silence.advance(highest - allowed_lateness)

        if is_duplicate:
            counts["duplicates"] += is_run
            continue
        if is_run:
            counts["events"] += 1
            counts["late"] += is_late
            if fields.get("error_code") in GATE_CODES:
                continue
            silence.arrive(fields, highest - allowed_lateness)
        detector = auth.setdefault(
            (tenant, workflow),
            AuthOracle(
                tenant,
                workflow,
                auth_policy(policies, tenant, workflow),
                policy_version,
                is_auth_failure,
                readings,
            ),
        )
        if is_run:
            decisions += detector.on_run(fields, number)
            decisions += stuck.arrive(fields, number)
        else:
            decisions += detector.on_control(fields, number)
            if line.fields["kind"] in ("workflow_released", "automation_status_changed"):
                decisions += stuck.arrive(fields, number)

    if highest is not None:
        end = highest if until is None else max(highest, parse_time(until))
        decisions += stuck.advance(end)
        decisions += silence.advance(end)
    summary = {
        "events": counts["events"],
        "duplicates": counts["duplicates"],
        "late": counts["late"],
        "dead_letters": dict(Counter(code for _, code in dead_letters)),
        "decisions": dict(Counter(decision["kind"] for decision in decisions)),
    }
    return Result(decisions, summary, dead_letters)
