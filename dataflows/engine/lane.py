"""A lane: one part of the stream with one watermark, and all state of the workflows whose events it has.

All events of a workflow come by one source partition, so a lane needs nothing of the others: no event crosses from
one process to another, and a process takes over a lane with all that belongs to it (docs/decisions/0007). Time is
the stream's: the lane fires what its watermark has reached, never what a wall clock says.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count

from dataflows.detectors.policies import BreakerChange
from dataflows.detectors.silence import Rhythm, Span, add_span
from dataflows.detectors.stuck_executions import NEVER_DUE, Run
from dataflows.engine.credit_records import Charge, record_of
from dataflows.engine.detector_sets import Detectors
from dataflows.engine.lane_state import LaneState, encode_in_pieces, with_workflows, workflows_of
from dataflows.engine.memory import EndedExecution, Memory, Room, Row
from dataflows.engine.quiet import AGES_BY, QUIET_FOR, is_forgettable
from dataflows.engine.watermarks import Watermark
from dataflows.engine.workflow import (
    NOT_COUNTED,
    STATUS_CODES,
    Counts,
    EndedMemory,
    Judge,
    Timed,
    Workflow,
    is_patient,
)
from dataflows.events import (
    GATE_ERROR_CODES,
    SCENARIO_PREFIX,
    BaselinesUpdated,
    ControlEvent,
    Event,
    RunEvent,
    RunStatus,
    SystemConfigChanged,
)
from dataflows.times import NEVER

# An attribute of an enum's class takes 70 ns to look up in Python 3.11.
_QUEUED, _CANCELLED, _TIMED_OUT = RunStatus.QUEUED, RunStatus.CANCELLED, RunStatus.TIMED_OUT

#: Events of a workflow that may wait before they are looked at, if half of them can be judged: judging several at
#: once costs less than one by one.
WAITING = 8


#: How long the second stage waits for runs that are out of order, microseconds. Less than the watermark does, since a
#: person may wait for the answer.
CREDITS_LATENESS = 5_000_000


#: Workflows that are looked at with each snapshot, whether they may be forgotten: some milliseconds.
LOOKED_AT = 20_000


class Lane:
    """The workflows of one part of the stream. Single-threaded; every method changes its state in place."""

    def __init__(
        self,
        detectors_of: Callable[[str, str], Detectors],
        room: Room,
        watermark: Watermark,
        resolution: int,
        breaker_changes: Iterable[BreakerChange] = (),
        *,
        credits_lateness: int = CREDITS_LATENESS,
    ) -> None:
        """`resolution` in microseconds: runs less than this apart are one stretch for the whole stream's switch.

        `credits_lateness`, microseconds too, is the disorder that changes nothing in the second stage.
        `breaker_changes` are those of the default layer that are known at the start; others come by the stream.
        """
        self.counts = Counts()
        #: Tells its charges from those of other lanes.
        self.name = ""
        #: What the second stage has to know, since somebody last took it.
        self.charges: list[Charge] = []
        #: Those of them that have an error message, which the detectors may still read.
        self._with_messages: list[RunEvent] = []
        #: By their places in the last batch, runs whose record contradicts an earlier one.
        self.conflicts: list[int] = []
        #: How far the second stage is ahead of the watermark.
        self._ahead = max(0, watermark.lateness - credits_lateness)
        #: When runs came that were not late, since somebody last took them with `take_spans`.
        self.spans: list[Span] = []
        self._resolution = resolution
        self.watermark = watermark
        #: The next event's number. They tell apart events of equal event time.
        self.arrival = 0
        self._detectors_of = detectors_of
        #: By their numbers, which are not used again: ids in the memories name them. None for a dropped one.
        self._workflows: list[Workflow | None] = []
        self._detectors: list[Detectors] = []
        #: By workflow id alone, as it is unique; a second tenant's workflow of the same name stands in `_twins`.
        self._by_id: dict[str, Workflow] = {}
        self._twins: dict[tuple[str, str], Workflow] = {}
        #: One object for each tenant's name.
        self._tenants: dict[str, str] = {}
        self._seen: Memory[int] = Memory(room)
        self._ended: EndedMemory = Memory(room)
        self._ended_patient: EndedMemory = Memory(room)
        self._has_patient = False
        self._judge = Judge(
            lambda workflow: self._detectors[workflow.number], self._ended, self._ended_patient, self.counts
        )
        #: (event time at which to look at a workflow, its number), a heap.
        self._wakes: list[tuple[int, int]] = []
        self._changed: list[Workflow] = []
        #: Dropped since the last snapshot.
        self._gone: list[int] = []
        #: Microseconds, and the watermark to which it was counted (`engine.quiet`).
        self._age, self._aged_to = 0, NEVER
        #: Where `drop_quiet` goes on.
        self._next_look = 0
        self._learn_changes(breaker_changes)

    def process(self, events: Sequence[Event], times: Sequence[int]) -> list[Timed]:  # noqa: C901, PLR0912, PLR0915
        """Take in events in their order, `times` are their event times, then all that is due.

        1 to 2 µs an event of a healthy workflow. What is written out here, and not left to `Judge`, is the way that
        almost every event goes.
        """
        out: list[Timed] = []
        by_id, changed, judge, counts = self._by_id, self._changed, self._judge, self.counts
        seen, ended = self._seen.index, self._ended.index
        note_seen, note_owner = self._seen.keys.append, self._seen.values.append
        note_ended, note_end = self._ended.keys.append, self._ended.values.append
        # They change between batches only.
        seen_strays, ended_strays = self._seen.has_strays, self._ended.has_strays
        has_patient = self._has_patient
        watermark, all_detectors = self.watermark, self._detectors
        mark, highest, lateness = watermark.value, watermark.highest, watermark.lateness
        used = 0
        # The stretch of runs that the newest belongs to; all between its ends is known already.
        runs_from, runs_until, run_id, resolution = 1, 0, "", self._resolution
        for event, time, arrival in zip(events, times, count(self.arrival), strict=False):
            if time > highest:
                highest = time
                if time - lateness > mark:
                    mark = time - lateness
            workflow = by_id.get(event.workflow_id)  # type: ignore[arg-type]  # identity filled it in
            if workflow is None or workflow.tenant_id != event.tenant_id:
                if type(event) is SystemConfigChanged:
                    self._learn_changes([_breaker_change(event, time)])
                    continue
                if type(event) is BaselinesUpdated:
                    self._set_baselines(event, time, arrival, mark)
                    continue
                workflow = self._workflow(event)
                has_patient = self._has_patient
            if not workflow.is_changed:
                workflow.is_changed = True
                changed.append(workflow)
            if type(event) is not RunEvent:
                self._control(event, workflow, time, arrival, mark, out)  # type: ignore[arg-type]
                continue
            number, event_id = workflow.number, event.event_id
            if event_id not in seen and not seen_strays:
                seen[event_id] = number
                note_seen(event_id)
                note_owner(number)
            elif self._seen.add(number, event_id, number) is not None:
                if event.credits_total is None or not self._contradicts(workflow, event, arrival):
                    counts.duplicates += 1
                continue
            record = 0
            if event.credits_total is not None:
                record = self._record(workflow, event, time, arrival, mark)
                if record < 0:
                    continue
            used += 1
            is_late = time <= mark
            if is_late and time < mark:
                counts.late += 1
            if event.error_code is not None and event.error_code in GATE_ERROR_CODES:
                continue
            if event.automation_version_id != workflow.version_id:
                if event.automation_version_id.startswith(SCENARIO_PREFIX):
                    self._note_record(workflow, event, time, arrival, record)
                    continue
                workflow.version_id = event.automation_version_id
            if is_late:
                judge.on_late(workflow, event, time, arrival, mark, out, record)
                self._schedule(workflow)
                continue
            if time >= runs_until or time < runs_from:
                if runs_from <= runs_until <= time < runs_until + resolution:
                    if time > runs_until or event_id < run_id:
                        runs_until, run_id = time, event_id
                else:
                    if runs_from <= runs_until:
                        add_span(self.spans, Span(runs_from, runs_until, run_id), resolution)
                    runs_from, runs_until, run_id = time, time, event_id
            detectors = all_detectors[number]
            status = event.status
            execution_id: str = event.execution_id  # type: ignore[assignment]  # decoding saw to it
            wait = detectors.stuck_executions.timeouts[status]
            if wait is not None:
                wake = time + wait
            elif status is _QUEUED:
                continue
            else:
                wake = time if status is _TIMED_OUT else NEVER_DUE
                if execution_id in ended or ended_strays or (has_patient and is_patient(detectors)):
                    judge.on_end(workflow, event, time, arrival, mark, out, record)
                else:
                    # As `on_end` does it for an execution that never ended before.
                    auth = workflow.auth
                    code = STATUS_CODES[status] if time >= auth.ignored_before else NOT_COUNTED
                    ended[execution_id] = end = EndedExecution(number, time, arrival, code, record)
                    note_ended(execution_id)
                    note_end(end)
                    if code and status is not _CANCELLED:
                        decision = detectors.auth_failures.on_run(auth, event, time, arrival)
                        if decision is not None:
                            out.append(Timed(None, True, "", arrival, decision))
            run = Run(time, arrival, status, event_id, execution_id, workflow.version_id)
            pending = workflow.pending
            if pending is None:
                workflow.pending = [run]
                workflow.pending_until = time
            elif workflow.pending_until > time:
                insort(pending, run)
            else:
                pending.append(run)
                workflow.pending_until = time
                if len(pending) >= WAITING and pending[len(pending) // 2].time <= mark:
                    judge.advance(workflow, mark, out)
                    if workflow.is_watched:
                        self._schedule(workflow)
            if workflow.is_watched:
                wake = time
            if wake < workflow.wake_at:
                workflow.wake_at = wake
                heappush(self._wakes, (wake, number))
        if runs_from <= runs_until:
            add_span(self.spans, Span(runs_from, runs_until, run_id), resolution)
        counts.events += used
        self.arrival += len(events)
        watermark.value, watermark.highest = mark, highest
        self.advance(out)
        if events:
            self._seen.pass_time(highest)
            self._ended.pass_time(highest)
            self._ended_patient.pass_time(highest)
        return out

    def advance(self, out: list[Timed]) -> list[Timed]:
        """Decide what is due by the watermark; `out` with that added."""
        heap, mark = self._wakes, self.watermark.value
        while heap and heap[0][0] <= mark:
            wake, number = heappop(heap)
            workflow = self._workflows[number]
            if workflow is None or workflow.wake_at != wake:
                continue
            workflow.wake_at = NEVER_DUE
            if not workflow.is_changed:
                workflow.is_changed = True
                self._changed.append(workflow)
            self._judge.advance(workflow, mark, out)
            self._schedule(workflow)
        return out

    @property
    def credit_mark(self) -> int:
        """Nothing that comes will be judged by the second stage as of before this time."""
        return self.watermark.value + self._ahead

    def take_charges(self) -> list[Charge]:
        """What has come for the second stage since the last time."""
        charges, self.charges = self.charges, []
        for event in self._with_messages:
            # Nobody may keep them.
            event.error_message = None
        self._with_messages.clear()
        return charges

    def take_conflicts(self) -> list[int]:
        """The places in the last batch of runs that were refused."""
        conflicts, self.conflicts = self.conflicts, []
        return conflicts

    def take_spans(self) -> list[Span]:
        """When runs came since the last time; the newest stretch is told again when it grows."""
        spans, self.spans = self.spans, []
        return spans

    def workflows(self) -> list[Workflow]:
        """All that are remembered."""
        return [workflow for workflow in self._workflows if workflow is not None]

    @property
    def size(self) -> int:
        """How many workflows are remembered."""
        return len(self._by_id) + len(self._twins)

    def drop_quiet(self) -> None:
        """Forget workflows that have been quiet for so long that they could as well be new (`engine.quiet`).

        To be called with each snapshot, before it. Looks at `LOOKED_AT` of them, the next time at the next ones. What
        is left of one are 16 bytes.
        """
        mark, workflows = self.watermark.value, self._workflows
        if self._aged_to != NEVER:
            self._age += min(mark - self._aged_to, AGES_BY)
        self._aged_to = mark
        for _ in range(min(LOOKED_AT, len(workflows))):
            number = self._next_look if self._next_look < len(workflows) else 0
            self._next_look = number + 1
            workflow = workflows[number]
            if workflow is None or workflow.is_changed or workflow.wake_at != NEVER_DUE:
                continue
            quiet_for = self._age - workflow.told_at
            if quiet_for <= QUIET_FOR:
                continue
            # Nothing is due, but there may be ends of executions that nobody needed to look at.
            self._judge.advance(workflow, mark, [])
            if is_forgettable(workflow, self._detectors[number], quiet_for):
                self._drop(workflow)
                self._gone.append(number)

    def everything(self) -> LaneState:
        """All state; the inverse is `restore`."""
        return with_workflows(*self._everything())

    def news(self) -> LaneState:
        """What has changed since the last time that somebody asked; the inverse is `learn`."""
        return with_workflows(*self._news())

    def pieces(self, *, everything: bool) -> Iterator[bytes | bytearray]:
        """`everything` or `news`, encoded; a piece is good until the next one is taken."""
        return encode_in_pieces(*(self._everything() if everything else self._news()))

    def clock(self) -> LaneState:
        """How far the lane has come, without its workflows."""
        return self._state([], [], [])

    @property
    def is_changed(self) -> bool:
        """Whether there are `news`."""
        return bool(self._changed or self._gone)

    def restore(self, state: LaneState) -> None:
        """Take over all state; `self` must be new."""
        self._seen.restore(state.seen)
        self._ended.restore(state.ended)
        if state.ended_patient:
            self._ended_patient.restore(state.ended_patient)
        self._take_over(state)

    def learn(self, state: LaneState) -> None:
        """Take over what has changed since the state that was restored."""
        if state.seen:
            self._seen.learn(state.seen)
            self._ended.learn(state.ended)
        if state.ended_patient:
            self._ended_patient.learn(state.ended_patient)
        self._take_over(state)

    def _everything(self) -> tuple[LaneState, list[Workflow]]:
        self.note_snapshot()
        rows = self._seen.everything(), self._ended.everything(), self._ended_patient.everything()
        return self._state(*rows), self.workflows()

    def _news(self) -> tuple[LaneState, list[Workflow]]:
        changed, gone = self._changed, self._gone
        self.note_snapshot()
        state = self._state(self._seen.news(), self._ended.news(), self._ended_patient.news())
        state.gone = gone
        return state, changed

    def _state(
        self, seen: list[Row[int]], ended: list[Row[EndedExecution]], ended_patient: list[Row[EndedExecution]]
    ) -> LaneState:
        return LaneState(
            self.arrival,
            self.watermark.value,
            self.watermark.highest,
            [],
            seen,
            ended,
            self.spans,
            ended_patient,
            len(self._workflows),
            age=self._age,
            breaker_changes=self._judge.breaker_changes,
        )

    def note_snapshot(self) -> None:
        """What has changed until now is told, or nobody asks."""
        age = self._age
        for workflow in self._changed:
            workflow.is_changed = False
            workflow.told_at = age
        self._changed, self._gone = [], []

    def _take_over(self, state: LaneState) -> None:
        self.arrival = state.arrival
        self.watermark.value, self.watermark.highest = state.watermark, state.highest
        self.spans = state.spans
        self._age, self._aged_to = state.age, state.watermark
        self._learn_changes(state.breaker_changes)
        for number in state.gone:
            if (dropped := self._workflows[number]) is not None:
                self._drop(dropped)
        for workflow in workflows_of(state):
            self._put(workflow)
        self._make_room(state.count)
        self._wakes = [
            (workflow.wake_at, workflow.number)
            for workflow in self._workflows
            if workflow is not None and workflow.wake_at != NEVER_DUE
        ]
        heapify(self._wakes)

    def _learn_changes(self, changes: Iterable[BreakerChange]) -> None:
        """Add changes of the default layer, each version once."""
        known = {change.version: change for change in self._judge.breaker_changes}
        for change in changes:
            known.setdefault(change.version, change)
        self._judge.breaker_changes = sorted(known.values())

    def _workflow(self, event: Event) -> Workflow:
        tenant_id, workflow_id = event.tenant_id, event.workflow_id or ""
        workflow = self._twins.get((tenant_id, workflow_id)) if self._twins else None
        if workflow is None:
            workflow = Workflow(len(self._workflows), tenant_id, workflow_id)
            self._put(workflow)
        return workflow

    def _put(self, workflow: Workflow) -> None:
        """Add a workflow, or put it in the place of an older state of it."""
        number, name = workflow.number, workflow.workflow_id
        workflow.tenant_id = self._tenants.setdefault(workflow.tenant_id, workflow.tenant_id)
        known = self._by_id.get(name)
        if known is None or known.number == number:
            self._by_id[name] = workflow
        else:
            self._twins[workflow.tenant_id, name] = workflow
        if number >= len(self._workflows):
            self._make_room(number)
            self._workflows.append(workflow)
            detectors = self._detectors_of(workflow.tenant_id, name)
            self._detectors.append(detectors)
            if is_patient(detectors):
                self._has_patient = True
                self._ended_patient.horizon = max(self._ended_patient.horizon, detectors.stuck_executions.asked_for)
            if detectors.silence is None:
                workflow.rhythm = None
            elif workflow.rhythm is None:
                workflow.rhythm, workflow.is_watched = Rhythm(), True
        else:
            self._workflows[number] = workflow

    def _make_room(self, count: int) -> None:
        """Leave the places of dropped workflows empty."""
        missing = count - len(self._workflows)
        if missing > 0:
            self._workflows += [None] * missing
            self._detectors += [self._detectors_of("", "")] * missing

    def _drop(self, workflow: Workflow) -> None:
        name = workflow.workflow_id
        self._workflows[workflow.number] = None
        if self._by_id.get(name) is workflow:
            del self._by_id[name]
        else:
            del self._twins[workflow.tenant_id, name]

    def _control(
        self, event: ControlEvent, workflow: Workflow, time: int, arrival: int, mark: int, out: list[Timed]
    ) -> None:
        if isinstance(event, BaselinesUpdated):
            self._set_baselines(event, time, arrival, mark)
            return
        # No run event's id has a space in it.
        number = workflow.number
        if event.event_id is None or self._seen.add(number, f"control {event.event_id}", number) is None:
            self._judge.on_control(workflow, event, time, arrival, mark, out)
            self._schedule(workflow)

    def _contradicts(self, workflow: Workflow, event: RunEvent, arrival: int) -> bool:
        """Whether there was another record of this run already: then this one is refused."""
        known = self._ended_of(workflow).get(workflow.number, event.execution_id or "")
        if known is None or known.record == 0 or record_of(event) in (0, known.record):
            return False
        self.conflicts.append(arrival - self.arrival)
        return True

    def _record(self, workflow: Workflow, event: RunEvent, time: int, arrival: int, mark: int) -> int:
        """Tells the record of a run's credits from others; 0 for an event that is none, -1 for one that is refused.

        The first one of an execution goes to the second stage. One that says the same again goes nowhere.
        """
        record = record_of(event)
        if record == 0:
            return 0
        ended = self._ended_of(workflow) if self._has_patient else self._ended
        execution_id: str = event.execution_id  # type: ignore[assignment]  # decoding saw to it
        known = None
        if execution_id in ended.index or ended.has_strays:
            known = ended.get(workflow.number, execution_id)
        if known is not None and known.record:
            if known.record == record:
                return record
            self.conflicts.append(arrival - self.arrival)
            return -1
        due = mark + self._ahead
        if time > due:
            due = time
        # What waits shares its names with what is here already: else they would leave the processor's cache with it.
        event.tenant_id = workflow.tenant_id
        event.workflow_id = workflow_id = workflow.workflow_id
        version_id = workflow.version_id
        if event.automation_version_id == version_id:
            event.automation_version_id = version_id
        self.charges.append((due, time, True, workflow_id, self.name, arrival, event))
        if event.error_message is not None:
            self._with_messages.append(event)
        return record

    def _ended_of(self, workflow: Workflow) -> EndedMemory:
        is_patient_one = self._has_patient and is_patient(self._detectors[workflow.number])
        return self._ended_patient if is_patient_one else self._ended

    def _set_baselines(self, event: BaselinesUpdated, time: int, arrival: int, mark: int) -> None:
        # They come before the runs of the same moment.
        self.charges.append((max(time, mark + self._ahead), time, False, "", self.name, arrival, event))

    def _note_record(self, workflow: Workflow, event: RunEvent, time: int, arrival: int, record: int) -> None:
        """Remember the record of a run that no other detector sees."""
        number, name = workflow.number, event.execution_id or ""
        end = EndedExecution(number, time, arrival, NOT_COUNTED, record)
        known = self._ended.add(number, name, end)
        if known is not None and known.record == 0:
            self._ended.replace(number, name, end)

    def _schedule(self, workflow: Workflow) -> None:
        wake = self._judge.next_wake(workflow)
        if wake < workflow.wake_at:
            workflow.wake_at = wake
            heappush(self._wakes, (wake, workflow.number))


def _breaker_change(event: SystemConfigChanged, time: int) -> BreakerChange:
    window = None if event.stuck_window_minutes is None else event.stuck_window_minutes * 60 * 1_000_000
    return BreakerChange(time, event.version, event.stuck_threshold, window)
