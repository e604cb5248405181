"""Which detectors judge a workflow: those of its policy set."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import NamedTuple

from dataflows.detectors.auth_errors import AuthErrorClassifier
from dataflows.detectors.auth_failures import AuthFailures
from dataflows.detectors.circuit_breaker import CircuitBreaker
from dataflows.detectors.credit_anomalies import CreditAnomalies, CreditRules, credit_rules
from dataflows.detectors.credit_profiles import Profile
from dataflows.detectors.policies import Policies
from dataflows.detectors.silence import StreamSilence, WorkflowSilence, resolution
from dataflows.detectors.spend_rate import SpendAnomalies
from dataflows.detectors.stuck_executions import StuckExecutions
from dataflows.engine.credit_records import part_of
from dataflows.engine.credit_stage import CreditStage
from dataflows.events import BaselineChange, BaselinesUpdated


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
        #: By the identity of the policy set, which lives as long as the policies: to hash one takes too long.
        self._built: dict[int, Detectors] = {}
        limit = policies.default.silence.whole_stream
        #: How far apart runs may be, in microseconds, and still be one stretch for the whole stream's switch.
        self.resolution = resolution(timedelta.max if limit is None else limit)

    def of(self, tenant_id: str, workflow_id: str) -> Detectors:
        """The detectors of a workflow."""
        policies = self._policies
        policy = policies.of(tenant_id, workflow_id) if policies.tenants or policies.workflows else policies.default
        detectors = self._built.get(id(policy))
        if detectors is None:
            detectors = self._built[id(policy)] = Detectors(
                AuthFailures(policy.auth_failures, policy.version, self._classifier),
                StuckExecutions(policy.stuck_executions, policy.version, self._lateness),
                CircuitBreaker(policy.circuit_breaker, policy.version, policy.stuck_executions.run_timeout),
                WorkflowSilence(policy.version) if policy.silence.per_workflow else None,
            )
        return detectors

    def of_stream(self, lanes: int) -> StreamSilence | None:
        """The whole stream's dead man's switch, None where it is off; `lanes` will report to it."""
        policy = self._policies.default
        limit = policy.silence.whole_stream
        return None if limit is None else StreamSilence(limit, policy.version, lanes)


class CreditFactory:
    """What the second stage needs to judge the runs of all workflows."""

    def __init__(
        self,
        policies: Policies,
        profile_of: Callable[[str], Profile],
        *,
        keeps_records: bool,
        baselines: Iterable[tuple[str, BaselineChange]] = (),
        earlier: Iterable[BaselinesUpdated] = (),
    ) -> None:
        """`profile_of` gives a profile by its name; `baselines` are the tenants' approved ones at the beginning.

        `earlier` tells of others, each from its event time on.

        Without `keeps_records` nothing is said of runs that are no incident, and they cost less.
        """
        self._policies = policies
        self._profile_of = profile_of
        self._keeps_records = keeps_records
        self._baselines = list(baselines)
        self._earlier = list(earlier)
        #: As with detectors, by the identity of the policy set.
        self._built: dict[int, CreditRules] = {}
        self._watches: dict[str, SpendAnomalies | None] = {}

    def rules_of(self, tenant_id: str, workflow_id: str) -> CreditRules:
        """By what a workflow's runs are judged."""
        policies = self._policies
        policy = policies.of(tenant_id, workflow_id) if policies.tenants or policies.workflows else policies.default
        rules = self._built.get(id(policy))
        if rules is None:
            chosen = policy.credits
            rules = credit_rules(self._profile_of(chosen.profile), chosen.absolute_cap, policy.version)
            self._built[id(policy)] = rules
        return rules

    def spend_of(self, tenant_id: str) -> SpendAnomalies | None:
        """What watches a tenant's spending, None where the policy says that nothing does."""
        if tenant_id not in self._watches:
            policy = self._policies.tenants.get(tenant_id, self._policies.default)
            self._watches[tenant_id] = SpendAnomalies(policy.version) if policy.spend_rate.enabled else None
        return self._watches[tenant_id]

    def stage(self, lanes: int, part: int = 0, parts: int = 1) -> CreditStage:
        """A new second stage for the tenants of one of its parts; `lanes` will report to it."""
        detector = CreditAnomalies(keeps_records=self._keeps_records)
        own = [(tenant, change) for tenant, change in self._baselines if part_of(tenant, parts) == part]
        earlier = [event for event in self._earlier if part_of(event.tenant_id, parts) == part]
        return CreditStage(detector, self.rules_of, lanes, own, self.spend_of, earlier)
