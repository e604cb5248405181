"""What was observed beside the threshold that it was compared with, row by row, for a decision's page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from api.console.times import show_duration, show_time

_MAX_VALUE = 200
#: Doubles below are whole numbers as they were written.
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; None leaves a cell empty."""

    label: str
    observed: str | None
    threshold: str | None
    #: The line that the reason code is about.
    decisive: bool = False


@dataclass(frozen=True, slots=True)
class _Pair:
    """An observed value, its threshold, and how the one is held against the other."""

    label: str
    observed: str
    threshold: str | None = None
    sign: str = ""
    reason_code: str | None = None
    #: What stands for a threshold that is null.
    off: str = "rule is off"


#: In the order of reading.
_PAIRS = (
    _Pair("Refused in a row", "consecutive_failures", "consecutive_failures", "at least ", "consecutive_failures"),
    _Pair("Share of runs refused", "failure_ratio", "failure_ratio", "more than ", "failure_ratio"),
    _Pair("Runs refused in the window", "auth_failures"),
    _Pair("Runs in the window", "runs", "min_runs", "at least ", None),
    _Pair("Stuck executions in the window", "stuck_count", "threshold", "at least ", "stuck_threshold"),
    _Pair("Newest of them", "newest_stuck_at"),
    _Pair("Executions that ended or got stuck in the window", "execution_count"),
    _Pair("Share of them that got stuck", "stuck_ratio", "min_stuck_ratio", "at least ", "stuck_threshold"),
    _Pair("Last sign of life", "last_activity_at"),
    _Pair("Called stuck", "stuck_at"),
    _Pair("Moved again with", "status"),
    _Pair("Credits in the hour", "credits", "limit", "more than ", "spend_burst"),
    _Pair("Credits a day, mean of the last seven", "credits_a_day", "limit", "at least ", "spend_drift"),
    _Pair("More than before", "share_more"),
    _Pair("How odd the hour is, from 0 to 1", "score", "score", "at least "),
    _Pair(
        "Credits of the run", "credits_total", "absolute_cap", "at least ", "absolute_cap", off="no limit of its own"
    ),
    _Pair("Times what is usual", "variance_multiplier", "multipliers", reason_code="credit_spike"),
    _Pair("Points for a misconfiguration", "misconfig_score"),
    _Pair("Points for legitimate load", "legit_score"),
)
_THRESHOLDS_ALONE = {
    "window_seconds": "Window",
    "run_timeout_seconds": "Silence allowed",
    "queue_timeout_seconds": "Silence allowed in the queue",
    "expected": "Credits expected",
    "baseline_credits": "Baseline: what is usual, in credits",
    "baseline_source": "Kind of baseline",
    "profile": "Profile of rules",
}


def compare(
    observed: Mapping[str, Any], threshold: Mapping[str, Any], *, reason_code: str, occurred_at: datetime
) -> list[Row]:
    """Rows for everything that a decision holds; what is not known here comes last, under its own name."""
    rows = [
        Row(
            pair.label,
            _show(pair.observed, observed.get(pair.observed)) if pair.observed in observed else None,
            _limit(pair, threshold),
            decisive=pair.reason_code == reason_code,
        )
        for pair in _PAIRS
        if pair.observed in observed
    ]
    known = {pair.observed for pair in _PAIRS}
    used = {pair.threshold for pair in _PAIRS if pair.observed in observed}
    silence = _silence(observed, threshold, occurred_at)
    if silence is not None:
        rows.append(silence)
        used.add("run_timeout_seconds")
    for key, label in _THRESHOLDS_ALONE.items():
        if threshold.get(key) is not None and key not in used:
            rows.append(Row(label, None, _show(key, threshold[key])))
    used |= _THRESHOLDS_ALONE.keys()
    rest = [*(key for key in observed if key not in known), *(key for key in threshold if key not in used)]
    rows += [
        Row(
            _name(key),
            _show(key, observed[key]) if key in observed and key not in known else None,
            _show(key, threshold[key]) if key in threshold and key not in used else None,
        )
        for key in dict.fromkeys(rest)
    ]
    return rows


def _limit(pair: _Pair, threshold: Mapping[str, Any]) -> str | None:
    if pair.threshold is None or pair.threshold not in threshold:
        return None
    value = threshold[pair.threshold]
    return pair.off if value is None else f"{pair.sign}{_show(pair.threshold, value)}"


def _silence(observed: Mapping[str, Any], threshold: Mapping[str, Any], occurred_at: datetime) -> Row | None:
    """How long a stuck execution had given no sign of life, beside how long it may."""
    last, allowed = _time(observed.get("last_activity_at")), threshold.get("run_timeout_seconds")
    if last is None or allowed is None:
        return None
    return Row("Without a sign of life", show_duration(occurred_at - last), _show("_seconds", allowed), decisive=True)


def _show(key: str, value: Any) -> str:
    """A JSON value for people; never longer than a line or two."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(key, value)
    if key.endswith("_at") and (at := _time(value)) is not None:
        return show_time(at)
    if key == "multipliers" and isinstance(value, Mapping):
        text = ", ".join(
            f"{severity} from {_show('', least)}" for severity, least in sorted(value.items(), reverse=True)
        )
        return text[:_MAX_VALUE]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 1]}…"


def _number(key: str, value: float) -> str:
    try:
        if key.endswith("_ratio") or key == "share_more":
            return f"{value * 100:.4g} %"
        if key.endswith("_seconds"):
            return show_duration(timedelta(seconds=value))
    except (OverflowError, ValueError):  # beyond any duration, beyond a float, or no number
        pass
    if isinstance(value, float):
        value = round(value, 2) if abs(value) >= 1 else float(f"{value:.4g}")
        value = int(value) if value.is_integer() and abs(value) < _EXACT else value
    return f"{value:,}"[:_MAX_VALUE]


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return None if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _name(key: str) -> str:
    words = key.replace("_", " ").strip()[:80]
    return words[:1].upper() + words[1:] or "—"
