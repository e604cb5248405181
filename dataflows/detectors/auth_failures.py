"""Have the credentials of an external system failed? (spec 20.2, Flow 26)

Acts on arrival, in the order in which events come: a block can't wait for the watermark. Two rules per system
of a workflow: a streak of auth failures, and their share of all runs in a window. Each decision disarms the
workflow, so that one failing for hours is reported once.
"""

from bisect import bisect_left, bisect_right, insort

import msgspec

from dataflows.decisions import MAX_EVIDENCE, Decision, DecisionKind, ReasonCode, decision_id
from dataflows.detectors.auth_errors import AuthErrorClassifier
from dataflows.detectors.policies import AuthFailuresPolicy
from dataflows.events import (
    FAILED_CREDENTIAL,
    AutomationStatus,
    AutomationStatusChanged,
    CredentialEvent,
    HoldEnded,
    RunEvent,
    RunStatus,
)
from dataflows.times import NEVER, from_micros, micros, to_micros

POLICY_ID = "auth_failures"

# An attribute of an enum's class takes 70 ns to look up in Python 3.11.
_SUCCESS, _FAILURE = RunStatus.SUCCESS, RunStatus.FAILURE

#: The system of a failure that names none.
UNKNOWN_SYSTEM = "unknown"

#: Failed systems that one workflow remembers; past that the one that failed longest ago is forgotten.
MAX_SYSTEMS = 256

#: Failures remembered with their ids, per system: evidence needs `MAX_EVIDENCE`, the rest is room for events
#: of other systems and for what a provider incident takes out of the count.
MAX_REMEMBERED = 4 * MAX_EVIDENCE

#: So many runs may be left behind by the window before somebody looks.
FEW_RUNS = 8

#: How far behind the newest run a credential event may be and still find its window, microseconds.
LOOK_BACK = 24 * 3600 * 1_000_000


class Failure(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """One auth failure; sorts by event time, then by arrival."""

    time: int
    arrival: int
    event_id: str


class SystemState(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of one external system."""

    #: Consecutive auth failures, and the newest of them.
    streak: int = 0
    streak_failures: list[Failure] = []
    #: Event times of the auth failures in the window, sorted; may begin with some that have left it.
    failure_times: list[int] = []
    #: The newest auth failures, sorted, whatever their age: a credential event may look back.
    failures: list[Failure] = []


class AuthFailuresState(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of one workflow. Times are microseconds since the epoch."""

    #: Event time of the newest run counted in the window.
    newest: int = NEVER
    #: Event times of the runs in the window, sorted; may begin with some that have left it.
    runs: list[int] = []
    #: None until a first auth failure: most workflows never have one.
    systems: dict[str, SystemState] | None = None
    armed: bool = True
    decided_at: int = NEVER
    #: Successes in a row since the decision that disarmed.
    successes: int = 0
    #: Run events before this time count for nothing: they are of before an unblock or a deploy.
    ignored_before: int = NEVER


class AuthFailures:
    """The detector for one policy; `state` arguments are changed in place, nothing else is."""

    __slots__ = (
        "_classifier", "_cooldown", "_min_runs", "_policy", "_policy_version", "_ratio", "_rearm", "_streak", "_window",
        "looks_back",
    )  # fmt: skip

    def __init__(self, policy: AuthFailuresPolicy, policy_version: int, classifier: AuthErrorClassifier) -> None:
        self._policy = policy
        self._policy_version = policy_version
        self._classifier = classifier
        self._streak = policy.consecutive_failures
        self._ratio = policy.failure_ratio
        self._window = micros(policy.window)
        self._min_runs = policy.min_runs
        self._rearm = policy.rearm_after_successes
        self._cooldown = micros(policy.cooldown)
        #: Failures further behind than this, microseconds, are in no window that is looked at.
        self.looks_back = self._window + LOOK_BACK

    def on_run(self, state: AuthFailuresState, event: RunEvent, time: int, arrival: int) -> Decision | None:
        """Count a run by its first terminal event, not `cancelled`, not before `state.ignored_before`.

        About 1 µs for a success of a healthy workflow.
        """
        runs = state.runs
        if time < state.newest:
            if time > state.newest - self._window:
                insort(runs, time)
            if event.status is _FAILURE and self._is_auth_failure(event):
                self._remember(state, _system(event), Failure(time, arrival, event.event_id))
            return None
        state.newest = time
        runs.append(time)
        if len(runs) > FEW_RUNS and runs[0] <= time - self._window:
            gone = bisect_right(runs, time - self._window)
            if 2 * gone >= len(runs):
                del runs[:gone]
        if event.status is _SUCCESS:
            if state.systems:
                self._end_streaks(state, event.system_key)
            if not state.armed:
                self._rearm_after_success(state, time)
            return None
        state.successes = 0
        if event.status is _FAILURE and self._is_auth_failure(event):
            failure = Failure(time, arrival, event.event_id)
            return self._on_auth_failure(state, event, _system(event), failure)
        return None

    def on_status_change(self, state: AuthFailuresState, event: AutomationStatusChanged, time: int) -> None:
        """Begin afresh after an unblock or a deploy."""
        unblocked = event.from_status is AutomationStatus.BLOCKED and event.to_status is not AutomationStatus.BLOCKED
        deployed = event.from_status is AutomationStatus.READY_TO_LAUNCH and event.to_status is AutomationStatus.LIVE
        if unblocked or deployed:
            state.newest = NEVER
            state.runs = []
            state.systems = None
            state.successes = 0
            state.armed = True
            state.ignored_before = max(state.ignored_before, time)

    def on_credential_event(
        self,
        state: AuthFailuresState,
        event: CredentialEvent,
        version_id: str | None,
        time: int,
        arrival: int,
    ) -> Decision | None:
        """Decide at once when a credential is known to be of no use."""
        if event.status not in FAILED_CREDENTIAL or not state.armed:
            return None
        failure = Failure(time, arrival, event.event_id)
        return self._decide(
            state, event.tenant_id, event.workflow_id, version_id, event.system_key, failure,
            ReasonCode.INTEGRATION_MONITOR,
        )  # fmt: skip

    def on_hold_ended(self, state: AuthFailuresState, event: HoldEnded) -> None:
        """Forget the system's failures inside the provider incident, and arm."""
        begin, end = to_micros(event.from_time), to_micros(event.to_time)
        system = (state.systems or {}).get(event.system_key)
        if system is not None:
            for time in system.failure_times[bisect_left(system.failure_times, begin) :]:
                if time <= end and (at := bisect_left(state.runs, time)) < len(state.runs) and state.runs[at] == time:
                    del state.runs[at]
            system.failure_times = [time for time in system.failure_times if not begin <= time <= end]
            system.failures = [failure for failure in system.failures if not begin <= failure.time <= end]
            kept = [failure for failure in system.streak_failures if not begin <= failure.time <= end]
            if system.streak > len(system.streak_failures) and len(kept) < len(system.streak_failures):
                # The oldest of a long streak are known by number only. They end where the interval may begin,
                # and a stop must not rest on what can't be shown.
                system.streak = len(kept)
            else:
                system.streak -= len(system.streak_failures) - len(kept)
            system.streak_failures = kept
        state.armed = True
        state.successes = 0

    def _is_auth_failure(self, event: RunEvent) -> bool:
        return self._classifier.is_auth_failure(
            event.http_status, event.error_code, event.error_message, event.system_key
        )

    def _on_auth_failure(
        self, state: AuthFailuresState, event: RunEvent, key: str, failure: Failure
    ) -> Decision | None:
        system = self._remember(state, key, failure)
        system.streak += 1
        system.streak_failures.append(failure)
        # A threshold above the usual room must still be reachable after a provider incident was taken out.
        if len(system.streak_failures) > max(MAX_REMEMBERED, self._streak or 0):
            del system.streak_failures[0]
        if not state.armed:
            if failure.time < state.decided_at + self._cooldown:
                return None
            state.armed = True
        if self._streak is not None and system.streak >= self._streak:
            reason = ReasonCode.CONSECUTIVE_FAILURES
        elif self._is_above(system, state, failure.time):
            reason = ReasonCode.FAILURE_RATIO
        else:
            return None
        return self._decide(
            state, event.tenant_id, event.workflow_id or "", event.automation_version_id, key, failure, reason
        )

    def _remember(self, state: AuthFailuresState, key: str, failure: Failure) -> SystemState:
        """Add an auth failure to its system's window."""
        systems = state.systems
        if systems is None:
            systems = state.systems = {}
        system = systems.get(key)
        if system is None:
            if len(systems) >= MAX_SYSTEMS:
                del systems[min(systems, key=lambda name: _last_failure(systems[name]))]
            system = systems[key] = SystemState()
        begin = state.newest - self._window
        gone = bisect_right(system.failure_times, begin)
        if 2 * gone > len(system.failure_times):
            del system.failure_times[:gone]
        if failure.time > begin:
            insort(system.failure_times, failure.time)
        insort(system.failures, failure)
        if len(system.failures) > MAX_REMEMBERED:
            del system.failures[0]
        return system

    def _end_streaks(self, state: AuthFailuresState, key: str | None) -> None:
        """A success speaks for its system; one that names none speaks for all."""
        assert state.systems is not None
        ended = list(state.systems) if key is None else [key]
        for name in ended:
            system = state.systems.get(name)
            if system is None:
                continue
            if system.failures and system.failures[-1].time > state.newest - self._window - LOOK_BACK:
                system.streak = 0
                system.streak_failures = []
            else:
                del state.systems[name]

    def _rearm_after_success(self, state: AuthFailuresState, time: int) -> None:
        state.successes += 1
        if state.successes >= self._rearm and not any(
            self._is_above(system, state, time) for system in (state.systems or {}).values()
        ):
            state.armed = True

    def _counts(self, system: SystemState, state: AuthFailuresState, time: int) -> tuple[int, int]:
        """Auth failures of the system, and runs of the workflow, in the window that ends at `time`."""
        begin = time - self._window
        failures = bisect_right(system.failure_times, time) - bisect_right(system.failure_times, begin)
        return failures, bisect_right(state.runs, time) - bisect_right(state.runs, begin)

    def _is_above(self, system: SystemState, state: AuthFailuresState, time: int) -> bool:
        if self._ratio is None:
            return False
        failures, runs = self._counts(system, state, time)
        # A quotient of integers is rounded once, as the threshold was when it was read: equal stays equal.
        return runs >= self._min_runs and failures / runs > self._ratio

    def _decide(
        self,
        state: AuthFailuresState,
        tenant_id: str,
        workflow_id: str,
        version_id: str | None,
        key: str,
        cause: Failure,
        reason: ReasonCode,
    ) -> Decision:
        time, systems = cause.time, state.systems or {}
        system = systems.get(key) or SystemState()
        failed, evidence = {key}, set(system.streak_failures)
        for name, other in systems.items():
            in_window = [one for one in other.failures if time - self._window < one.time <= time]
            if in_window:
                failed.add(name)
                evidence.update(in_window)
        failures, runs = self._counts(system, state, time)
        state.armed = False
        state.decided_at = time
        state.successes = 0
        return Decision(
            decision_id=decision_id(
                DecisionKind.BLOCK_FOR_CREDENTIALS, tenant_id, workflow_id, POLICY_ID, cause.event_id
            ),
            kind=DecisionKind.BLOCK_FOR_CREDENTIALS,
            tenant_id=tenant_id,
            workflow_id=workflow_id,
            automation_version_id=version_id,
            occurred_at=from_micros(time),
            policy_id=POLICY_ID,
            policy_version=self._policy_version,
            reason_code=reason,
            observed={
                "system_key": key,
                "consecutive_failures": system.streak,
                "auth_failures": failures,
                "runs": runs,
                "failure_ratio": round(failures / runs, 4) if runs >= self._min_runs else None,
            },
            threshold={
                "consecutive_failures": self._streak,
                "failure_ratio": self._ratio,
                "min_runs": self._min_runs,
                "window_seconds": self._policy.window.total_seconds(),
            },
            evidence=[one.event_id for one in sorted(evidence)][-MAX_EVIDENCE:],
            detail={"failed_systems": sorted(failed)},
        )


def _system(event: RunEvent) -> str:
    return UNKNOWN_SYSTEM if event.system_key is None else event.system_key


def _last_failure(system: SystemState) -> int:
    return system.failures[-1].time if system.failures else NEVER
