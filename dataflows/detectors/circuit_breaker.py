"""Does a workflow keep getting stuck? (spec 20.4)

Counts the executions of a workflow called stuck in a window of event time. The detector alone decides, so that
a decision can be replayed; the store of spec 40 records, enforces and shows.
"""

import msgspec

from dataflows.decisions import MAX_EVIDENCE, Decision, DecisionKind, ReasonCode, decision_id
from dataflows.detectors.policies import CircuitBreakerPolicy
from dataflows.detectors.stuck_executions import Ruling, Seen
from dataflows.times import NEVER, from_micros, micros

POLICY_ID = "circuit_breaker"


class StuckRecord(msgspec.Struct, array_like=True, gc=False):
    """One stuck execution that counts."""

    stuck_at: int
    events: list[Seen]


class CircuitBreakerState(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of one workflow. Times are microseconds since the epoch."""

    #: Stuck executions in the window, by execution id; none while it is blacklisted.
    stuck: dict[str, StuckRecord] = {}
    #: The newest stuck time recorded, also of an execution that recovered since.
    newest: int = NEVER
    blacklisted: bool = False
    released_at: int = NEVER


class CircuitBreaker:
    """The detector for one policy; `state` arguments are changed in place, nothing else is."""

    __slots__ = ("_policy", "_policy_version", "window")

    def __init__(self, policy: CircuitBreakerPolicy, policy_version: int) -> None:
        self._policy = policy
        self._policy_version = policy_version
        #: Microseconds.
        self.window = micros(policy.window)

    def on_stuck(self, state: CircuitBreakerState, ruling: Ruling) -> Decision | None:
        """Record an execution called stuck; a decision when that makes enough of them."""
        # Nothing more is decided until a release, which clears the count.
        if state.blacklisted or ruling.time <= state.released_at:
            return None
        state.stuck[ruling.execution_id] = StuckRecord(ruling.time, list(ruling.events))
        state.newest = max(state.newest, ruling.time)
        begin = state.newest - self.window
        state.stuck = {name: record for name, record in state.stuck.items() if record.stuck_at > begin}
        if len(state.stuck) < self._policy.threshold:
            return None
        decision = self._decide(state, ruling)
        state.blacklisted = True
        state.stuck = {}
        return decision

    def on_recovered(self, state: CircuitBreakerState, execution_id: str) -> None:
        """Take an execution out of the count; it goes on setting the window's end."""
        state.stuck.pop(execution_id, None)

    def on_released(self, state: CircuitBreakerState, time: int) -> None:
        """The workflow was taken off the blacklist: begin afresh."""
        state.stuck = {}
        state.newest = NEVER
        state.blacklisted = False
        state.released_at = max(state.released_at, time)

    def _decide(self, state: CircuitBreakerState, ruling: Ruling) -> Decision:
        stuck = ruling.decision
        tenant_id, workflow_id = stuck.tenant_id or "", stuck.workflow_id or ""
        count = len(state.stuck)
        events = sorted({seen for record in state.stuck.values() for seen in record.events})
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
            policy_version=self._policy_version,
            reason_code=ReasonCode.STUCK_THRESHOLD,
            observed={"stuck_count": count, "newest_stuck_at": from_micros(state.newest)},
            threshold={
                "threshold": self._policy.threshold,
                "window_seconds": self._policy.window.total_seconds(),
            },
            evidence=[seen.event_id for seen in events][-MAX_EVIDENCE:],
            detail={
                "stuck_count": count,
                "execution_ids": sorted(state.stuck),
                "reason": f"auto:stuck:{count}",
            },
        )
