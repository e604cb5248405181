"""Does a workflow keep getting stuck? (spec 20.4)

Counts the executions of a workflow called stuck in a window of event time. The detector alone decides, so that
a decision can be replayed; the store of spec 40 records, enforces and shows.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec

from dataflows.decisions import MAX_EVIDENCE, Decision, DecisionKind, ReasonCode, decision_id
from dataflows.detectors.policies import BreakerChange, CircuitBreakerPolicy, StuckExecutionsPolicy
from dataflows.detectors.stuck_executions import Ruling, Seen
from dataflows.times import NEVER, from_micros, micros

POLICY_ID = "circuit_breaker"
DEFAULT_RUN_TIMEOUT = StuckExecutionsPolicy().run_timeout

#: The longest window there is, microseconds. For so long executions are kept, so that a window that is made longer
#: finds them.
LONGEST_WINDOW = 7 * 24 * 3600 * 1_000_000

#: Executions that ended are counted by the minute, microseconds; the minutes that a window touches count whole.
MINUTE = 60 * 1_000_000


class StuckRecord(msgspec.Struct, array_like=True, gc=False):
    """One stuck execution that counts."""

    stuck_at: int
    events: list[Seen]


class CircuitBreakerState(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of one workflow. Times are microseconds since the epoch."""

    #: Stuck executions that may count, by execution id; none while it is blacklisted.
    stuck: dict[str, StuckRecord] = {}
    #: The newest stuck time recorded, also of an execution that recovered since.
    newest: int = NEVER
    blacklisted: bool = False
    released_at: int = NEVER
    #: How many executions ended, by the minute; None unless a policy asks for a ratio, and while it is blacklisted.
    ended: dict[int, int] | None = None


class _InForce(NamedTuple):
    """What is judged by at one event time."""

    threshold: int
    #: Microseconds.
    window: int
    version: int


class CircuitBreaker:
    """The detector for one policy; `state` arguments are changed in place, nothing else is."""

    __slots__ = ("_half_open", "_inherits", "_policy", "min_ratio")

    def __init__(
        self, policy: CircuitBreakerPolicy, policy_version: int, run_timeout: timedelta = DEFAULT_RUN_TIMEOUT
    ) -> None:
        """`run_timeout` is after how long a run is stuck; a probe may take longer than that."""
        self._policy = _InForce(policy.threshold, micros(policy.window), policy_version)
        self._inherits = policy.inherits
        #: None: nobody need tell of executions that end.
        self.min_ratio = policy.min_stuck_ratio
        #: What the store needs to know for probes; nothing where the policy wants none.
        self._half_open: dict[str, float] = {}
        if policy.half_open_after is not None:
            lease = 2 * run_timeout if policy.probe_lease is None else policy.probe_lease
            self._half_open = {
                "half_open_after_seconds": policy.half_open_after.total_seconds(),
                "probe_lease_seconds": lease.total_seconds(),
            }

    def on_stuck(
        self, state: CircuitBreakerState, ruling: Ruling, changes: Sequence[BreakerChange] = ()
    ) -> Decision | None:
        """Record an execution called stuck; a decision when that makes enough of them.

        `changes` are those of the default layer, sorted: an execution is judged by what holds at its own event time.
        """
        # Nothing more is decided until a release, which clears the count.
        if state.blacklisted or ruling.time <= state.released_at:
            return None
        state.stuck[ruling.execution_id] = StuckRecord(ruling.time, list(ruling.events))
        state.newest = max(state.newest, ruling.time)
        oldest = state.newest - LONGEST_WINDOW
        state.stuck = {name: record for name, record in state.stuck.items() if record.stuck_at > oldest}
        policy = self._in_force(ruling.time, changes)
        begin = state.newest - policy.window
        counted = {name: record for name, record in state.stuck.items() if record.stuck_at > begin}
        if len(counted) < policy.threshold:
            return None
        share = None
        if self.min_ratio is not None:
            share = _Share(len(counted), len(counted) + _count_ended(state, policy.window), self.min_ratio)
            if share.ratio < share.least:
                return None
        decision = _decide(policy, counted, state.newest, ruling, self._half_open, share)
        state.blacklisted = True
        state.stuck = {}
        state.ended = None
        return decision

    def on_ended(self, state: CircuitBreakerState, time: int, changes: Sequence[BreakerChange] = ()) -> None:
        """Count an execution that ended by itself; asked for only with a `min_ratio`.

        Those more than a window before the newest one are forgotten.
        """
        if state.blacklisted or time <= state.released_at:
            return
        ended, minute = state.ended, time // MINUTE
        if ended is None:
            ended = state.ended = {}
        if minute in ended:
            ended[minute] += 1
            return
        ended[minute] = 1
        oldest = max(ended) - _minutes(self._in_force(time, changes).window)
        state.ended = {each: count for each, count in ended.items() if each >= oldest}

    def on_recovered(self, state: CircuitBreakerState, execution_id: str) -> None:
        """Take an execution out of the count; it goes on setting the window's end."""
        state.stuck.pop(execution_id, None)

    def on_released(self, state: CircuitBreakerState, time: int) -> None:
        """The workflow was taken off the blacklist: begin afresh."""
        state.stuck = {}
        state.newest = NEVER
        state.ended = None
        state.blacklisted = False
        state.released_at = max(state.released_at, time)

    def _in_force(self, time: int, changes: Sequence[BreakerChange]) -> _InForce:
        policy = self._policy
        change = next((one for one in reversed(changes) if one.time <= time), None)
        if change is None or not self._inherits:
            return policy
        threshold, window = policy.threshold, policy.window
        if change.threshold is not None and "threshold" in self._inherits:
            threshold = change.threshold
        if change.window is not None and "window" in self._inherits:
            window = change.window
        return _InForce(threshold, window, change.version)


class _Share(NamedTuple):
    """How many executions got stuck, of how many that ended or got stuck."""

    stuck: int
    executions: int
    least: float

    @property
    def ratio(self) -> float:
        return self.stuck / self.executions


def _minutes(window: int) -> int:
    """How many minutes a window touches at most, besides the one in which it ends."""
    return -(-window // MINUTE)


def _count_ended(state: CircuitBreakerState, window: int) -> int:
    """Executions that ended in the minutes that the window before the newest stuck time touches."""
    if state.ended is None:
        return 0
    newest = max(state.ended)
    first, last = max((state.newest - window) // MINUTE, newest - _minutes(window)), state.newest // MINUTE
    return sum(count for minute, count in state.ended.items() if first <= minute <= last)


def _decide(
    policy: _InForce,
    counted: dict[str, StuckRecord],
    newest: int,
    ruling: Ruling,
    half_open: Mapping[str, float],
    share: _Share | None,
) -> Decision:
    stuck = ruling.decision
    tenant_id, workflow_id = stuck.tenant_id or "", stuck.workflow_id or ""
    count = len(counted)
    observed: dict[str, object] = {"stuck_count": count, "newest_stuck_at": from_micros(newest)}
    threshold: dict[str, object] = {"threshold": policy.threshold, "window_seconds": policy.window / 1_000_000}
    if share is not None:
        observed |= {"execution_count": share.executions, "stuck_ratio": share.ratio}
        threshold["min_stuck_ratio"] = share.least
    events = sorted({seen for record in counted.values() for seen in record.events})
    return Decision(
        decision_id=decision_id(
            DecisionKind.BLACKLIST_WORKFLOW,
            tenant_id,
            workflow_id,
            POLICY_ID,
            ruling.execution_id,
        ),
        kind=DecisionKind.BLACKLIST_WORKFLOW,
        tenant_id=stuck.tenant_id,
        workflow_id=stuck.workflow_id,
        automation_version_id=stuck.automation_version_id,
        occurred_at=from_micros(ruling.time),
        policy_id=POLICY_ID,
        policy_version=policy.version,
        reason_code=ReasonCode.STUCK_THRESHOLD,
        observed=observed,
        threshold={**threshold, **half_open},
        evidence=[seen.event_id for seen in events][-MAX_EVIDENCE:],
        detail={
            "stuck_count": count,
            "execution_ids": sorted(counted),
            "reason": f"auto:stuck:{count}",
        },
    )
