"""Streams of runs with credits, and what the product makes of them."""

import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from config.auth_errors import load_auth_errors
from config.credit_profiles import load_profile
from config.policies import parse_policies
from dataflows.credit_runs import CreditRun
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision
from dataflows.engine.detector_sets import CreditFactory, DetectorFactory
from dataflows.events import BaselineChange, BaselinesUpdated
from dataflows.registry import Registry, TrustingRegistry
from dataflows.replay import Replay
from dataflows.sources.lines import LineReader
from dataflows.times import micros
from tests.dataflows.product import LATENESS

T0 = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

Line = dict[str, Any]


def at(minutes: float) -> str:
    """A time, in minutes after the beginning."""
    return (T0 + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def ended(minutes: float, execution: str, credits_total: float | None, **more: Any) -> Line:
    """A run that ended well, of scenario `s1` and workflow `wf1`."""
    line: Line = {
        "event_id": f"e-{execution}",
        "status": "success",
        "occurred_at": at(minutes),
        "tenant_id": "t_acme",
        "automation_version_id": "v1",
        "workflow_id": "wf1",
        "execution_id": execution,
        "scenario_id": "s1",
        "credits_total": credits_total,
    }
    return line | more


def approved(minutes: float, **baselines: float | None) -> Line:
    """A control line that sets baselines of scenarios."""
    changes = [{"scenario_id": name, "median_credits": value} for name, value in baselines.items()]
    return {"kind": "baselines_updated", "tenant_id": "t_acme", "occurred_at": at(minutes), "baselines": changes}


def usual(count: int = 5, credits_total: float = 100, **more: Any) -> list[Line]:
    """So many runs at the same cost, a minute apart, before the beginning."""
    return [ended(number - count, f"usual-{number}", credits_total, **more) for number in range(count)]


class Outcome(NamedTuple):
    """All that came of a stream."""

    decisions: list[Decision]
    records: list[CreditRun]
    dead_letters: list[DeadLetter]
    summary: dict[str, Any]


def encoded(lines: Iterable[Line]) -> bytes:
    """The lines as a file."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def replayed(
    lines: Sequence[Line] | bytes,
    *,
    policies: dict[str, Any] | None = None,
    registry: Registry | None = None,
    baselines: Iterable[tuple[str, BaselineChange]] = (),
    earlier: Iterable[BaselinesUpdated] = (),
) -> Outcome:
    """Read lines as one file."""
    out = Outcome([], [], [], {})
    rules = parse_policies(policies, allowed_lateness=LATENESS)
    replay = Replay(
        DetectorFactory(rules, load_auth_errors(), micros(LATENESS)),
        registry or TrustingRegistry(),
        micros(LATENESS),
        on_decision=out.decisions.append,
        on_dead_letter=out.dead_letters.append,
        second_stage=CreditFactory(rules, load_profile, keeps_records=True, baselines=baselines, earlier=earlier),
        on_credit_run=out.records.append,
    )
    text = lines if isinstance(lines, bytes) else encoded(lines)
    replay.feed("stream", LineReader(io.BytesIO(text)), lambda _: None)
    replay.finish()
    out.summary.update(replay.summary())
    return out


def some_weeks(
    seed: int, *, disorder: float = 3, steps: int = 400, paces: Sequence[int] = (1, 30, 240, 1440)
) -> list[Line]:
    """Runs of some scenarios that share workflows, over weeks: steady, drifting, spiking, described in all ways.

    They arrive in the order of their times but for `disorder`, seconds that some are held up at most. `paces` are
    minutes between runs, about; a seed has one of them.
    """
    rng = Random(f"weeks:{seed}")
    pace = rng.choice(paces)
    now, sent = 0.0, []
    for number in range(steps):
        now += pace * rng.choice((0, 0, 0.1, 0.5, 1, 1, 2, 30 if rng.random() < 0.05 else 1))
        tenant = rng.choice(("t_a", "t_a", "t_b"))
        scenario = rng.randrange(4)
        workflow = f"{tenant}-wf{scenario % 2 + rng.choice((0, 2, 4))}"
        if rng.random() < 0.03:
            value = rng.choice((None, 50, 100, 102.5, 400))
            line = approved(now, **{f"s{rng.randrange(6)}": value}) | {"tenant_id": tenant}
        else:
            line = _some_run(rng, now, f"x{number}", tenant, workflow, scenario)
        sent.append((now + rng.choice((0, 0, rng.uniform(0, disorder) / 60)), line))
        if rng.random() < 0.05 and "kind" not in line:
            sent.append((now + rng.uniform(0, 2), line | rng.choice(({}, {"event_id": f"again-{number}"}))))
    # In the order of arrival; of two at once the one that was sent first.
    return [line for _, line in sorted(sent, key=lambda pair: pair[0])]


def _some_run(rng: Random, now: float, execution: str, tenant: str, workflow: str, scenario: int) -> Line:
    usual_cost = (100, 0.3, 47.25, 1000)[scenario]
    cost = usual_cost * rng.choice((1, 1, 1, 1, 0.9, 1.1, 1.15, 1.45, 1.5, 1.9, 2, 3, 5, 8, 10, 40))
    names = [{"scenario_id": f"s{scenario}"}, {"scenario_name": f"s{scenario}"}, {}]
    line = ended(now, execution, round(cost, rng.choice((0, 1, 4))), tenant_id=tenant, workflow_id=workflow)
    line |= {"scenario_id": None, "automation_version_id": f"v-{workflow}"} | rng.choice(names)
    options: list[tuple[str, tuple[Any, ...]]] = [
        ("status", ("failure", "cancelled", "timed_out", "running", "Quarantined")),
        ("job_type", ("ANALYSIS", "FILING", "RECONCILE_BACKFILL", "OTHER")),
        ("retry_count", (0, 1, 2, 5, 6)),
        ("has_idempotency_key", (True, False)),
        ("has_max_items_config", (True, False)),
        ("is_batch_job", (True, False)),
        ("is_backfill", (True, False)),
        ("prompt_version", ("p1", "p1", "p2", "")),
        ("deployment_timestamp", (at(now - 1440), at(now), at(now - 1441), at(now + 1))),
        ("input_item_count", (0, 1, 10, 10, 20, 33)),
        ("risk_flags", ([], ["pii_exposure"], ["retry_loop"])),
        ("error_code", ("AUTH_ERROR", "WorkflowOnHold", "UNAVAILABLE")),
        ("credits_total", (None, 0)),
    ]
    for name, values in options:
        if rng.random() < (0.06 if name in ("credits_total", "error_code", "risk_flags") else 0.2):
            line[name] = rng.choice(values)
    return line
