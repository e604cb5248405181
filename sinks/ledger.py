"""The sink `ledger`: what each run cost, once, in the tenants' chains (50.1). Stands apart from decisions."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from config.metrics import CREDIT_RUNS_RECORDED, SINK_BATCH_SECONDS
from dataflows.credit_runs import CreditRun, exact
from dataflows.events import JobType, RunEvent
from lifecycle.credits.case_terms import SENSITIVE_FLAGS
from lifecycle.credits.entry import LedgerEntry, is_same_run, plain
from lifecycle.credits.ledger import Recorded, append
from sinks.faults import Fault, classify
from sinks.storable import without_nul
from sinks.store_away import Retry, hold_back

NAME = "ledger"

#: Runs of one transaction, at most: their tenants' chains are locked meanwhile.
TOGETHER = 5_000

#: What the dead letters say of those that the ledger does not take.
REFUSED = {Recorded.CONFLICT: "conflicting_run", Recorded.UNSTORABLE: "unstorable"}

#: What may hold any character; the others are words of ours, or numbers.
_TEXTS = (
    *("tenant_id", "workflow_id", "execution_id", "event_id", "automation_version_id", "artifacts_link", "model"),
    *("prompt_version", "scenario", "scenario_id", "scenario_name"),
)
_texts_of = attrgetter(*_TEXTS)

#: What an event and a row have alike, word for word.
_ALIKE = (
    *("automation_version_id", "status", "scenario_id", "scenario_name", "model", "prompt_version", "artifacts_link"),
    *("input_tokens", "output_tokens", "input_item_count", "retry_count", "deployment_timestamp"),
    *("has_idempotency_key", "has_max_items_config", "is_batch_job", "is_backfill"),
)

RunDeadLetterWriter = Callable[[CreditRun, str], None]
"""Takes a run that the ledger refuses and one word on why; what it took is durable when it returns."""


def entry_of(run: CreditRun) -> LedgerEntry:
    """The row of a run, not yet in a chain. 3 µs."""
    entry = LedgerEntry(
        actions=[*run.actions],
        artifacts_link=run.artifacts_link,
        automation_version_id=run.automation_version_id,
        baseline_credits=_amount(run.baseline_credits),
        baseline_source=run.baseline_source,
        credits_in=_amount(run.credits_in),
        credits_out=_amount(run.credits_out),
        credits_total=plain(run.credits_total),
        deployment_timestamp=_time(run.deployment_timestamp),
        event_id=run.event_id,
        execution_id=run.execution_id,
        has_idempotency_key=run.has_idempotency_key,
        has_max_items_config=run.has_max_items_config,
        input_item_count=run.input_item_count,
        input_tokens=run.input_tokens,
        is_backfill=run.is_backfill,
        is_batch_job=run.is_batch_job,
        job_type=run.job_type,
        legit_score=run.legit_score,
        misconfig_likelihood=run.misconfig_likelihood,
        misconfig_score=run.misconfig_score,
        model=run.model,
        occurred_at=run.occurred_at if run.occurred_at.tzinfo is UTC else run.occurred_at.astimezone(UTC),
        output_tokens=run.output_tokens,
        policy_version=run.policy_version,
        profile=run.profile,
        prompt_version=run.prompt_version,
        retry_count=run.retry_count,
        risk_flags=[*run.risk_flags],
        risk_summary=run.risk_summary,
        scenario=run.scenario,
        scenario_id=run.scenario_id,
        scenario_name=run.scenario_name,
        severity=run.severity,
        status=run.status,
        tenant_id=run.tenant_id,
        variance_multiplier=run.variance_multiplier,
        workflow_id=run.workflow_id,
    )
    return _without_nul(entry) if "\x00" in "".join(filter(None, _texts_of(entry))) else entry


def is_record_of(event: RunEvent, entry: LedgerEntry) -> bool:
    """Whether a row is of the record of a run that an event brings, however that was judged."""
    said: dict[str, Any] = {name: without_nul(getattr(event, name)) for name in _ALIKE}
    for name in ("credits_total", "credits_in", "credits_out"):
        credits_ = getattr(event, name)
        said[name] = None if credits_ is None else plain(exact(credits_))
    said["job_type"] = event.job_type or JobType.OTHER
    said["risk_flags"] = [flag for flag in event.risk_flags or () if flag in SENSITIVE_FLAGS]
    return is_same_run(msgspec.structs.replace(entry, **said), entry)


class LedgerSink:
    """Appends runs to the ledger. What was handed over is durable when `write` returns.

    While Postgres is away `write` does not return, which holds the stream back; it drops nothing. A run that the ledger
    has is passed over, however it was judged then; another record of the same run goes to the dead letters.
    """

    def __init__(
        self,
        engine: sa.Engine,
        dead_letter: RunDeadLetterWriter,
        *,
        retry: Retry | None = None,
        stopping: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._engine = engine
        self._dead_letter = dead_letter
        self._retry = retry or Retry()
        self._stopping = stopping
        self._sleep = sleep

    def write(self, runs: Iterable[CreditRun]) -> list[Recorded]:
        """Append runs; what became of each, in their order. `StoreAwayError` when asked to stop meanwhile."""
        waiting = list(runs)
        with SINK_BATCH_SECONDS.labels(NAME).time():
            return [
                one
                for begin in range(0, len(waiting), TOGETHER)
                for one in self._write(waiting[begin : begin + TOGETHER])
            ]

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _write(self, runs: list[CreditRun]) -> list[Recorded]:
        recorded = self._append(runs)
        if recorded is None:
            # One of them can't be stored: the others must not suffer for it.
            if len(runs) > 1:
                return [one for run in runs for one in self._write([run])]
            recorded = [Recorded.UNSTORABLE]
        for run, one in zip(runs, recorded, strict=True):
            if one in REFUSED:
                self._dead_letter(run, REFUSED[one])
        for one in set(recorded):
            CREDIT_RUNS_RECORDED.labels(one).inc(recorded.count(one))
        return recorded

    def _append(self, runs: list[CreditRun]) -> list[Recorded] | None:
        """None when one of them can't be stored."""
        conflicts = absences = 0
        while True:
            try:
                # Entries are linked in place, so a second try needs its own.
                with self._engine.begin() as connection:
                    return append(connection, [entry_of(run) for run in runs])
            except sa.exc.SQLAlchemyError as error:
                fault = classify(error)
                conflicts += fault in (Fault.CONFLICT, Fault.COLLISION)
                if fault is Fault.UNUSABLE:
                    return None
                if fault is Fault.BUG or conflicts > self._retry.conflict_tries:
                    raise
                if fault is Fault.AWAY:
                    absences += 1
                    hold_back(NAME, absences, self._retry, self._stopping, self._sleep)
                else:
                    self._sleep(self._retry.conflict_wait.total_seconds())


def _amount(value: Decimal | None) -> Decimal | None:
    return None if value is None else plain(value)


def _time(value: datetime | None) -> datetime | None:
    return value if value is None or value.tzinfo is UTC else value.astimezone(UTC)


def _without_nul(entry: LedgerEntry) -> LedgerEntry:
    # Nothing that is compared with another system holds one.
    texts = zip(_TEXTS, _texts_of(entry), strict=True)
    return msgspec.structs.replace(entry, **{name: without_nul(text) for name, text in texts})
