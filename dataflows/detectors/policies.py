"""What the detectors' thresholds are: one policy a detector, one set of them a workflow (spec 20, 70).

Plain values, already validated (`config.policies` reads and checks the file). A set is immutable and shared by
all workflows that it holds for, so detectors built from it are shared too.
"""

from datetime import timedelta
from decimal import Decimal

import msgspec


class AuthFailuresPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of 20.2. A rule that is None is off."""

    consecutive_failures: int | None = 3
    #: More than this share of a workflow's runs in `window`; exactly this share does not fire.
    failure_ratio: float | None = 0.5
    window: timedelta = timedelta(minutes=60)
    #: No ratio exists below this number of runs.
    min_runs: int = 10
    rearm_after_successes: int = 1
    cooldown: timedelta = timedelta(minutes=15)


class StuckExecutionsPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of 20.3."""

    run_timeout: timedelta = timedelta(minutes=30)
    #: None: `queued` events mean nothing.
    queue_timeout: timedelta | None = None


class CircuitBreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of 20.4."""

    threshold: int = 5
    window: timedelta = timedelta(minutes=60)
    #: At least this share of the executions that ended or got stuck in `window` must have got stuck (40.2); None: any.
    min_stuck_ratio: float | None = None
    #: How long after a blacklisting one execution is let through to see whether the workflow works again (40.2); None:
    #: a person releases it.
    half_open_after: timedelta | None = None
    #: How long that execution may take before it counts as failed; None: twice the run's time-out.
    probe_lease: timedelta | None = None
    #: Which of threshold and window come from the default layer, and so change with it while the monitor runs (40.2).
    inherits: frozenset[str] = frozenset({"threshold", "window"})


class BreakerChange(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """The default layer's thresholds of 20.4 from an event time on; the newest one holds alone.

    Begins with its order. Microseconds, as the detectors count; None is what the policies say.
    """

    time: int
    version: int
    threshold: int | None = None
    window: int | None = None


class CreditsPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How the cost of a run is judged (20.5, 50.2)."""

    #: The name of a profile.
    profile: str = "default"
    #: A run of so many credits is SEV1 at least, whatever the baseline; None is off.
    absolute_cap: Decimal | None = None


class SpendRatePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whether what is spent in an hour and from week to week is watched (50.9); of a tenant, not of a workflow."""

    enabled: bool = True


class SilencePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of 20.6."""

    #: Of the default set alone, since it is about everybody; None is off.
    whole_stream: timedelta | None = timedelta(hours=24)
    per_workflow: bool = False


class PolicySet(msgspec.Struct, frozen=True, kw_only=True):
    """All that holds for one workflow."""

    version: int = 1
    auth_failures: AuthFailuresPolicy = AuthFailuresPolicy()
    stuck_executions: StuckExecutionsPolicy = StuckExecutionsPolicy()
    circuit_breaker: CircuitBreakerPolicy = CircuitBreakerPolicy()
    silence: SilencePolicy = SilencePolicy()
    credits: CreditsPolicy = CreditsPolicy()
    spend_rate: SpendRatePolicy = SpendRatePolicy()


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """The policy sets of everybody: the most special one that exists wins.

    Sets are complete: what an override leaves out has been filled in from the layer above it.
    """

    default: PolicySet = PolicySet()
    tenants: dict[str, PolicySet] = {}
    #: By (tenant id, workflow id).
    workflows: dict[tuple[str, str], PolicySet] = {}

    def of(self, tenant_id: str, workflow_id: str) -> PolicySet:
        """The set that holds for a workflow."""
        return self.workflows.get((tenant_id, workflow_id)) or self.tenants.get(tenant_id) or self.default
