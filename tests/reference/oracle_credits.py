"""An independent reading of 50.2 and 50.3 for one stream: everything is remembered, and counted anew for each run.

Read without a switch:

- Runs are judged by (event time, but not before the highest event time seen less 5 s, when they came), then workflow,
  then arrival; baselines come before the runs of the same moment.
- The first record of a run counts; the fields that tell records apart are all but event id and time.
- "Within 30 days before" has both ends; so has "24 h before the run". "Within 20 %" is inclusive in `default`.
- An unknown prompt version of the run before is no difference. Any healthy run with items makes a median per item.
- A baseline of 0 is none. A flag of the sender is SEV0 by itself in `default`, whatever else.
- The learned baseline is the median, kept within 20 % of everything that it was in the week before.

Streams must span less than a week: after that the product's memory of what a baseline was is coarser than this one's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from tests.reference.lines import GATE_CODES, TERMINAL, Fields, LineKind, judge_line
from tests.reference.policies import section

LATENESS = timedelta(seconds=5)
MONTH = timedelta(days=30)
DAY = timedelta(days=1)

_ACTIONS = {
    "SEV0": ["quarantine", "block_dispatch", "create_case", "page_lock", "slack_escalate"],
    "SEV1": ["create_case", "slack_alert", "require_ack_before_rerun"],
    "SEV2": ["create_case", "slack_alert", "weekly_review"],
    "SEV3": ["ledger_only", "weekly_review_optional"],
    "SEV4": ["ledger_only"],
}
_LEGIT = {"batch_job", "backfill_mode", "linear_scaling"}
_MISCONFIG = {"retry_loop": 3, "unbounded_iterator": 4, "missing_idempotency": 4, "sudden_prompt_growth": 2}
_LEGIT_WEIGHTS = {"batch_job": 3, "backfill_mode": 4}


@dataclass
class Run:
    """A run with credits, or a control line; `order` begins with when it is judged."""

    order: tuple[Any, ...]
    at: datetime
    fields: Fields


@dataclass
class _Scenario:
    healthy: list[tuple[datetime, Fraction, int | None]] = field(default_factory=list)
    learned: list[Fraction] = field(default_factory=list)
    prompt: str | None = None
    job_type: str | None = None
    approved: Fraction | None = None
    approved_at: datetime | None = None


def judge(lines: list[bytes], policies: dict[str, Any] | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    """What is said of each run with credits, by (workflow, execution)."""
    out = {}
    scenarios: dict[tuple[str, str], _Scenario] = {}
    for run in sorted(charges(lines), key=lambda one: one.order):
        fields, tenant = run.fields, run.fields["tenant_id"]
        if "kind" in fields:
            for change in fields["baselines"]:
                scenario = scenarios.setdefault((tenant, change["scenario_id"]), _Scenario())
                if scenario.approved_at is None or scenario.approved_at <= run.at:
                    value = change["median_credits"]
                    scenario.approved = None if value is None else _exact(value)
                    scenario.approved_at = run.at
            continue
        name = fields.get("scenario_id") or fields.get("scenario_name") or fields["workflow_id"]
        scenario = scenarios.setdefault((tenant, name), _Scenario())
        scenario.job_type = fields.get("job_type", "OTHER")
        peers = [
            other.approved
            for (whose, _), other in scenarios.items()
            if whose == tenant and other.job_type == scenario.job_type and other.approved
        ]
        said = _judge(run, scenario, peers, section(policies, tenant, fields["workflow_id"], "credits"))
        out[fields["workflow_id"], fields["execution_id"]] = said
        is_healthy = fields["status"] == "success" and fields.get("retry_count", 0) <= 1
        if is_healthy and said["severity"] in ("SEV3", "SEV4"):
            scenario.healthy.append((run.at, _exact(fields["credits_total"]), fields.get("input_item_count") or None))
        scenario.prompt = fields.get("prompt_version")
    return out


def charges(lines: list[bytes]) -> list[Run]:
    """What is judged of a stream, in the order of arrival."""
    highest: datetime | None = None
    runs: list[Run] = []
    events: set[tuple[str, str]] = set()
    executions: set[tuple[str, str]] = set()
    for arrival, raw in enumerate(lines):
        line = judge_line(raw)
        if line.kind not in (LineKind.RUN, LineKind.CONTROL):
            continue
        fields, at = line.fields, line.fields["occurred_at"]
        highest = at if highest is None else max(highest, at)
        due = max(at, highest - LATENESS)
        if line.kind is LineKind.CONTROL:
            if fields["kind"] == "baselines_updated":
                runs.append(Run((due, at, 0, "", arrival), at, fields))
            continue
        workflow = fields["workflow_id"]
        event, execution = (workflow, fields["event_id"]), (workflow, fields["execution_id"])
        is_new = event not in events
        events.add(event)
        if not is_new or "credits_total" not in fields or fields["status"] not in TERMINAL:
            continue
        if fields.get("error_code") in GATE_CODES or execution in executions:
            continue
        executions.add(execution)
        runs.append(Run((due, at, 1, workflow, arrival), at, fields))
    return runs


def _judge(run: Run, scenario: _Scenario, peers: list[Fraction], policy: dict[str, Any]) -> dict[str, Any]:
    fields, original = run.fields, policy.get("profile", "default") == "sintraprime"
    credits_total = _exact(fields["credits_total"])
    window = [one for one in scenario.healthy if run.at - MONTH <= one[0] <= run.at]
    window = sorted(window, key=lambda one: one[0])[-30:]
    learned = None
    if len(window) >= 5:
        learned = _median([value for _, value, _ in window])
        if scenario.learned:
            learned = max(learned, max(scenario.learned) * Fraction(4, 5))
            learned = min(learned, min(scenario.learned) * Fraction(6, 5))
        scenario.learned.append(learned)
    source, baseline = "none", None
    if scenario.approved:
        source, baseline = "approved", scenario.approved
    elif learned:
        source, baseline = "learned", learned
    elif len(peers) >= 3:
        source, baseline = "peer", _median(peers)
    per_item = [value / items for _, value, items in window if items]
    flags = _flags(run, scenario, credits_total, baseline, _median(per_item) if per_item else None, original)
    net, legit = _score(flags, original)
    likelihood = "High" if net >= 6 else "Medium" if net >= 3 else "Low"
    multiplier: Fraction | float | None
    if original:
        multiplier = 0.0 if baseline is None else float(credits_total) / float(baseline)
    else:
        multiplier = None if baseline is None else credits_total / baseline
    cap = policy.get("absolute_cap")
    is_over = cap is not None and credits_total >= _exact(cap)
    severity = _severity(multiplier, flags, likelihood, net, is_over=is_over, original=original)
    actions = _ACTIONS[severity]
    if original and severity == "SEV2":
        actions = ["log_case_optional", "weekly_review"]
    return {
        "severity": severity,
        "baseline_source": source,
        "baseline_credits": baseline,
        "variance_multiplier": None if multiplier is None else float(multiplier),
        "misconfig_likelihood": likelihood,
        "misconfig_score": net,
        "legit_score": legit,
        "risk_flags": flags,
        "risk_summary": _summary(multiplier, likelihood, flags),
        "actions": actions,
    }


def _flags(
    run: Run,
    scenario: _Scenario,
    credits_total: Fraction,
    baseline: Fraction | None,
    per_item: Fraction | None,
    original: bool,
) -> list[str]:
    fields = run.fields
    multiplier = Fraction(0) if baseline is None else credits_total / baseline
    prompt, deployed, items = (
        fields.get(name) for name in ("prompt_version", "deployment_timestamp", "input_item_count")
    )
    if original:
        is_new = bool(prompt)
        is_deployed = deployed is not None
        base = float(baseline or 0)
        is_linear = bool(items) and abs(float(credits_total) / items - base / items) < 0.2 * base / items
    else:
        is_new = bool(prompt) and scenario.prompt is not None and prompt != scenario.prompt
        is_deployed = deployed is not None and timedelta(0) <= run.at - deployed <= DAY and multiplier >= Fraction(3, 2)
        is_linear = bool(items) and per_item is not None and abs(credits_total / items - per_item) <= per_item / 5
    is_backfill = fields.get("is_backfill") is True
    if not original:
        is_backfill = is_backfill or fields.get("job_type") == "RECONCILE_BACKFILL"
    found = {
        "retry_loop": fields.get("retry_count", 0) > 5,
        "unbounded_iterator": fields.get("has_max_items_config") is False,
        "missing_idempotency": fields.get("has_idempotency_key") is False,
        "sudden_prompt_growth": is_new and multiplier > 2,
        "deployment_correlation": is_deployed,
        "batch_job": fields.get("is_batch_job") is True,
        "backfill_mode": is_backfill,
        "linear_scaling": is_linear,
        "pii_exposure": "pii_exposure" in fields.get("risk_flags", []),
        "regulatory_data": "regulatory_data" in fields.get("risk_flags", []),
        "no_baseline": baseline is None and not original,
    }
    return [name for name, holds in found.items() if holds]


def _score(flags: list[str], original: bool) -> tuple[int, int]:
    misconfig = _MISCONFIG | ({} if original else {"deployment_correlation": 3})
    legit = _LEGIT_WEIGHTS | ({} if original else {"linear_scaling": 2})
    for_it = sum(misconfig.get(flag, 0) for flag in flags)
    against = sum(legit.get(flag, 0) for flag in flags)
    return for_it - against, against


def _severity(
    multiplier: Fraction | float | None, flags: list[str], likelihood: str, net: int, *, is_over: bool, original: bool
) -> str:
    sensitive = "pii_exposure" in flags or "regulatory_data" in flags
    if original:
        assert multiplier is not None
        if multiplier >= 10 and sensitive:
            return "SEV0"
        return "SEV1" if multiplier >= 5 else "SEV2" if multiplier >= 2 else "SEV3" if multiplier >= 1.5 else "SEV4"
    if sensitive:
        return "SEV0"
    if multiplier is None:
        level = 3
    elif multiplier >= 10:
        level = 0
    elif multiplier >= 5 or (multiplier >= 2 and likelihood == "High"):
        level = 1
    else:
        level = 2 if multiplier >= 2 else 3 if multiplier >= Fraction(3, 2) else 4
    if net <= -3 and level <= 2:
        level += 1
    return f"SEV{min(level, 1) if is_over else level}"


def _summary(multiplier: Fraction | float | None, likelihood: str, flags: list[str]) -> str:
    if multiplier is None:
        shown = "unknown"
    else:
        cents = floor(Fraction(multiplier) * 100 + Fraction(1, 2))
        shown = f"{cents // 100}.{cents % 100:02d}×"
    parts = [f"Variance: {shown}", f"Misconfig likelihood: {likelihood}"]
    if against := [flag for flag in flags if flag not in _LEGIT]:
        parts.append("Misconfig signals: " + ", ".join(against))
    if legit := [flag for flag in flags if flag in _LEGIT]:
        parts.append("Legit signals: " + ", ".join(legit))
    return " | ".join(parts)


def _exact(value: float) -> Fraction:
    return Fraction(str(value))


def _median(values: list[Fraction]) -> Fraction:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
