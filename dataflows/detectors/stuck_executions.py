"""Is an execution open without activity? (spec 20.3)

Judges in event time: the engine hands over events in the order of (event time, arrival) once the watermark has
reached them, after every deadline at or before their time. So disorder within the allowed lateness changes
nothing here. An event that comes later than that is judged on arrival.
"""

from bisect import insort
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from dataflows.decisions import MAX_EVIDENCE, Decision, DecisionKind, ReasonCode, decision_id
from dataflows.detectors.policies import StuckExecutionsPolicy
from dataflows.events import RunStatus
from dataflows.times import NEVER, from_micros, micros

POLICY_ID = "stuck_executions"

#: No deadline: later than every event time.
NEVER_DUE = 2**63 - 1

#: Executions called stuck that one workflow remembers, to tell when they recover and to call none twice; and
#: executions with several terminal events.
MAX_CALLED = 1024
CALLED_HORIZON = 30 * 24 * 3600 * 1_000_000

#: Archived versions that one workflow remembers.
MAX_ARCHIVED = 256

#: Stands among versions for all of them; no id is empty.
ALL_VERSIONS = ""

#: What an execution begins with. A heartbeat may be of one that began long ago.
_BEGINS = frozenset({RunStatus.QUEUED, RunStatus.STARTED})

# An attribute of an enum's class takes 70 ns to look up in Python 3.11.
_TIMED_OUT = RunStatus.TIMED_OUT


class Seen(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """One event of an execution; sorts by event time, then by arrival."""

    time: int
    arrival: int
    event_id: str


class Run(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """What this detector reads of a run event. Begins with its order: event time, then arrival."""

    time: int
    arrival: int
    status: RunStatus
    event_id: str
    execution_id: str
    version_id: str


class Ended(NamedTuple):
    """The terminal event of an execution that counts: the first in the order in which they are judged."""

    time: int
    arrival: int


class OpenExecution(msgspec.Struct, array_like=True, gc=False):
    """An execution that runs, as far as is known."""

    activity: int
    deadline: int
    #: The event that opened it.
    first: Run
    #: Its other events, sorted, the newest `MAX_EVIDENCE`; None while there are none: most executions end next.
    more: list[Seen] | None = None

    @property
    def version_id(self) -> str:
        """The version that it runs."""
        return self.first.version_id

    def events(self) -> list[Seen]:
        """Its events, sorted, the newest `MAX_EVIDENCE`."""
        first = Seen(self.first.time, self.first.arrival, self.first.event_id)
        return [first] if self.more is None else sorted([first, *self.more])[-MAX_EVIDENCE:]


class CalledExecution(msgspec.Struct, array_like=True, gc=False):
    """An execution that was called stuck."""

    stuck_at: int
    #: Last activity; None once it recovered, ended or was archived: then nothing more is said of it.
    activity: int | None
    version_id: str
    events: list[Seen]


class StuckExecutionsState(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of one workflow's executions."""

    #: None while there are none.
    open: dict[str, OpenExecution] | None = None
    #: None until a first execution was called stuck: most workflows never have one.
    called: dict[str, CalledExecution] | None = None
    #: No open execution has an earlier deadline; a lower bound, brought up to date when it is reached.
    next_deadline: int = NEVER_DUE
    #: Executions that had several terminal events, and the newest of those judged after the first.
    ended_again: dict[str, int] | None = None
    #: Archived versions, and when; None while there are none.
    archived: dict[str, int] | None = None


class Ruling(NamedTuple):
    """A decision, with what the circuit breaker needs of it."""

    decision: Decision
    execution_id: str
    time: int
    events: list[Seen]


class StuckExecutions:
    """The detector for one policy; `state` arguments are changed in place, nothing else is."""

    __slots__ = ("_policy_version", "_queue_timeout", "_timeout_seconds", "asked_for", "remembered", "timeouts")

    def __init__(self, policy: StuckExecutionsPolicy, policy_version: int, allowed_lateness: int) -> None:
        """`allowed_lateness` in microseconds."""
        self._policy_version = policy_version
        run_timeout = micros(policy.run_timeout)
        self._queue_timeout = None if policy.queue_timeout is None else micros(policy.queue_timeout)
        #: For how long the terminal event of an execution is remembered, microseconds of event time.
        self.remembered = run_timeout + allowed_lateness
        #: How far the stream has gone on when nobody can ask for it any more: age is measured at the watermark, and
        #: an event may be judged when it would be due, not before.
        self.asked_for = self.remembered + allowed_lateness + max(run_timeout, self._queue_timeout or 0)
        self._timeout_seconds = policy.run_timeout.total_seconds()
        #: How long an execution may stay silent after an event, microseconds; None: the event opens nothing.
        self.timeouts: dict[RunStatus, int | None] = dict.fromkeys(RunStatus)
        self.timeouts[RunStatus.STARTED] = self.timeouts[RunStatus.RUNNING] = run_timeout
        self.timeouts[RunStatus.QUEUED] = self._queue_timeout

    def on_run(
        self,
        state: StuckExecutionsState,
        workflow: tuple[str, str],
        run: Run,
        ended: Ended | None,
        watermark: int,
    ) -> Ruling | None:
        """Judge one event.

        `ended` is the terminal event that counts for the execution, if one was judged before this event;
        `watermark` is at or before the event's time, or later for an event that came late.
        """
        status = run.status
        if ended is not None and not self._remembers(state, run, ended, watermark):
            ended = None
        if state.archived is not None and self.is_unwatched(state, run):
            if ended is None and status is _TIMED_OUT:
                self._end_again(state, run)
            return None
        if status is _TIMED_OUT:
            return self._on_platform_timeout(state, workflow, run, ended)
        timeout = self.timeouts[status]
        called = state.called.get(run.execution_id) if state.called else None
        if called is not None:
            return self._on_called(workflow, run, called, is_activity=timeout is not None)
        if timeout is None:
            self.on_plain_end(state, run.execution_id)
            self._end_again(state, run)
        elif ended is None:
            self.on_activity(state, run, run.time + timeout, watermark)
        return None

    def on_plain_end(self, state: StuckExecutionsState, execution_id: str) -> None:
        """Judge a terminal event that is not `timed_out`, of an execution that nothing else is known of.

        The short way that almost all go; `on_run` comes to the same.
        """
        watched = state.open
        if watched is not None and watched.pop(execution_id, None) is not None and not watched:
            state.open = None

    def on_activity(self, state: StuckExecutionsState, run: Run, deadline: int, watermark: int) -> None:
        """Judge a non-terminal event of an execution that has not ended and was not called stuck.

        The short way that almost all go; `on_run` comes to the same.
        """
        watched = state.open
        execution = None if watched is None else watched.get(run.execution_id)
        if execution is None:
            if deadline <= watermark:
                return
            if watched is None:
                state.open = {run.execution_id: OpenExecution(run.time, deadline, run)}
            else:
                watched[run.execution_id] = OpenExecution(run.time, deadline, run)
        else:
            if execution.more is None:
                execution.more = []
            _add(execution.more, Seen(run.time, run.arrival, run.event_id))
            if run.time >= execution.activity:
                execution.activity = run.time
                execution.deadline = deadline
        if deadline < state.next_deadline:
            state.next_deadline = deadline

    def expect_end_again(self, state: StuckExecutionsState, execution_id: str) -> None:
        """A second terminal event of an execution has come; it will be judged in its turn."""
        if state.ended_again is None:
            state.ended_again = {}
        state.ended_again.setdefault(execution_id, NEVER)
        if len(state.ended_again) > MAX_CALLED:
            del state.ended_again[next(iter(state.ended_again))]

    def on_deadlines(
        self, state: StuckExecutionsState, workflow: tuple[str, str], watermark: int
    ) -> Iterator[tuple[int, Ruling]]:
        """Call stuck what is due, in the order of (deadline, execution id); yields each with its deadline."""
        watched = state.open or {}
        due = sorted(
            (execution.deadline, execution_id)
            for execution_id, execution in watched.items()
            if execution.deadline <= watermark
        )
        for deadline, execution_id in due:
            execution = watched.pop(execution_id)
            ruling = self._call(
                state, workflow, execution_id, execution.version_id, deadline, execution.activity,
                execution.events(), ReasonCode.NO_ACTIVITY,
            )  # fmt: skip
            yield deadline, ruling
        state.open = watched or None
        state.next_deadline = min((execution.deadline for execution in watched.values()), default=NEVER_DUE)

    def on_archived(self, state: StuckExecutionsState, version_id: str | None, time: int) -> None:
        """Stop watching the executions of a version; of the whole workflow when it is None."""
        archived, name = state.archived or {}, version_id or ALL_VERSIONS
        archived[name] = max(time, archived.pop(name, NEVER))
        if len(archived) > MAX_ARCHIVED:
            del archived[next(iter(archived))]
        state.archived = archived
        for execution_id, execution in list((state.open or {}).items()):
            if version_id in (None, execution.version_id) and not _begins_after(execution.first, time):
                self.on_plain_end(state, execution_id)
        for called in (state.called or {}).values():
            if version_id in (None, called.version_id):
                called.activity, called.events = None, []

    def is_unwatched(self, state: StuckExecutionsState, run: Run) -> bool:
        """Whether an event says nothing because its version was archived.

        One that begins an execution later than that is watched, whatever follows it. Which executions there were
        before is not remembered: a version may have any number of them.
        """
        archived = state.archived
        if archived is None or (self.timeouts[run.status] is None and run.status is not _TIMED_OUT):
            return False
        since = max(archived.get(run.version_id, NEVER), archived.get(ALL_VERSIONS, NEVER))
        if since == NEVER or _begins_after(run, since):
            return False
        return run.execution_id not in (state.open or ()) and run.execution_id not in (state.called or ())

    def _remembers(self, state: StuckExecutionsState, run: Run, ended: Ended, watermark: int) -> bool:
        """Whether a terminal event of the execution is recent enough to count."""
        newest = max(ended.time, (state.ended_again or {}).get(run.execution_id, ended.time))
        return max(run.time, watermark) - newest < self.remembered

    def _end_again(self, state: StuckExecutionsState, run: Run) -> None:
        if state.ended_again is not None and run.execution_id in state.ended_again:
            state.ended_again[run.execution_id] = max(run.time, state.ended_again[run.execution_id])

    def _on_called(
        self, workflow: tuple[str, str], run: Run, called: CalledExecution, *, is_activity: bool
    ) -> Ruling | None:
        if called.activity is None or run.status is RunStatus.QUEUED:
            return None
        if is_activity and run.time <= called.activity:
            return None
        called.activity = None
        _add(called.events, Seen(run.time, run.arrival, run.event_id))
        reason = ReasonCode.ACTIVITY if is_activity else ReasonCode.TERMINAL
        decision = self._decision(
            DecisionKind.EXECUTION_RECOVERED, workflow, run.execution_id, run.version_id, run.time, called.events,
            reason, observed={"status": run.status.value, "stuck_at": from_micros(called.stuck_at)},
        )  # fmt: skip
        return Ruling(decision, run.execution_id, run.time, called.events)

    def _on_platform_timeout(
        self, state: StuckExecutionsState, workflow: tuple[str, str], run: Run, ended: Ended | None
    ) -> Ruling | None:
        called = state.called.get(run.execution_id) if state.called else None
        if called is not None:
            called.activity = None
            return None
        if ended is not None:
            return None
        execution = (state.open or {}).get(run.execution_id)
        self.on_plain_end(state, run.execution_id)
        events = execution.events() if execution is not None else []
        _add(events, Seen(run.time, run.arrival, run.event_id))
        return self._call(
            state,
            workflow,
            run.execution_id,
            run.version_id,
            run.time,
            None,
            events,
            ReasonCode.PLATFORM_TIMEOUT,
        )

    def _call(
        self,
        state: StuckExecutionsState,
        workflow: tuple[str, str],
        execution_id: str,
        version_id: str,
        time: int,
        activity: int | None,
        events: list[Seen],
        reason: ReasonCode,
    ) -> Ruling:
        self._remember(state, execution_id, CalledExecution(time, activity, version_id, events))
        observed = {} if activity is None else {"last_activity_at": from_micros(activity)}
        decision = self._decision(
            DecisionKind.EXECUTION_STUCK,
            workflow,
            execution_id,
            version_id,
            time,
            events,
            reason,
            observed=observed,
        )
        return Ruling(decision, execution_id, time, events)

    def _remember(self, state: StuckExecutionsState, execution_id: str, execution: CalledExecution) -> None:
        called = state.called
        if called is None:
            called = state.called = {}
        called[execution_id] = execution
        oldest = next(iter(called))
        if len(called) > MAX_CALLED or called[oldest].stuck_at < execution.stuck_at - CALLED_HORIZON:
            del called[oldest]

    def _decision(
        self,
        kind: DecisionKind,
        workflow: tuple[str, str],
        execution_id: str,
        version_id: str,
        time: int,
        events: list[Seen],
        reason: ReasonCode,
        *,
        observed: Mapping[str, object],
    ) -> Decision:
        tenant_id, workflow_id = workflow
        return Decision(
            decision_id=decision_id(kind, tenant_id, workflow_id, POLICY_ID, execution_id),
            kind=kind,
            tenant_id=tenant_id,
            workflow_id=workflow_id,
            automation_version_id=version_id,
            occurred_at=from_micros(time),
            policy_id=POLICY_ID,
            policy_version=self._policy_version,
            reason_code=reason,
            observed=dict(observed),
            threshold={
                "run_timeout_seconds": self._timeout_seconds,
                "queue_timeout_seconds": None if self._queue_timeout is None else self._queue_timeout / 1_000_000,
            },
            evidence=[seen.event_id for seen in events],
            detail={"execution_id": execution_id},
        )


def _begins_after(run: Run, time: int) -> bool:
    return run.time > time and run.status in _BEGINS


def _add(events: list[Seen], seen: Seen) -> None:
    insort(events, seen)
    if len(events) > MAX_EVIDENCE:
        del events[0]
