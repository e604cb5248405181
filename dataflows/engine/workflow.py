"""One workflow's share of the state, and the order in which its detectors see what happens.

The auth detector acts on arrival. The stuck detector and the breaker live in event time: what arrives waits in
`pending` until the watermark has reached it, and is then judged in order, deadlines first (spec 20.3). Waiting
events are looked at when the workflow's next event comes or when something could be decided, not each time the
watermark moves: the outcome is the same, and a quiet workflow costs nothing while others are busy.
"""

from bisect import insort
from typing import NamedTuple

import msgspec

from dataflows.decisions import Decision, DecisionKind
from dataflows.detectors.auth_failures import AuthFailures, AuthFailuresState
from dataflows.detectors.circuit_breaker import CircuitBreaker, CircuitBreakerState
from dataflows.detectors.stuck_executions import (
    NEVER_DUE,
    Ended,
    Ruling,
    Run,
    StuckExecutions,
    StuckExecutionsState,
)
from dataflows.engine.memory import Memory
from dataflows.events import (
    TERMINAL,
    AutomationStatus,
    AutomationStatusChanged,
    ControlEvent,
    CredentialEvent,
    HoldEnded,
    RunEvent,
    RunStatus,
    WorkflowReleased,
)

#: How a terminal status is remembered; 0 for one that the auth detector did not count.
NOT_COUNTED = 0
STATUS_CODES = {status: code for code, status in enumerate(sorted(TERMINAL), start=1)}

_PLAIN_END = TERMINAL - {RunStatus.TIMED_OUT}


class EndedExecution(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of an execution that has ended."""

    #: Of the workflow.
    number: int
    #: Event time and arrival of the terminal event that is judged first, of those that have come.
    time: int
    arrival: int
    #: Of the terminal event that the auth detector counted, or `NOT_COUNTED`.
    status_code: int


EndedMemory = Memory[EndedExecution]


class Change(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A control event that waits for the watermark."""

    time: int
    arrival: int
    event: AutomationStatusChanged | WorkflowReleased


class Counts(msgspec.Struct):
    """What became of the run events that a key group was given."""

    events: int = 0
    duplicates: int = 0
    late: int = 0
    #: Second terminal events that differ from the first.
    conflicting: int = 0
    #: Times that a workflow's events came from another partition than before.
    moved: int = 0


class Timed(NamedTuple):
    """A decision, with what orders it among those of other workflows.

    `due` is the event time that the watermark had to reach for it, None for a decision on arrival. Of those due
    at one time deadlines come first, by execution id, then events by arrival.
    """

    due: int | None
    is_event: bool
    execution_id: str
    arrival: int
    decision: Decision


class Detectors(NamedTuple):
    """The detectors for one policy set, shared by all workflows that it holds for."""

    auth_failures: AuthFailures
    stuck_executions: StuckExecutions
    circuit_breaker: CircuitBreaker


class WorkflowState(msgspec.Struct, array_like=True, gc=False):
    """Everything that is remembered of one workflow, but for the key group's memories."""

    #: Names the workflow in the memories of its key group.
    number: int
    tenant_id: str
    workflow_id: str
    #: The source partition that the newest event came from; its watermark is the workflow's.
    partition: str
    #: Version of the newest run event, None before there was one.
    version_id: str | None = None
    auth: AuthFailuresState = msgspec.field(default_factory=AuthFailuresState)
    stuck: StuckExecutionsState = msgspec.field(default_factory=StuckExecutionsState)
    breaker: CircuitBreakerState | None = None
    #: Not judged yet, sorted.
    pending: list[Run] = []
    changes: list[Change] | None = None
    #: Event time of the first that waits, or the first deadline: nothing changes before the watermark is there.
    ready_at: int = NEVER_DUE
    #: When to look again if no event comes: nothing is decided before the watermark reaches this.
    wake_at: int = NEVER_DUE


class Workflow:
    """Runs the detectors of one workflow over its state; appends what they decide to the list it is given."""

    __slots__ = ("_counts", "_detectors", "_ended", "_key", "state")

    def __init__(self, state: WorkflowState, detectors: Detectors, ended: EndedMemory, counts: Counts) -> None:
        self.state = state
        self._counts = counts
        self._detectors = detectors
        self._ended = ended
        self._key = (state.tenant_id, state.workflow_id)

    def on_run(self, event: RunEvent, time: int, arrival: int, watermark: int, out: list[Timed]) -> int:
        """Take in a run event that is no repeat; `watermark` is its partition's, the event included.

        Returns the event time at which to call `advance` at the latest.
        """
        state = self.state
        if state.ready_at <= watermark:
            self.advance(watermark, out)
        version_id = state.version_id = event.automation_version_id
        status: RunStatus = event.status  # type: ignore[assignment]  # decoding made it one
        execution_id: str = event.execution_id  # type: ignore[assignment]  # decoding saw to it
        before = None
        if status in TERMINAL:
            before = self._on_terminal(event, status, execution_id, time, arrival, watermark, out)
            wake = time if status is RunStatus.TIMED_OUT else NEVER_DUE
        else:
            timeout = self._detectors.stuck_executions.timeout(status)
            if timeout is None:
                return NEVER_DUE
            wake = time + timeout
        if state.stuck.called:
            wake = time
        run = Run(time, arrival, status, event.event_id, execution_id, version_id)
        if time > watermark:
            pending = state.pending
            if not pending or pending[-1].time <= time:
                pending.append(run)
            else:
                insort(pending, run)
            if time < state.ready_at:
                state.ready_at = time
            return wake
        if status not in TERMINAL:
            before = self._ended_at(execution_id, watermark, arrival)
        self._judge(run, before, watermark, out)
        if state.stuck.next_deadline <= watermark:
            # A late `queued` can set a deadline that has passed already: it is due by this very event.
            self._fire(watermark, out, arrival)
        self._set_ready()
        return state.stuck.next_deadline

    def on_control(self, event: ControlEvent, time: int, arrival: int, watermark: int, out: list[Timed]) -> None:
        """Take in a control event: on arrival for the auth detector, in event time for the others."""
        self.advance(watermark, out)
        state, auth = self.state, self._detectors.auth_failures
        if isinstance(event, CredentialEvent):
            decision = auth.on_credential_event(state.auth, event, state.version_id, time, arrival)
            if decision is not None:
                out.append(Timed(None, True, "", arrival, decision))
        elif isinstance(event, HoldEnded):
            auth.on_hold_ended(state.auth, event)
        elif isinstance(event, AutomationStatusChanged | WorkflowReleased):
            if isinstance(event, AutomationStatusChanged):
                auth.on_status_change(state.auth, event, time)
            change = Change(time, arrival, event)
            if time > watermark:
                state.changes = sorted([*(state.changes or ()), change], key=_order)
            else:
                self._apply(change)
        self._set_ready()

    def advance(self, watermark: int, out: list[Timed]) -> None:
        """Judge what waits, and fire what is due, up to the watermark."""
        state = self.state
        stuck, pending = state.stuck, state.pending
        if state.changes and state.changes[0].time <= watermark:
            self._advance_with_changes(watermark, out)
        else:
            count = 0
            for run in pending:
                if run.time > watermark:
                    break
                count += 1
                if stuck.next_deadline <= run.time:
                    self._fire(run.time, out)
                self._judge_in_order(run, out)
            del pending[:count]
        if stuck.next_deadline <= watermark:
            self._fire(watermark, out)
        self._set_ready()

    def _advance_with_changes(self, watermark: int, out: list[Timed]) -> None:
        state = self.state
        runs = [run for run in state.pending if run.time <= watermark]
        changes = [change for change in state.changes or () if change.time <= watermark]
        del state.pending[: len(runs)]
        state.changes = (state.changes or [])[len(changes) :] or None
        both: list[Run | Change] = [*runs, *changes]
        for one in sorted(both, key=_order):
            if state.stuck.next_deadline <= one.time:
                self._fire(one.time, out)
            if isinstance(one, Run):
                self._judge_in_order(one, out)
            else:
                self._apply(one)

    def _judge_in_order(self, run: Run, out: list[Timed]) -> None:
        # Of a first and only terminal event nobody asks whether the execution has ended before.
        again = self.state.stuck.ended_again
        asks = run.status not in _PLAIN_END or (again is not None and run.execution_id in again)
        self._judge(run, self._ended_at(run.execution_id, run.time, run.arrival) if asks else None, None, out)

    def _set_ready(self) -> None:
        state = self.state
        ready = state.stuck.next_deadline
        if state.pending and state.pending[0].time < ready:
            ready = state.pending[0].time
        if state.changes and state.changes[0].time < ready:
            ready = state.changes[0].time
        state.ready_at = ready

    def next_wake(self) -> int:
        """The earliest event time at which something could be decided."""
        state, timeout = self.state, self._detectors.stuck_executions.timeout
        wake = state.stuck.next_deadline
        for run in state.pending:
            wait = 0 if state.stuck.called or run.status is RunStatus.TIMED_OUT else timeout(run.status)
            if wait is not None:
                wake = min(wake, run.time + wait)
        return wake

    def _on_terminal(
        self, event: RunEvent, status: RunStatus, execution_id: str, time: int, arrival: int, watermark: int,
        out: list[Timed],
    ) -> Ended | None:  # fmt: skip
        """Count the run where it is the execution's first; the terminal event judged before, if there is one."""
        state = self.state
        code = STATUS_CODES[status] if time >= state.auth.ignored_before else NOT_COUNTED
        before = None
        counts = code != NOT_COUNTED
        known = self._ended.add(execution_id, EndedExecution(state.number, time, arrival, code))
        if known is not None:
            self._detectors.stuck_executions.expect_end_again(state.stuck, execution_id)
            if NOT_COUNTED not in (code, known.status_code) and known.status_code != code:
                self._counts.conflicting += 1
            counts = counts and known.status_code == NOT_COUNTED
            if counts:
                known.status_code = code
            if known.time <= watermark:
                before = Ended(known.time, known.arrival)
            elif (time, arrival) < (known.time, known.arrival):
                known.time, known.arrival = time, arrival
            self._ended.changed()
        if counts and status is not RunStatus.CANCELLED:
            decision = self._detectors.auth_failures.on_run(state.auth, event, time, arrival)
            if decision is not None:
                out.append(Timed(None, True, "", arrival, decision))
        return before

    def _ended_at(self, execution_id: str, time: int, arrival: int) -> Ended | None:
        """The execution's terminal event, if it is judged before an event at this place in the order."""
        known = self._ended.get(self.state.number, execution_id)
        if known is None or known.time > time or (known.time == time and known.arrival >= arrival):
            return None
        return Ended(known.time, known.arrival)

    def _judge(self, run: Run, ended: Ended | None, late_at: int | None, out: list[Timed]) -> None:
        """`late_at` is the watermark for an event judged on arrival."""
        stuck = self.state.stuck
        watermark = run.time if late_at is None else late_at
        ruling = self._detectors.stuck_executions.on_run(stuck, self._key, run, ended, watermark)
        if ruling is not None:
            self._follow(
                ruling,
                Timed(None if late_at is not None else run.time, True, "", run.arrival, ruling.decision),
                out,
            )

    def _fire(self, watermark: int, out: list[Timed], arrival: int | None = None) -> None:
        """`arrival` is the late event that made it due, if it was not the watermark."""
        for due, ruling in self._detectors.stuck_executions.on_deadlines(self.state.stuck, self._key, watermark):
            late = arrival is not None
            self._follow(
                ruling, Timed(None if late else due, late, ruling.execution_id, arrival or 0, ruling.decision), out
            )

    def _follow(self, ruling: Ruling, timed: Timed, out: list[Timed]) -> None:
        """Pass on what the stuck detector says, and let the breaker count it."""
        out.append(timed)
        state, breaker = self.state, self._detectors.circuit_breaker
        if ruling.decision.kind is DecisionKind.EXECUTION_RECOVERED:
            if state.breaker is not None:
                breaker.on_recovered(state.breaker, ruling.execution_id)
            return
        if state.breaker is None:
            state.breaker = CircuitBreakerState()
        decision = breaker.on_stuck(state.breaker, ruling)
        if decision is not None:
            out.append(timed._replace(decision=decision))

    def _apply(self, change: Change) -> None:
        state, event = self.state, change.event
        if isinstance(event, WorkflowReleased):
            if state.breaker is None:
                state.breaker = CircuitBreakerState()
            self._detectors.circuit_breaker.on_released(state.breaker, change.time)
        elif isinstance(event, AutomationStatusChanged):
            detector = self._detectors.stuck_executions
            if event.to_status is AutomationStatus.ARCHIVED:
                detector.on_archived(state.stuck, event.automation_version_id, change.time)


def _order(one: Run | Change) -> tuple[int, int]:
    return (one.time, one.arrival)
