"""What is remembered of one workflow, and the order in which its detectors see what happens.

The auth detector acts on arrival. The stuck detector and the breaker live in event time: what arrives waits in
`pending` until the watermark has reached it, and is then judged in order, deadlines first (spec 20.3). Waiting
events are looked at when something could be decided or enough of them wait, not each time the watermark moves: the
outcome is the same, and a quiet workflow costs nothing while others are busy.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from dataflows.decisions import Decision, DecisionKind
from dataflows.detectors.auth_failures import AuthFailuresState
from dataflows.detectors.circuit_breaker import CircuitBreakerState
from dataflows.detectors.policies import BreakerChange
from dataflows.detectors.silence import Rhythm
from dataflows.detectors.stuck_executions import NEVER_DUE, Ended, Ruling, Run, StuckExecutionsState
from dataflows.engine.detector_sets import Detectors
from dataflows.engine.memory import HORIZON, EndedExecution, Memory
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
from dataflows.times import NEVER

#: How a terminal status is remembered; 0 for one that the auth detector did not count.
NOT_COUNTED = 0
STATUS_CODES = {status: code for code, status in enumerate(sorted(TERMINAL), start=1)}

PLAIN_END = TERMINAL - {RunStatus.TIMED_OUT}
# An attribute of an enum's class takes 70 ns to look up in Python 3.11.
_TIMED_OUT = RunStatus.TIMED_OUT

EndedMemory = Memory[EndedExecution]


class Change(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A control event that waits for the watermark."""

    time: int
    arrival: int
    event: AutomationStatusChanged | WorkflowReleased


class Counts(msgspec.Struct):
    """What became of the run events that a lane was given."""

    events: int = 0
    duplicates: int = 0
    late: int = 0
    #: Second terminal events that differ from the first.
    conflicting: int = 0


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


class Workflow(msgspec.Struct, array_like=True, gc=False):
    """Everything that is remembered of one workflow, but for the lane's memories."""

    #: Names the workflow in its lane.
    number: int
    tenant_id: str
    workflow_id: str
    #: Version of the newest run event, None before there was one.
    version_id: str | None = None
    auth: AuthFailuresState = msgspec.field(default_factory=AuthFailuresState)
    stuck: StuckExecutionsState = msgspec.field(default_factory=StuckExecutionsState)
    breaker: CircuitBreakerState | None = None
    #: None unless its rhythm is watched.
    rhythm: Rhythm | None = None
    #: Not judged yet, sorted; None while there are none.
    pending: list[Run] | None = None
    #: Event time of the last of them, kept here because it is asked for with every event.
    pending_until: int = NEVER
    changes: list[Change] | None = None
    #: When to look again if no event comes: nothing is decided before the watermark reaches this.
    wake_at: int = NEVER_DUE
    #: Each event may lead to a decision: executions were called stuck, or its rhythm is watched.
    is_watched: bool = False
    #: Something has happened since the last snapshot.
    is_changed: bool = False
    #: The lane's age at the first snapshot after something had happened last.
    told_at: int = 0


class Judge:
    """Runs the detectors of workflows over their state; appends what they decide to the list it is given."""

    def __init__(
        self,
        detectors_of: Callable[[Workflow], Detectors],
        ended: EndedMemory,
        ended_patient: EndedMemory,
        counts: Counts,
    ) -> None:
        """`ended_patient` is the memory of workflows that ask for it after more than a day (`is_patient`)."""
        self._detectors_of = detectors_of
        self._ended = ended
        self._ended_patient = ended_patient
        self._counts = counts
        #: Of the default layer, sorted.
        self.breaker_changes: list[BreakerChange] = []

    def on_end(
        self,
        workflow: Workflow,
        event: RunEvent,
        time: int,
        arrival: int,
        watermark: int,
        out: list[Timed],
        record: int,
    ) -> Ended | None:
        """Take in a terminal event on arrival: count the run where it is its execution's first.

        `record` is that of its credits. Returns the execution's terminal event that was judged already, if there is
        one.
        """
        auth = workflow.auth
        status = event.status
        execution_id: str = event.execution_id  # type: ignore[assignment]  # decoding saw to it
        code = STATUS_CODES[status] if time >= auth.ignored_before else NOT_COUNTED
        before = None
        counts = code != NOT_COUNTED
        number = workflow.number
        ended = self._memory(workflow)
        known = ended.add(number, execution_id, EndedExecution(number, time, arrival, code, record))
        if known is not None:
            detectors = self._detectors_of(workflow)
            detectors.stuck_executions.expect_end_again(workflow.stuck, execution_id)
            first_time, first_arrival, counted = known.time, known.arrival, known.status_code
            if NOT_COUNTED not in (code, counted) and counted != code:
                self._counts.conflicting += 1
            counts = counts and counted == NOT_COUNTED
            if counts:
                counted = code
            if first_time <= watermark:
                before = Ended(first_time, first_arrival)
            elif (time, arrival) < (first_time, first_arrival):
                first_time, first_arrival = time, arrival
            end = EndedExecution(number, first_time, first_arrival, counted, known.record or record)
            ended.replace(number, execution_id, end)
        if counts and status is not RunStatus.CANCELLED:
            decision = self._detectors_of(workflow).auth_failures.on_run(auth, event, time, arrival)
            if decision is not None:
                out.append(Timed(None, True, "", arrival, decision))
        return before

    def on_late(
        self,
        workflow: Workflow,
        event: RunEvent,
        time: int,
        arrival: int,
        watermark: int,
        out: list[Timed],
        record: int,
    ) -> None:
        """Judge, on arrival, an event that the watermark has reached already."""
        self.advance(workflow, watermark, out)
        status = event.status
        execution_id: str = event.execution_id  # type: ignore[assignment]  # decoding saw to it
        if status in TERMINAL:
            before = self.on_end(workflow, event, time, arrival, watermark, out, record)
            if before is None and status in PLAIN_END:
                self._count_end(workflow, time)
        elif self._detectors_of(workflow).stuck_executions.timeouts[status] is None:
            return
        else:
            before = self._ended_at(workflow, execution_id, watermark, arrival)
        run = Run(time, arrival, status, event.event_id, execution_id, event.automation_version_id)
        self._judge(workflow, run, before, watermark, out)
        if workflow.stuck.next_deadline <= watermark:
            # A late `queued` can set a deadline that has passed already: it is due by this very event.
            self._fire(workflow, watermark, out, arrival)

    def on_control(
        self, workflow: Workflow, event: ControlEvent, time: int, arrival: int, watermark: int, out: list[Timed]
    ) -> None:
        """Take in a control event: on arrival for the auth detector, in event time for the others."""
        self.advance(workflow, watermark, out)
        auth = self._detectors_of(workflow).auth_failures
        if isinstance(event, CredentialEvent):
            decision = auth.on_credential_event(workflow.auth, event, workflow.version_id, time, arrival)
            if decision is not None:
                out.append(Timed(None, True, "", arrival, decision))
        elif isinstance(event, HoldEnded):
            auth.on_hold_ended(workflow.auth, event)
        elif isinstance(event, AutomationStatusChanged | WorkflowReleased):
            if isinstance(event, AutomationStatusChanged):
                auth.on_status_change(workflow.auth, event, time)
            change = Change(time, arrival, event)
            if time > watermark:
                workflow.changes = sorted([*(workflow.changes or ()), change], key=_order)
            else:
                self._apply(workflow, change)

    def advance(self, workflow: Workflow, watermark: int, out: list[Timed]) -> None:
        """Judge what waits, and fire what is due, up to the watermark."""
        stuck, pending = workflow.stuck, workflow.pending
        if workflow.rhythm is not None or (workflow.changes and workflow.changes[0].time <= watermark):
            self._advance_in_full(workflow, watermark, out)
        elif pending is not None:
            detectors = self._detectors_of(workflow)
            detector = detectors.stuck_executions
            counts_ends = detectors.circuit_breaker.min_ratio is not None
            count = 0
            for run in pending:
                time = run.time
                if time > watermark:
                    break
                count += 1
                if stuck.next_deadline <= time:
                    self._fire(workflow, time, out)
                status = run.status
                if (
                    counts_ends
                    or stuck.called is not None
                    or stuck.ended_again is not None
                    or stuck.archived is not None
                    or status is _TIMED_OUT
                ):
                    self._judge_in_order(workflow, run, out)
                elif status in PLAIN_END:
                    detector.on_plain_end(stuck, run.execution_id)
                elif self._ended_at(workflow, run.execution_id, time, run.arrival) is not None:
                    self._judge_in_order(workflow, run, out)
                else:
                    timeout = detector.timeouts[status]
                    if timeout is not None:
                        detector.on_activity(stuck, run, time + timeout, time)
            if count == len(pending):
                workflow.pending, workflow.pending_until = None, NEVER
            else:
                del pending[:count]
        if stuck.next_deadline <= watermark:
            self._fire(workflow, watermark, out)
        if workflow.rhythm is not None:
            self._say_if_quiet(workflow, workflow.rhythm, watermark, out)

    def next_wake(self, workflow: Workflow) -> int:
        """The earliest event time at which something could be decided."""
        stuck = workflow.stuck
        wake = stuck.next_deadline
        if workflow.rhythm is not None and workflow.rhythm.deadline is not None:
            wake = min(wake, workflow.rhythm.deadline)
        if workflow.pending is not None:
            timeouts = self._detectors_of(workflow).stuck_executions.timeouts
            for run in workflow.pending:
                wait = 0 if workflow.is_watched or run.status is RunStatus.TIMED_OUT else timeouts[run.status]
                if wait is not None:
                    wake = min(wake, run.time + wait)
        return wake

    def _advance_in_full(self, workflow: Workflow, watermark: int, out: list[Timed]) -> None:
        pending, changes = workflow.pending or [], workflow.changes or []
        runs = [run for run in pending if run.time <= watermark]
        both: list[Run | Change] = [*runs, *(change for change in changes if change.time <= watermark)]
        workflow.pending = [run for run in pending if run.time > watermark] or None
        if workflow.pending is None:
            workflow.pending_until = NEVER
        workflow.changes = [change for change in changes if change.time > watermark] or None
        for one in sorted(both, key=_order):
            if workflow.stuck.next_deadline <= one.time:
                self._fire(workflow, one.time, out)
            if workflow.rhythm is not None:
                self._say_if_quiet(workflow, workflow.rhythm, one.time, out)
                if isinstance(one, Run) and self._is_begin(workflow, one):
                    self._note_run(workflow, workflow.rhythm, one)
            if isinstance(one, Run):
                self._judge_in_order(workflow, one, out)
            else:
                self._apply(workflow, one)

    def _count_end(self, workflow: Workflow, time: int) -> None:
        """Tell the breaker of an execution that ended by itself, where it compares with those."""
        breaker = self._detectors_of(workflow).circuit_breaker
        if breaker.min_ratio is None:
            return
        if workflow.breaker is None:
            workflow.breaker = CircuitBreakerState()
        breaker.on_ended(workflow.breaker, time, self.breaker_changes)

    def _is_begin(self, workflow: Workflow, run: Run) -> bool:
        """Whether this is the first event of its execution, of those judged."""
        stuck, name = workflow.stuck, run.execution_id
        if name in (stuck.open or ()) or name in (stuck.called or ()):
            return False
        if self._detectors_of(workflow).stuck_executions.is_unwatched(stuck, run):
            return False
        return self._ended_at(workflow, name, run.time, run.arrival) is None

    def _note_run(self, workflow: Workflow, rhythm: Rhythm, run: Run) -> None:
        detector = self._detectors_of(workflow).silence
        if detector is not None:
            detector.on_run(rhythm, run.time, run.event_id, run.execution_id, run.version_id)

    def _say_if_quiet(self, workflow: Workflow, rhythm: Rhythm, watermark: int, out: list[Timed]) -> None:
        deadline, detector = rhythm.deadline, self._detectors_of(workflow).silence
        if deadline is not None and deadline <= watermark and detector is not None:
            out.append(Timed(deadline, False, "", 0, detector.on_deadline(rhythm, _key(workflow))))

    def _judge_in_order(self, workflow: Workflow, run: Run, out: list[Timed]) -> None:
        # Of a first and only terminal event nobody asks whether the execution has ended before.
        again = workflow.stuck.ended_again
        asks = run.status not in PLAIN_END or (again is not None and run.execution_id in again)
        ended = self._ended_at(workflow, run.execution_id, run.time, run.arrival) if asks else None
        if ended is None and run.status in PLAIN_END:
            self._count_end(workflow, run.time)
        self._judge(workflow, run, ended, None, out)

    def _ended_at(self, workflow: Workflow, execution_id: str, time: int, arrival: int) -> Ended | None:
        """The execution's terminal event, if it is judged before an event at this place in the order."""
        known = self._memory(workflow).get(workflow.number, execution_id)
        if known is None or known.time > time or (known.time == time and known.arrival >= arrival):
            return None
        return Ended(known.time, known.arrival)

    def _memory(self, workflow: Workflow) -> EndedMemory:
        return self._ended_patient if is_patient(self._detectors_of(workflow)) else self._ended

    def _judge(self, workflow: Workflow, run: Run, ended: Ended | None, late_at: int | None, out: list[Timed]) -> None:
        """`late_at` is the watermark for an event judged on arrival."""
        watermark = run.time if late_at is None else late_at
        detector = self._detectors_of(workflow).stuck_executions
        ruling = detector.on_run(workflow.stuck, _key(workflow), run, ended, watermark)
        if ruling is not None:
            due = None if late_at is not None else run.time
            self._follow(workflow, ruling, Timed(due, True, "", run.arrival, ruling.decision), out)

    def _fire(self, workflow: Workflow, watermark: int, out: list[Timed], arrival: int | None = None) -> None:
        """`arrival` is the late event that made it due, if it was not the watermark."""
        detector = self._detectors_of(workflow).stuck_executions
        late = arrival is not None
        for due, ruling in detector.on_deadlines(workflow.stuck, _key(workflow), watermark):
            timed = Timed(None if late else due, late, ruling.execution_id, arrival or 0, ruling.decision)
            self._follow(workflow, ruling, timed, out)

    def _follow(self, workflow: Workflow, ruling: Ruling, timed: Timed, out: list[Timed]) -> None:
        """Pass on what the stuck detector says, and let the breaker count it."""
        out.append(timed)
        workflow.is_watched = True
        breaker = self._detectors_of(workflow).circuit_breaker
        if ruling.decision.kind is DecisionKind.EXECUTION_RECOVERED:
            if workflow.breaker is not None:
                breaker.on_recovered(workflow.breaker, ruling.execution_id)
            return
        if workflow.breaker is None:
            workflow.breaker = CircuitBreakerState()
        decision = breaker.on_stuck(workflow.breaker, ruling, self.breaker_changes)
        if decision is not None:
            out.append(timed._replace(decision=decision))
            if workflow.rhythm is not None:
                # Nothing will run until it is released.
                workflow.rhythm = Rhythm()

    def _apply(self, workflow: Workflow, change: Change) -> None:
        event, detectors = change.event, self._detectors_of(workflow)
        if isinstance(event, WorkflowReleased):
            if workflow.breaker is None:
                workflow.breaker = CircuitBreakerState()
            detectors.circuit_breaker.on_released(workflow.breaker, change.time)
            return
        if event.to_status is not AutomationStatus.LIVE and workflow.rhythm is not None:
            # It is not expected to run.
            workflow.rhythm = Rhythm()
        if event.to_status is AutomationStatus.ARCHIVED:
            detectors.stuck_executions.on_archived(workflow.stuck, event.automation_version_id, change.time)


def is_patient(detectors: Detectors) -> bool:
    """Whether it asks for the ends of executions when others have forgotten theirs."""
    return detectors.stuck_executions.asked_for > HORIZON


def _key(workflow: Workflow) -> tuple[str, str]:
    return (workflow.tenant_id, workflow.workflow_id)


def _order(one: Run | Change) -> tuple[int, int]:
    return (one.time, one.arrival)
