"""What an engine decided, in a form in which engines can be compared."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from dataflows.decisions import DecisionKind, decode_decision
from dataflows.decisions import decision_id as id_of
from dataflows.times import micros

ALLOWED_LATENESS = timedelta(seconds=60)

_POLICY = {
    DecisionKind.BLOCK_FOR_CREDENTIALS: "auth_failures",
    DecisionKind.EXECUTION_STUCK: "stuck_executions",
    DecisionKind.EXECUTION_RECOVERED: "stuck_executions",
    DecisionKind.BLACKLIST_WORKFLOW: "circuit_breaker",
}


class Decided(NamedTuple):
    """One decision. Its id says kind, workflow and cause; `at` is its event time, microseconds since the epoch."""

    decision_id: str
    kind: DecisionKind
    at: int


def ours(files: Iterable[Path]) -> set[Decided]:
    """The decisions in files that Breakwater wrote."""
    decisions = (decode_decision(line) for file in files for line in file.read_bytes().splitlines())
    return {Decided(one.decision_id, one.kind, round(one.occurred_at.timestamp() * 1_000_000)) for one in decisions}


def theirs(files: Iterable[Path]) -> set[Decided]:
    """The decisions in files of lines: kind, tenant, workflow, cause, event time; parted by tabs."""
    decided = set()
    for file in files:
        for line in file.read_text().splitlines():
            name, tenant, workflow, cause, at = line.split("\t")
            kind = DecisionKind(name)
            decided.add(Decided(id_of(kind, tenant, workflow, _POLICY[kind], cause), kind, int(at)))
    return decided


def comparable(decided: Iterable[Decided], highest: int) -> set[Decided]:
    """Without what depends on how an engine's clock ends with its input: deadlines in the last minute and after it."""
    reached = highest - micros(ALLOWED_LATENESS)
    return {one for one in decided if one.kind is DecisionKind.BLOCK_FOR_CREDENTIALS or one.at <= reached}


def verdict(expected: set[Decided], decided: set[Decided]) -> str:
    """`yes`, or what is missing and what is too much."""
    if expected == decided:
        return "yes"
    return f"NO: {len(expected - decided)} missing, {len(decided - expected)} too many of {len(expected)}"
