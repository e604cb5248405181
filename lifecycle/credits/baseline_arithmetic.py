"""What a scenario's runs should cost, from its healthy runs, and how far an approved baseline may move (50.3). Pure.

All arithmetic is exact, so that a coefficient of variation of just 0.3 is not below 0.3.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

WINDOW = timedelta(days=30)
STABLE_WINDOW = timedelta(days=14)
#: A baseline moves by at most a fifth within this time.
WEEK = timedelta(days=7)
MOST, LOWEST = Decimal("1.2"), Decimal("0.8")

LEAST_RUNS = 5
MOST_RETRIES = 1
#: The coefficient of variation must be below this.
CV_LIMIT = Fraction(3, 10)
#: A larger change takes a person's word.
PROPOSED_ABOVE = Fraction(1, 2)

_GRAVE = frozenset({"SEV0", "SEV1"})
_HARMLESS = frozenset({"SEV3", "SEV4"})


@dataclass(frozen=True, slots=True)
class Run:
    """What of a ledger's row counts here."""

    occurred_at: datetime
    credits: Decimal
    status: str
    retry_count: int | None
    severity: str

    @property
    def is_healthy(self) -> bool:
        """It succeeded with one retry at most, and was nothing to look at."""
        return self.status == "success" and (self.retry_count or 0) <= MOST_RETRIES and self.severity in _HARMLESS

    @property
    def is_grave(self) -> bool:
        """It was an incident of the two worst kinds."""
        return self.severity in _GRAVE


class Unstable(StrEnum):
    """Why a scenario's baseline is left as it is."""

    TOO_FEW_RUNS = "too_few_runs"  #: fewer than five healthy ones in 14 days
    INCIDENT = "incident"  #: a SEV0 or SEV1 in 14 days
    SPREAD = "spread"  #: the healthy runs differ too much


@dataclass(frozen=True, slots=True)
class Measured:
    """What a scenario's runs say."""

    median: Decimal
    sample_size: int


@dataclass(frozen=True, slots=True)
class InForce:
    """A baseline and from when on it held; `is_decided` where a person's word put it there."""

    since: datetime
    credits: Decimal
    is_decided: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of a baseline: its next value, and whether somebody has to agree to it first."""

    credits: Decimal
    needs_approval: bool


def measure(runs: Iterable[Run], at: datetime) -> Measured | Unstable:
    """The median of the healthy runs of the 30 days before `at`, or why there is none; the ends count."""
    within = [run for run in runs if at - WINDOW <= run.occurred_at <= at]
    why_not = instability([run for run in within if run.occurred_at >= at - STABLE_WINDOW])
    if why_not is not None:
        return why_not
    healthy = [run.credits for run in within if run.is_healthy]
    return Measured(median(healthy), len(healthy))


def instability(runs: Sequence[Run]) -> Unstable | None:
    """Why these runs, all of the last 14 days, are no ground to build on; None where they are."""
    if any(run.is_grave for run in runs):
        return Unstable.INCIDENT
    healthy = [run.credits for run in runs if run.is_healthy]
    if len(healthy) < LEAST_RUNS:
        return Unstable.TOO_FEW_RUNS
    return None if is_steady(healthy) else Unstable.SPREAD


def is_steady(values: Sequence[Decimal]) -> bool:
    """Whether the population's standard deviation is below 0.3 of the mean; nothing of nothing is."""
    numbers = [Fraction(value) for value in values]
    mean = sum(numbers) / len(numbers)
    variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
    return variance == 0 or variance < CV_LIMIT**2 * mean**2


def median(values: Sequence[Decimal]) -> Decimal:
    """The middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def next_move(history: Sequence[InForce], measured: Decimal, at: datetime) -> Move | None:
    """What a measured median does to a scenario's baseline, of which `history` tells, oldest first; None: nothing.

    The first one is taken as it is. A change by more than half is for a person to decide. Any other moves it, within a
    week by at most a fifth: not more than that above the least, nor below the most, of what was in force in the seven
    days before `at`. What a person decided is where the count begins.
    """
    if not history:
        return Move(measured, needs_approval=False)
    newest = history[-1].credits
    if measured == newest:
        return None
    if abs(Fraction(measured) - Fraction(newest)) > PROPOSED_ABOVE * Fraction(newest):
        return Move(measured, needs_approval=True)
    recent = _in_force_within_a_week(history, at)
    # To stay is always possible.
    most = max(newest, min(recent) * MOST)
    lowest = min(newest, max(recent) * LOWEST)
    moved = min(max(measured, lowest), most)
    return None if moved == newest else Move(moved, needs_approval=False)


def _in_force_within_a_week(history: Sequence[InForce], at: datetime) -> list[Decimal]:
    values = [history[-1].credits]
    for before, after in zip(reversed(history[:-1]), reversed(history[1:]), strict=True):
        if after.is_decided or after.since <= at - WEEK:
            break
        values.append(before.credits)
    return values
