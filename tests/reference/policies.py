"""The policy in force for one workflow: built-in, file defaults, tenant, workflow, value by value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

_DEFAULTS: dict[str, dict[str, Any]] = {
    "auth_failures": {
        "consecutive_failures": 3,
        "failure_ratio": 0.5,
        "window": "60m",
        "min_runs": 10,
        "rearm_after_successes": 1,
        "cooldown": "15m",
    },
    "stuck_executions": {"run_timeout": "30m", "queue_timeout": None},
    "circuit_breaker": {"threshold": 5, "window": "60m"},
    "silence": {"whole_stream": "24h", "per_workflow": False},
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class AuthPolicy:
    """20.2; a rule that is None is off."""

    consecutive_failures: int | None
    failure_ratio: float | None
    window: timedelta
    min_runs: int
    rearm_after_successes: int
    cooldown: timedelta


@dataclass(frozen=True)
class StuckPolicy:
    """20.3."""

    run_timeout: timedelta
    queue_timeout: timedelta | None


@dataclass(frozen=True)
class BreakerPolicy:
    """20.4."""

    threshold: int | None
    window: timedelta
    min_stuck_ratio: Fraction | None = None


def duration(text: str) -> timedelta:
    """`90s`, `15m`, `4h`, `1d`."""
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise ValueError(f"no duration: {text!r}")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def section(policies: dict[str, Any] | None, tenant: str, workflow: str, name: str) -> dict[str, Any]:
    """The merged values of one section; the most specific place that names a value wins, also with null."""
    file = policies or {}
    layers = [
        _DEFAULTS,
        file.get("defaults"),
        (file.get("tenants") or {}).get(tenant),
        (file.get("workflows") or {}).get(f"{tenant}/{workflow}"),
    ]
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update((layer or {}).get(name) or {})
    return merged


def auth_policy(policies: dict[str, Any] | None, tenant: str, workflow: str) -> AuthPolicy:
    """The `auth_failures` section in force."""
    values = section(policies, tenant, workflow, "auth_failures")
    return AuthPolicy(
        consecutive_failures=values["consecutive_failures"],
        failure_ratio=values["failure_ratio"],
        window=duration(values["window"]),
        min_runs=values["min_runs"],
        rearm_after_successes=values["rearm_after_successes"],
        cooldown=duration(values["cooldown"]),
    )


def stuck_policy(policies: dict[str, Any] | None, tenant: str, workflow: str) -> StuckPolicy:
    """The `stuck_executions` section in force."""
    values = section(policies, tenant, workflow, "stuck_executions")
    queue = values["queue_timeout"]
    return StuckPolicy(duration(values["run_timeout"]), None if queue is None else duration(queue))


def breaker_policy(policies: dict[str, Any] | None, tenant: str, workflow: str) -> BreakerPolicy:
    """The `circuit_breaker` section in force."""
    values = section(policies, tenant, workflow, "circuit_breaker")
    ratio = values.get("min_stuck_ratio")
    return BreakerPolicy(
        values["threshold"], duration(values["window"]), None if ratio is None else Fraction(str(ratio))
    )


def silence_limit(policies: dict[str, Any] | None) -> timedelta | None:
    """`silence.whole_stream`, which only the defaults can set; None is off."""
    limit = section(policies, "", "", "silence")["whole_stream"]
    return None if limit is None else duration(limit)
