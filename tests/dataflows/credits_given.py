"""Streams of runs with credits, and what the product makes of them."""

import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from config.auth_errors import load_auth_errors
from config.credit_profiles import load_profile
from config.policies import parse_policies
from dataflows.credit_runs import CreditRun
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision
from dataflows.engine.detector_sets import CreditFactory, DetectorFactory
from dataflows.events import BaselineChange
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
        second_stage=CreditFactory(rules, load_profile, keeps_records=True, baselines=baselines),
        on_credit_run=out.records.append,
    )
    text = lines if isinstance(lines, bytes) else encoded(lines)
    replay.feed("stream", LineReader(io.BytesIO(text)), lambda _: None)
    replay.finish()
    out.summary.update(replay.summary())
    return out
