"""Run events for benchmarks: made from a seed, so that every engine reads the same bytes."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 1, 5, tzinfo=UTC)

#: One workflow in this many has credentials that fail; one in this many hangs now and then.
FAILING = 1000
HANGING = 1000


def write_events(path: Path, *, events: int, workflows: int, seed: int = 7, rate: float = 5000.0) -> int:
    """Write `events` run events of `workflows` workflows at `rate` a second of event time; the bytes written.

    A run is `started` and, a little later, a terminal event. The line is what platforms send: about 590 bytes,
    most of it fields that no detector reads.
    """
    random_ = random.Random(seed)
    pending: list[tuple[int, int]] = []
    written = 0
    runs = 0
    gap = max(1, workflows // 50)
    with path.open("wb") as file:
        for number in range(events):
            time = START + timedelta(seconds=number / rate)
            if pending and (len(pending) > gap or random_.random() < 0.5):
                workflow, run = pending.pop(random_.randrange(min(len(pending), 64)))
                status = _outcome(random_, workflow)
                if status is None:
                    workflow, run, status = random_.randrange(workflows), runs, "started"
            else:
                workflow, run, status = random_.randrange(workflows), runs, "started"
            if status == "started":
                runs += 1
                pending.append((workflow, run))
            written += file.write(_line(number, time, workflow, run, status, random_))
    return written


def _outcome(random_: random.Random, workflow: int) -> str | None:
    if workflow % HANGING == 1 and random_.random() < 0.2:
        return None
    if workflow % FAILING == 0 or random_.random() < 0.02:
        return "failure"
    return "success"


def _credits(run: int) -> float:
    """What a run costs: evenly between 20 and 30, so that none is remarkable."""
    return 20 + run * 7919 % 1000 / 100


def _line(number: int, time: datetime, workflow: int, run: int, status: str, random_: random.Random) -> bytes:
    event: dict[str, object] = {
        "event_id": f"evt-{number:010d}-{random_.randrange(16**8):08x}",
        "status": status,
        "occurred_at": time.isoformat().replace("+00:00", "Z"),
        "tenant_id": f"tenant-{workflow % 500:04d}",
        "automation_version_id": f"av-{workflow:08d}",
        "workflow_id": f"wf-{workflow:08d}",
        "execution_id": f"exec-{run:010d}",
        "system_key": "salesforce",
        "scenario_id": f"scenario-{workflow % 1000}",
        "scenario_name": "Quarterly binder export",
        "job_type": "BINDER_EXPORT",
        "retry_count": 0,
        "has_idempotency_key": True,
        "payload": {
            "account": "0015g00000abcDEF",
            "objects": ["Account", "Contact", "Opportunity"],
            "note": "x" * 60,
        },
    }
    if status != "started":
        event |= {"model": "gpt-4", "input_tokens": 2200, "output_tokens": 520, "credits_total": _credits(run)}
    if status == "failure":
        failed = workflow % FAILING == 0
        event |= {
            "http_status": 401 if failed else 503,
            "error_code": "INVALID_SESSION_ID" if failed else "UNAVAILABLE",
        }
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
