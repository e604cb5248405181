"""Small words for example tables: lines at minutes after `T0` in, what is decided as short tuples out.

`decide` goes the whole way of `breakwater detect`: NDJSON bytes, decoding, identity, lane, detectors.
"""

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from config.auth_errors import load_auth_errors
from config.policies import parse_policies
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision, DecisionKind
from dataflows.engine.detector_sets import DetectorFactory
from dataflows.registry import Registry, TrustingRegistry
from dataflows.replay import Replay
from dataflows.sources.lines import LineReader
from dataflows.times import NEVER, micros, to_micros

Line = dict[str, Any]
Said = tuple[str, ...]

T0 = datetime.fromisoformat("2026-03-02T08:00:00+00:00")
LATENESS = timedelta(seconds=60)

#: In minutes, as all times of the tables.
SECOND = 1 / 60
MICROSECOND = SECOND / 1_000_000
HOUR = 60
DAY = 24 * HOUR

TENANT, WORKFLOW, VERSION = "t1", "wf1", "v1"

CLASSIFIER = load_auth_errors()


def time(minutes: float) -> datetime:
    """`T0` and so many minutes, to the microsecond."""
    return T0 + timedelta(minutes=minutes)


def offset(at: datetime) -> str:
    """Hours, minutes and seconds after `T0`: `0:30:00`."""
    return str(at - T0)


# ---- lines


def run(at: float, status: str, execution: str, **more: Any) -> Line:
    """A run event. Its id is `execution:status:minutes` unless it is given."""
    return {
        "event_id": f"{execution}:{status}:{at:g}",
        "status": status,
        "occurred_at": time(at).isoformat(),
        "tenant_id": TENANT,
        "workflow_id": WORKFLOW,
        "automation_version_id": VERSION,
        "execution_id": execution,
        **more,
    }


def started(at: float, execution: str = "x", **more: Any) -> Line:
    """The begin of an execution."""
    return run(at, "started", execution, **more)


def beat(at: float, execution: str = "x", **more: Any) -> Line:
    """A heartbeat."""
    return run(at, "running", execution, **more)


def ended(at: float, execution: str = "x", **more: Any) -> Line:
    """A success that names no system."""
    return run(at, "success", execution, **more)


def timed_out(at: float, execution: str = "x", **more: Any) -> Line:
    """A time-out, reported by the platform."""
    return run(at, "timed_out", execution, **more)


def denied(at: float, execution: str, system: str | None = "crm", **more: Any) -> Line:
    """An auth failure; its event id is its execution's."""
    return run(at, "failure", execution, **{"event_id": execution, "system_key": system, "http_status": 401, **more})


def failed(at: float, execution: str, system: str | None = "crm", **more: Any) -> Line:
    """A failure that has nothing to do with credentials."""
    return run(at, "failure", execution, **{"system_key": system, "http_status": 500, **more})


def tick(at: float) -> Line:
    """An event of another workflow: it moves the watermark and nothing else."""
    name = f"tick{at:.9f}"
    return run(at, "success", name, workflow_id="other", event_id=name)


def control(at: float, kind: str, **more: Any) -> Line:
    """A control event of the workflow."""
    return {
        "kind": kind,
        "tenant_id": TENANT,
        "workflow_id": WORKFLOW,
        "occurred_at": time(at).isoformat(),
        **more,
    }


def changed(at: float, before: str, after: str, **more: Any) -> Line:
    """A change of the automation's status."""
    return control(at, "automation_status_changed", from_status=before, to_status=after, **more)


def credential(at: float, status: str, event_id: str = "cred1", system: str = "crm", **more: Any) -> Line:
    """What an integration monitor found out."""
    return control(at, "credential_event", event_id=event_id, system_key=system, status=status, **more)


def hold_ended(at: float, begin: float, end: float, system: str = "crm") -> Line:
    """The end of a provider's incident."""
    return control(
        at, "hold_ended", system_key=system, **{"from": time(begin).isoformat(), "to": time(end).isoformat()}
    )


def released(at: float, **more: Any) -> Line:
    """The workflow is taken off the blacklist."""
    return control(at, "workflow_released", **more)


def configured(at: float, version: int, threshold: int | None = None, window_minutes: int | None = None) -> Line:
    """The circuit breaker's default thresholds are changed."""
    values = {"version": version, "stuck_threshold": threshold, "stuck_window_minutes": window_minutes}
    return {"kind": "system_config_changed", "occurred_at": time(at).isoformat(), **values}


# ---- what is decided


def block(at: float, reason: str, systems: str, evidence: str) -> Said:
    """A `block_for_credentials`."""
    return ("block", offset(time(at)), reason, systems, evidence)


def stuck(at: float, execution: str = "x", reason: str = "no_activity") -> Said:
    """An `execution_stuck`."""
    return ("stuck", offset(time(at)), reason, execution)


def recovered(at: float, execution: str = "x") -> Said:
    """An `execution_recovered`."""
    return ("recovered", offset(time(at)), execution)


def blacklist(at: float, executions: str) -> Said:
    """A `blacklist_workflow`; `executions` are sorted, with spaces between them."""
    return ("blacklist", offset(time(at)), f"auto:stuck:{len(executions.split())}", executions)


def silent(at: float, last: str) -> Said:
    """A `silence` of the whole stream; `last` is the event before it."""
    return ("silence", offset(time(at)), last)


def quiet(at: float, last: str) -> Said:
    """A `silence` of the workflow; `last` is the execution before it."""
    return ("quiet", offset(time(at)), last)


def short(decision: Decision) -> Said:
    """A decision as the words above say it."""
    at, detail = offset(decision.occurred_at), decision.detail
    match decision.kind:
        case DecisionKind.BLOCK_FOR_CREDENTIALS:
            systems, evidence = " ".join(detail["failed_systems"]), " ".join(decision.evidence)
            return ("block", at, decision.reason_code.value, systems, evidence)
        case DecisionKind.EXECUTION_STUCK:
            return ("stuck", at, decision.reason_code.value, detail["execution_id"])
        case DecisionKind.EXECUTION_RECOVERED:
            return ("recovered", at, detail["execution_id"])
        case DecisionKind.BLACKLIST_WORKFLOW:
            return ("blacklist", at, detail["reason"], " ".join(detail["execution_ids"]))
        case DecisionKind.SILENCE if decision.workflow_id is None:
            return ("silence", at, " ".join(decision.evidence))
        case DecisionKind.SILENCE:
            return ("quiet", at, detail["execution_id"])


# ---- the way from the one to the other


class Outcome(NamedTuple):
    """All that came of a replay."""

    decisions: list[Decision]
    dead_letters: list[DeadLetter]
    summary: dict[str, Any]


def replay(
    files: list[bytes],
    *,
    policies: dict[str, Any] | None = None,
    registry: Registry | None = None,
    lateness: timedelta = LATENESS,
    until: float | None = None,
) -> Outcome:
    """Read these files as one stream; `policies` is a whole policy document."""
    decisions: list[Decision] = []
    dead_letters: list[DeadLetter] = []
    rules = parse_policies(policies, allowed_lateness=lateness)
    one_pass = Replay(
        DetectorFactory(rules, CLASSIFIER, micros(lateness)),
        registry or TrustingRegistry(),
        micros(lateness),
        on_decision=decisions.append,
        on_dead_letter=dead_letters.append,
    )
    for number, file in enumerate(files):
        one_pass.feed(f"file{number}", LineReader(io.BytesIO(file)), lambda _offset: None)
    one_pass.finish(NEVER if until is None else to_micros(time(until)))
    return Outcome(decisions, dead_letters, one_pass.summary())


def encode(line: Line) -> bytes:
    """One line of NDJSON, with its end."""
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def decisions(
    lines: list[Line],
    *,
    policies: dict[str, Any] | None = None,
    lateness: timedelta = LATENESS,
    until: float | None = None,
    duplicates: int = 0,
) -> list[Decision]:
    """What is decided on these lines. `policies` are sections of the defaults; the whole stream's switch is off.

    The lines are read at once and one by one, which has to make no difference. A line that can't be used is an
    error of the table, and so is an event id that comes again without being announced in `duplicates`.
    """
    document = {"defaults": {"silence": {"whole_stream": None}, **(policies or {})}}
    encoded = [encode(line) for line in lines]
    at_once = replay([b"".join(encoded)], policies=document, lateness=lateness, until=until)
    one_by_one = replay(encoded, policies=document, lateness=lateness, until=until)
    assert one_by_one.decisions == at_once.decisions, (one_by_one.decisions, at_once.decisions)
    assert at_once.dead_letters == [], at_once.dead_letters
    assert at_once.summary["duplicates"] == duplicates, at_once.summary
    return at_once.decisions


def decide(*lines: Line, **how: Any) -> list[Said]:
    """What is decided on these lines, in short; `how` as for `decisions`."""
    return [short(decision) for decision in decisions(list(lines), **how)]


def shared_data() -> Path:
    """Recorded data that is no part of the repository: beside the checkout."""
    return Path(__file__).parents[2] / "shared" / "data"
