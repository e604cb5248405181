"""The sink `services`: every decision with all its effects in one transaction, once (60.1).

The stream delivers at least once. The first thing a transaction does is to claim the decision's id; a repeat
finds it taken and does nothing further. So a crash anywhere, a replay of the whole topic or a second worker
leaves the same rows.

Decisions that come together share a transaction as long as nothing goes wrong, and have one each when something
does: one that fails takes no other with it (docs/decisions/0008).
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa
import structlog

from config.metrics import BLOCK_SKIPPED, DECISION_LATENCY, DECISIONS_APPLIED, SINK_BATCH_SECONDS
from dataflows.decisions import Decision, DecisionKind
from lifecycle.breaker.circuit_breaker import CircuitBreaker
from lifecycle.guard.counts import take_guard_lock
from lifecycle.options import LifecycleOptions
from lifecycle.record import claim_decisions, set_outcomes
from sinks.breaker import tell_breaker
from sinks.faults import Fault, classify
from sinks.handlers import HANDLERS, Effect, MalformedDecisionError
from sinks.records import to_records
from sinks.storable import storable
from sinks.store_away import Retry, hold_back

_log = structlog.get_logger(__name__)

NAME = "services"

#: Decisions that stop something, which the guard counts. Its lock comes before their claims (`take_guard_lock`).
GUARDED = frozenset({DecisionKind.BLOCK_FOR_CREDENTIALS, DecisionKind.BLACKLIST_WORKFLOW})

#: Decisions that share a transaction, at most. More would gain little, and each waits for all.
TOGETHER = 20


class Outcome(StrEnum):
    """What became of a decision at this sink."""

    APPLIED = "applied"  #: its effects are committed
    DUPLICATE = "duplicate"  #: they were before
    REFUSED = "refused"  #: recorded with the reason; it has no other effect
    HELD = "held"  #: recorded; waits in the guard's holds
    DEAD_LETTER = "dead_letter"  #: can never be applied; handed to the dead-letter writer


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome, and one word on why."""

    outcome: Outcome
    reason: str | None = None


DeadLetterWriter = Callable[[Decision, str], None]
"""Takes a decision that can't be applied and one word on why; what it took is durable when it returns."""


class ServicesSink:
    """Applies decisions by calling the lifecycle. What was applied is durable when `apply` returns.

    Decisions are applied in the order given, each wholly or not at all: one that fails takes no other with it.
    While Postgres is away `apply` does not return, which holds the stream back; it drops nothing.
    """

    def __init__(
        self,
        engine: sa.Engine,
        options: LifecycleOptions,
        dead_letter: DeadLetterWriter,
        *,
        breaker: CircuitBreaker | None = None,
        retry: Retry | None = None,
        stopping: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`breaker` is told what got stuck once that is committed."""
        self._engine = engine
        self._breaker = breaker
        self._options = options
        self._dead_letter = dead_letter
        self._retry = retry or Retry()
        self._stopping = stopping
        self._sleep = sleep

    def apply(self, decisions: Iterable[Decision]) -> list[Result]:
        """Apply decisions; one result for each, in their order.

        Raises `StoreAwayError` when asked to stop while Postgres is away, and SQLAlchemy's errors for faults of
        ours, such as a missing table; what was applied before stays applied.
        """
        waiting = [storable(decision) for decision in decisions]
        with SINK_BATCH_SECONDS.labels(NAME).time():
            return [
                result
                for begin in range(0, len(waiting), TOGETHER)
                for result in self._apply_together(waiting[begin : begin + TOGETHER])
            ]

    def close(self) -> None:
        """Give the connections back."""
        if self._breaker is not None:
            self._breaker.close()
        self._engine.dispose()

    def _apply_together(self, decisions: Sequence[Decision]) -> list[Result]:
        if len(decisions) > 1:
            try:
                done = self._transact(decisions)
            except (MalformedDecisionError, UnicodeError, sa.exc.SQLAlchemyError):
                # None of them is applied: whose fault it was, and what to do about it, is found out one by one.
                pass
            else:
                for decision, (result, effect) in zip(decisions, done, strict=True):
                    self._count(decision, result, effect)
                return [result for result, _ in done]
        return [self._apply(decision) for decision in decisions]

    def _apply(self, decision: Decision) -> Result:
        conflicts = absences = 0
        while True:
            try:
                ((result, effect),) = self._transact([decision])
            except MalformedDecisionError as error:
                return self._refuse(decision, "malformed", str(error))
            except UnicodeError:
                # Its text would quote the value.
                return self._refuse(decision, "unstorable", "no UTF-8")
            except sa.exc.SQLAlchemyError as error:
                fault = classify(error)
                if fault is Fault.BUG:
                    raise
                conflicts += fault in (Fault.CONFLICT, Fault.COLLISION)
                soon = conflicts <= self._retry.conflict_tries
                if fault is Fault.UNUSABLE or (fault is Fault.COLLISION and not soon):
                    return self._refuse(decision, "unstorable", _state(error))
                if fault is not Fault.AWAY and soon:
                    self._sleep(self._retry.conflict_wait.total_seconds())
                    continue
                absences += 1
                hold_back(
                    NAME,
                    absences,
                    self._retry,
                    self._stopping,
                    self._sleep,
                    sqlstate=_state(error),
                    decision_id=decision.decision_id,
                )
                continue
            self._count(decision, result, effect)
            return result

    def _transact(self, decisions: Sequence[Decision]) -> list[tuple[Result, Effect | None]]:
        """Apply all in one transaction, or none; what became of each."""
        done: list[tuple[Result, Effect | None]] = []
        with self._engine.begin() as connection:
            if any(decision.kind in GUARDED for decision in decisions):
                take_guard_lock(connection)
            claimed = claim_decisions(connection, to_records(connection, decisions))
            effects: dict[str, Effect] = {}
            for decision in decisions:
                if decision.decision_id not in claimed or decision.decision_id in effects:
                    done.append((Result(Outcome.DUPLICATE), None))
                    continue
                effect = HANDLERS[decision.kind](connection, decision, self._options)
                effects[decision.decision_id] = effect
                done.append((Result(Outcome(effect.outcome), effect.reason), effect))
            set_outcomes(connection, ((id_, effect.outcome, effect.reason) for id_, effect in effects.items()))
        return done

    def _refuse(self, decision: Decision, code: str, explanation: str) -> Result:
        _log.error("decision_dead_letter", code=code, explanation=explanation, kind=decision.kind)
        self._dead_letter(decision, code)
        DECISIONS_APPLIED.labels(decision.kind, Outcome.DEAD_LETTER).inc()
        return Result(Outcome.DEAD_LETTER, code)

    def _count(self, decision: Decision, result: Result, effect: Effect | None) -> None:
        if self._breaker is not None and result.outcome in (Outcome.APPLIED, Outcome.DUPLICATE):
            tell_breaker(self._breaker, decision)
        DECISIONS_APPLIED.labels(decision.kind, result.outcome).inc()
        if result.outcome is Outcome.APPLIED:
            DECISION_LATENCY.observe(max(0.0, (datetime.now(UTC) - decision.occurred_at).total_seconds()))
        if effect is not None and effect.skipped is not None:
            BLOCK_SKIPPED.labels(effect.skipped).inc()


def _state(error: sa.exc.SQLAlchemyError) -> str:
    """A word for the log: the error's own text may quote values."""
    orig = getattr(error, "orig", None)
    return str(getattr(orig, "sqlstate", None) or type(orig or error).__name__)
