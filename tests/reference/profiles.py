"""The profiles of random streams, and their random policies."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

Fields = dict[str, Any]

#: (tenant, workflow) in the order in which a stream takes them.
NAMES = (
    ("t_a", "wf1"),
    ("t_a", "wf2"),
    ("t_b", "wf3"),
    ("t_b", "wf4"),
    ("t_a", "wf5"),
    ("t_c", "wf6"),
)


@dataclass(frozen=True)
class Profile:
    """How often what happens: shares of all steps or lines, and weights of `ACTIONS` and `CONTROLS`."""

    steps: int = 320
    workflows: int = 3
    delayed: float = 0.0
    very_late: float = 0.0
    repeats: float = 0.05
    controls: float = 0.03
    malformed: float = 0.01
    odd: float = 0.03
    registry: float = 0.3
    actions: tuple[int, ...] = (30, 40, 8, 12, 6, 2, 2)
    control_kinds: tuple[int, ...] = (5, 4, 4, 3, 1)


ACTIONS = ("start", "finish", "heartbeat", "odd", "queue", "gate", "time_out")
CONTROLS = ("status", "credential", "release", "hold", "unknown")
PROFILES = {
    "in_order": Profile(),
    "disordered": Profile(delayed=0.6),
    "very_late": Profile(delayed=0.4, very_late=0.15),
    "controls": Profile(delayed=0.2, very_late=0.03, controls=0.2),
    "malformed": Profile(delayed=0.2, malformed=0.3, odd=0.3, registry=0.7),
    "busy": Profile(steps=1200, workflows=6, delayed=0.4, very_late=0.05, repeats=0.1, controls=0.06, malformed=0.03),
    "auth": Profile(
        workflows=2,
        delayed=0.3,
        very_late=0.02,
        controls=0.08,
        actions=(2, 80, 2, 3, 1, 2, 1),
        control_kinds=(4, 2, 0, 4, 0),
    ),
    "breaker": Profile(
        workflows=2,
        delayed=0.2,
        very_late=0.12,
        controls=0.12,
        actions=(40, 5, 10, 15, 5, 1, 20),
        control_kinds=(1, 0, 8, 0, 0),
    ),
}


def random_policies(rng: Random) -> Fields:
    """A valid policy file; only the defaults switch a rule off, so no override can switch off both."""
    null_rule = rng.choice((None, None, None, "consecutive_failures", "failure_ratio"))
    file: Fields = {"version": rng.randint(1, 9), "defaults": _sections(rng, 0.8)}
    if null_rule is not None:
        file["defaults"].setdefault("auth_failures", {})[null_rule] = None
    if rng.random() < 0.4:
        file["tenants"] = {rng.choice(("t_a", "t_b", "t_c")): _sections(rng, 0.4)}
    if rng.random() < 0.5:
        tenant, name = rng.choice(NAMES)
        file["workflows"] = {f"{tenant}/{name}": _sections(rng, 0.4)}
    return file


def _sections(rng: Random, share: float) -> Fields:
    values: dict[str, dict[str, tuple[Any, ...]]] = {
        "auth_failures": {
            "consecutive_failures": (1, 2, 2, 3, 4, 6),
            "failure_ratio": (0.25, 0.3, 0.5, 0.5, 0.75, 1),
            "window": ("5m", "10m", "30m", "60m"),
            "min_runs": (1, 2, 4, 6, 10),
            "rearm_after_successes": (1, 1, 2, 3),
            "cooldown": ("1m", "5m", "15m"),
        },
        "stuck_executions": {
            "run_timeout": ("61s", "90s", "2m", "2m", "5m", "10m"),
            "queue_timeout": (None, "2m", "3m", "5m"),
        },
        "circuit_breaker": {
            "threshold": (1, 2, 3, 4, 5),
            "window": ("5m", "10m", "60m"),
            "min_stuck_ratio": (None, 0.1, 0.2, 0.25, 0.5, 1),
        },
    }
    chosen = {
        name: {key: rng.choice(options) for key, options in keys.items() if rng.random() < share}
        for name, keys in values.items()
    }
    return {name: keys for name, keys in chosen.items() if keys}
