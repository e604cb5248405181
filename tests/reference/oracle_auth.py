"""Auth failures of one workflow (20.2), judged on arrival from the list of everything that arrived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from tests.reference.decisions import Decision, build, newest_evidence
from tests.reference.lines import TERMINAL, Fields
from tests.reference.policies import AuthPolicy
from tests.reference.readings import Readings

UNKNOWN_SYSTEM = "unknown"


@dataclass
class Run:
    """A run that was counted: by its first terminal event, `cancelled` left out."""

    at: datetime
    arrival: int
    event_id: str
    status: str
    system: str | None
    is_auth_failure: bool
    in_order: bool
    removed: bool = False

    @property
    def failed_system(self) -> str | None:
        """The system it failed to log in to."""
        return (UNKNOWN_SYSTEM if self.system is None else self.system) if self.is_auth_failure else None

    @property
    def mark(self) -> tuple[datetime, int, str]:
        """Its place in a list of evidence."""
        return (self.at, self.arrival, self.event_id)


class AuthOracle:
    """All that arrived for one workflow, and whether it is armed."""

    def __init__(
        self,
        tenant: str,
        workflow: str,
        policy: AuthPolicy,
        policy_version: object,
        is_auth_failure: Callable[[Fields], bool],
        readings: Readings,
    ) -> None:
        self._subject = (tenant, workflow)
        self._policy = policy
        self._policy_version = policy_version
        self._is_auth_failure = is_auth_failure
        self._readings = readings
        self._counted_executions: set[str] = set()
        self._unblocked_at: list[datetime] = []
        self._runs: list[Run] = []
        self._armed = True
        self._decided_at: datetime | None = None
        self._decided_arrival = -1

    def on_run(self, event: Fields, arrival: int) -> list[Decision]:
        """Judge a run event."""
        if event["status"] not in TERMINAL:
            return []
        at, execution = event["occurred_at"], event["execution_id"]
        if any(at < unblocked for unblocked in self._unblocked_at):
            if self._readings.forgotten_run_claims_execution:
                self._counted_executions.add(execution)
            return []
        if execution in self._counted_executions:
            return []
        self._counted_executions.add(execution)
        if event["status"] == "cancelled":
            return []

        times = [run.at for run in self._runs if self._readings.hold_keeps_newest_time or not run.removed]
        run = Run(
            at=at,
            arrival=arrival,
            event_id=event["event_id"],
            status=event["status"],
            system=event.get("system_key"),
            is_auth_failure=event["status"] == "failure" and self._is_auth_failure(event),
            in_order=not times or at >= max(times),
        )
        self._runs.append(run)
        if not run.in_order:
            return []
        if run.status == "success" and not self._armed:
            self._armed = (
                self._successes_in_a_row() >= self._policy.rearm_after_successes and not self._any_ratio_is_above(at)
            )
        if run.failed_system is None:
            return []
        return self._judge_failure(run, run.failed_system, event["automation_version_id"])

    def on_control(self, control: Fields, arrival: int) -> list[Decision]:
        """Judge a control line."""
        at = control["occurred_at"]
        match control["kind"]:
            case "automation_status_changed":
                change = (control["from_status"], control["to_status"])
                unblocked = change[0] == "Blocked" and change[1] != "Blocked"
                if unblocked or change == ("Ready to Launch", "Live"):
                    self._runs = []
                    self._armed = True
                    self._unblocked_at.append(at)
            case "credential_event":
                broken = control["status"] in ("invalid", "expired", "revoked")
                if broken and self._armed:
                    return [self._decide_by_monitor(control, arrival)]
            case "hold_ended":
                for run in self._runs:
                    system = UNKNOWN_SYSTEM if run.system is None else run.system
                    failed = run.status == "failure" and system == control["system_key"]
                    if self._readings.hold_removes_auth_failures_only and not run.is_auth_failure:
                        failed = False
                    if failed and control["from"] <= run.at <= control["to"]:
                        run.removed = True
                self._armed = True
        return []

    def _judge_failure(self, run: Run, system: str, version: str) -> list[Decision]:
        policy = self._policy
        if not self._armed and self._decided_at is not None and run.at - self._decided_at >= policy.cooldown:
            self._armed = True
        if not self._armed:
            return []
        limit = policy.consecutive_failures
        if limit is not None and len(self._streak(system)) >= limit:
            reason = "consecutive_failures"
        elif self._ratio_is_above(system, run.at):
            reason = "failure_ratio"
        else:
            return []
        return [
            self._decide(
                cause=run.event_id,
                at=run.at,
                arrival=run.arrival,
                version=version,
                reason=reason,
                failed_systems=self._failed_systems(run.at),
                evidence=self._evidence(system, run.at),
            )
        ]

    def _decide_by_monitor(self, control: Fields, arrival: int) -> Decision:
        at, system, event_id = control["occurred_at"], control["system_key"], control["event_id"]
        evidence = self._evidence(system, at)
        if self._readings.credential_evidence_has_cause:
            evidence.append((at, arrival, event_id))
        failed = self._failed_systems(at)
        if self._readings.credential_fails_its_own_system:
            failed = failed | {system}
        return self._decide(
            cause=event_id,
            at=at,
            arrival=arrival,
            version=None,
            reason="integration_monitor",
            failed_systems=failed,
            evidence=evidence,
        )

    def _decide(
        self,
        *,
        cause: str,
        at: datetime,
        arrival: int,
        version: str | None,
        reason: str,
        failed_systems: set[str],
        evidence: list[tuple[datetime, int, str]],
    ) -> Decision:
        self._armed = False
        self._decided_at = at
        self._decided_arrival = arrival
        return build(
            kind="block_for_credentials",
            tenant=self._subject[0],
            workflow=self._subject[1],
            policy_id="auth_failures",
            policy_version=self._policy_version,
            cause=cause,
            occurred_at=at,
            version=version,
            reason_code=reason,
            evidence=newest_evidence(evidence),
            detail={"failed_systems": sorted(failed_systems)},
        )

    def _in_order(self) -> list[Run]:
        return [run for run in self._runs if run.in_order and not run.removed]

    def _window(self, at: datetime) -> list[Run]:
        return [run for run in self._runs if not run.removed and at - self._policy.window < run.at <= at]

    def _streak(self, system: str) -> list[Run]:
        streak: list[Run] = []
        for run in self._in_order():
            if run.failed_system == system:
                streak.append(run)
            elif run.status == "success" and run.system in (None, system):
                streak = []
        return streak

    def _successes_in_a_row(self) -> int:
        row = 0
        for run in self._in_order():
            if self._readings.row_restarts_at_decision and run.arrival <= self._decided_arrival:
                continue
            row = row + 1 if run.status == "success" else 0
        return row

    def _failed_systems(self, at: datetime) -> set[str]:
        return {run.failed_system for run in self._window(at) if run.failed_system is not None}

    def _ratio_is_above(self, system: str, at: datetime) -> bool:
        runs = self._window(at)
        if self._policy.failure_ratio is None or len(runs) < self._policy.min_runs:
            return False
        failures = sum(run.failed_system == system for run in runs)
        return Fraction(failures, len(runs)) > Fraction(str(self._policy.failure_ratio))

    def _any_ratio_is_above(self, at: datetime) -> bool:
        return any(self._ratio_is_above(system, at) for system in self._failed_systems(at))

    def _evidence(self, system: str, at: datetime) -> list[tuple[datetime, int, str]]:
        window = [run for run in self._window(at) if run.is_auth_failure]
        return [run.mark for run in (*self._streak(system), *window)]
