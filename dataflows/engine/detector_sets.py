"""Which detectors judge a workflow: those of its policy set."""

from datetime import timedelta
from typing import NamedTuple

from dataflows.detectors.auth_errors import AuthErrorClassifier
from dataflows.detectors.auth_failures import AuthFailures
from dataflows.detectors.circuit_breaker import CircuitBreaker
from dataflows.detectors.policies import Policies, PolicySet
from dataflows.detectors.silence import StreamSilence, WorkflowSilence, resolution
from dataflows.detectors.stuck_executions import StuckExecutions


class Detectors(NamedTuple):
    """The detectors for one policy set, shared by all workflows that it holds for."""

    auth_failures: AuthFailures
    stuck_executions: StuckExecutions
    circuit_breaker: CircuitBreaker
    #: None where it is off.
    silence: WorkflowSilence | None = None


class DetectorFactory:
    """Detectors by policy, built once for all workflows that share it."""

    def __init__(self, policies: Policies, classifier: AuthErrorClassifier, allowed_lateness: int) -> None:
        """`allowed_lateness` in microseconds."""
        self._policies = policies
        self._classifier = classifier
        self._lateness = allowed_lateness
        self._built: dict[PolicySet, Detectors] = {}
        limit = policies.default.silence.whole_stream
        #: How far apart runs may be, in microseconds, and still be one stretch for the whole stream's switch.
        self.resolution = resolution(timedelta.max if limit is None else limit)

    def of(self, tenant_id: str, workflow_id: str) -> Detectors:
        """The detectors of a workflow."""
        policy = self._policies.of(tenant_id, workflow_id)
        detectors = self._built.get(policy)
        if detectors is None:
            detectors = self._built[policy] = Detectors(
                AuthFailures(policy.auth_failures, policy.version, self._classifier),
                StuckExecutions(policy.stuck_executions, policy.version, self._lateness),
                CircuitBreaker(policy.circuit_breaker, policy.version),
                WorkflowSilence(policy.version) if policy.silence.per_workflow else None,
            )
        return detectors

    def of_stream(self, lanes: int) -> StreamSilence | None:
        """The whole stream's dead man's switch, None where it is off; `lanes` will report to it."""
        policy = self._policies.default
        limit = policy.silence.whole_stream
        return None if limit is None else StreamSilence(limit, policy.version, lanes)
