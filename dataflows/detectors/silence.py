"""Does nothing come any more? A dead man's switch (spec 20.6).

Of the whole stream: no run at all for a day. Of one workflow, where that is wanted: none for three times as long as
usual. Both live in event time, so a backlog is no silence, and a silence in a recording is one.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from statistics import median

import msgspec

from dataflows.decisions import Decision, DecisionKind, ReasonCode, decision_id
from dataflows.times import from_micros, micros

POLICY_ID = "silence"

#: Runs after which a workflow has a rhythm, and those that it is taken from.
MIN_RUNS = 8
MAX_RUNS = 33

#: A workflow is quiet after so many periods, but not before `MIN_QUIET`.
PERIODS = 3
MIN_QUIET = timedelta(hours=1)


class Span(msgspec.Struct, array_like=True):
    """A stretch of event time in which runs came and no gap between two of them was long enough to matter."""

    begin: int
    end: int
    #: Of the run at its end; of several at that time the least, which is the same whoever tells first.
    event_id: str


def add_span(spans: list[Span], new: Span, resolution: int) -> None:
    """Add to sorted spans; those less than `resolution` apart become one. What stands in `spans` may change."""
    first = bisect_left(spans, new.begin - resolution + 1, key=lambda span: span.end)
    last = first
    merged = new
    while last < len(spans) and spans[last].begin - new.end < resolution:
        span = spans[last]
        newest = min(merged, span, key=lambda one: (-one.end, one.event_id))
        merged = Span(min(merged.begin, span.begin), newest.end, newest.event_id)
        last += 1
    spans[first:last] = [merged]


class StreamSilenceState(msgspec.Struct, array_like=True):
    """What is remembered of the whole stream."""

    #: How far each lane has come, None for one that has ended.
    watermarks: dict[str, int | None] = {}
    #: The latest event time of lanes that have ended.
    ended_at: int | None = None
    #: The newest stretch that a watermark of all lanes has reached.
    last: Span | None = None
    is_told: bool = False
    #: Stretches after it.
    later: list[Span] = []


class StreamSilence:
    """The whole stream's switch; `state` arguments are changed in place, nothing else is.

    Lanes report stretches of runs; it judges when the slowest lane has passed a deadline, so it matters neither how
    often they report nor in which order.
    """

    def __init__(self, limit: timedelta, policy_version: int, lanes: int) -> None:
        """`lanes` is how many will report: nothing is judged before all have."""
        self._limit = micros(limit)
        self._limit_seconds = limit.total_seconds()
        self._policy_version = policy_version
        self._lanes = lanes
        #: Runs less than this apart, in microseconds, are one stretch.
        self.resolution = resolution(limit)

    def report(
        self, state: StreamSilenceState, lane: str, watermark: int, spans: Iterable[Span], *, is_end: bool = False
    ) -> list[tuple[int, Decision]]:
        """A lane has come to `watermark` with these runs; what is decided, each with its deadline.

        `is_end` says that nothing more comes from the lane.
        """
        for span in spans:
            if state.last is None or span.end > state.last.end:
                add_span(state.later, span, self.resolution)
        state.watermarks[lane] = None if is_end else watermark
        if is_end:
            state.ended_at = watermark if state.ended_at is None else max(state.ended_at, watermark)
        running = [mark for mark in state.watermarks.values() if mark is not None]
        if len(state.watermarks) < self._lanes:
            return []
        now = min(running) if running else state.ended_at
        return [] if now is None else self._judge(state, now)

    def _judge(self, state: StreamSilenceState, now: int) -> list[tuple[int, Decision]]:
        out = []
        while True:
            deadline = None if state.last is None else state.last.end + self._limit
            following = state.later[0] if state.later and state.later[0].begin <= now else None
            is_over = deadline is not None and (following is None or deadline <= following.begin)
            if state.last is not None and deadline is not None and deadline <= now and is_over and not state.is_told:
                out.append((deadline, self._decision(state.last, deadline)))
                state.is_told = True
            if following is None:
                return out
            state.last, state.is_told = following, False
            del state.later[0]

    def _decision(self, last: Span, deadline: int) -> Decision:
        return Decision(
            decision_id=decision_id(DecisionKind.SILENCE, "", "", POLICY_ID, last.event_id),
            kind=DecisionKind.SILENCE,
            tenant_id=None,
            workflow_id=None,
            automation_version_id=None,
            occurred_at=from_micros(deadline),
            policy_id=POLICY_ID,
            policy_version=self._policy_version,
            reason_code=ReasonCode.NO_RUNS,
            observed={"last_run_at": from_micros(last.end)},
            threshold={"whole_stream_seconds": self._limit_seconds},
            evidence=[last.event_id],
            detail={},
        )


def resolution(limit: timedelta) -> int:
    """How far apart runs may be, microseconds, and still be one stretch: less than the silence that is looked for."""
    return max(1, min(micros(limit) // 2, micros(timedelta(hours=1))))


class Rhythm(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of one workflow's runs."""

    #: Event times of the newest runs, by their first events, sorted.
    runs: list[int] = []
    event_id: str = ""
    execution_id: str = ""
    version_id: str | None = None
    #: When it will have been quiet for too long; None without a rhythm, and once that was said.
    deadline: int | None = None


class WorkflowSilence:
    """One workflow's switch; `state` arguments are changed in place, nothing else is."""

    def __init__(self, policy_version: int) -> None:
        self._policy_version = policy_version

    def on_run(self, state: Rhythm, time: int, event_id: str, execution_id: str, version_id: str) -> None:
        """Take in the first event of an execution, in event-time order."""
        state.runs.append(time)
        del state.runs[:-MAX_RUNS]
        state.event_id, state.execution_id, state.version_id = event_id, execution_id, version_id
        state.deadline = time + _quiet_for(state.runs) if len(state.runs) >= MIN_RUNS else None

    def on_deadline(self, state: Rhythm, workflow: tuple[str, str]) -> Decision:
        """The deadline has passed without a run; said once, until there is one."""
        assert state.deadline is not None
        deadline, state.deadline = state.deadline, None
        tenant_id, workflow_id = workflow
        return Decision(
            decision_id=decision_id(DecisionKind.SILENCE, tenant_id, workflow_id, POLICY_ID, state.execution_id),
            kind=DecisionKind.SILENCE,
            tenant_id=tenant_id,
            workflow_id=workflow_id,
            automation_version_id=state.version_id,
            occurred_at=from_micros(deadline),
            policy_id=POLICY_ID,
            policy_version=self._policy_version,
            reason_code=ReasonCode.WORKFLOW_QUIET,
            observed={
                "last_run_at": from_micros(state.runs[-1]),
                "period_seconds": _period(state.runs) / 1_000_000,
                "runs": len(state.runs),
            },
            threshold={"quiet_for_seconds": _quiet_for(state.runs) / 1_000_000},
            evidence=[state.event_id],
            detail={"execution_id": state.execution_id},
        )


def _period(runs: list[int]) -> int:
    """The median gap, microseconds: one run that was late or doubled does not move it."""
    return int(median(later - earlier for earlier, later in pairwise(runs)))


def _quiet_for(runs: list[int]) -> int:
    return max(PERIODS * _period(runs), micros(MIN_QUIET))
