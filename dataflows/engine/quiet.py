"""When a workflow may be forgotten: nothing that is remembered of it could change a decision any more.

A state whose workflow comes back finds itself as new. That is the same for every event that is not itself older than
what was forgotten: so late an event finds a workflow without a past (docs/detectors.md says for how long there is one).
"""

from dataflows.detectors.circuit_breaker import LONGEST_WINDOW
from dataflows.detectors.stuck_executions import CALLED_HORIZON
from dataflows.engine.detector_sets import Detectors
from dataflows.engine.workflow import Workflow
from dataflows.times import NEVER

#: Of the lane's age, microseconds, without anything that concerned the workflow.
QUIET_FOR = 7 * 24 * 3600 * 1_000_000

#: A lane grows older with its watermark, but between two snapshots by no more than this: one event from a clock that is
#: a year ahead does not make it forget.
AGES_BY = 24 * 3600 * 1_000_000


def is_forgettable(workflow: Workflow, detectors: Detectors, quiet_for: int) -> bool:
    """Whether a new state would decide the same; `quiet_for` is how long nothing has happened to it, microseconds.

    A streak has no age limit, neither has a block or a blacklisting: who has one stays.
    """
    auth, stuck, breaker, rhythm = workflow.auth, workflow.stuck, workflow.breaker, workflow.rhythm
    if workflow.pending or workflow.changes or stuck.open or not auth.armed:
        return False
    if (breaker is not None and breaker.blacklisted) or (rhythm is not None and rhythm.runs):
        return False
    if auth.systems and any(system.streak for system in auth.systems.values()):
        return False
    looks_back = max(
        QUIET_FOR,
        detectors.auth_failures.looks_back,
        detectors.stuck_executions.asked_for,
        LONGEST_WINDOW,
    )
    # A breaker that has only seen executions end knows nothing that is older than its window.
    has_counted = breaker is not None and (breaker.newest != NEVER or breaker.released_at != NEVER)
    if stuck.called or stuck.archived or has_counted:
        looks_back = max(looks_back, CALLED_HORIZON)
    return quiet_for > looks_back
