"""The rules by which a run's cost is judged, as values: one profile, already validated (spec 50.2).

`config.credit_profiles` reads and checks the files.
"""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from dataflows.credit_runs import CreditAction, Likelihood, Severity
from dataflows.events import JobType


class Arithmetic(StrEnum):
    """What numbers are compared as."""

    EXACT = "exact"  #: the decimals that were written
    BINARY = "binary"  #: IEEE doubles, rounded after each operation


class SensitiveData(StrEnum):
    """What `pii_exposure` and `regulatory_data` do."""

    ALONE = "alone"  #: they are SEV0 by themselves
    WITH_MULTIPLIER = "with_multiplier"  #: without one of them nothing is SEV0


class Compares(StrEnum):
    """What has to be near for a cost to be in proportion."""

    CREDITS_PER_ITEM = "credits_per_item"  #: those of the run and the scenario's median
    CREDITS = "credits"  #: those of the run and the baseline; the number of items cancels out


class RetryLoop(msgspec.Struct, frozen=True, kw_only=True):
    """`retry_loop`: more retries than this."""

    weight: int
    retries_above: int


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """A flag that the sender's metadata decide."""

    weight: int


class PromptGrowth(msgspec.Struct, frozen=True, kw_only=True):
    """`sudden_prompt_growth`: a prompt version, and a multiplier above this."""

    weight: int
    multiplier_above: Decimal
    #: The version must differ from that of the scenario's previous run.
    needs_new_version: bool


class DeploymentCorrelation(msgspec.Struct, frozen=True, kw_only=True):
    """`deployment_correlation`: a deployment; None asks neither when it was nor what it cost."""

    weight: int
    within: timedelta | None
    multiplier: Decimal | None


class BackfillMode(msgspec.Struct, frozen=True, kw_only=True):
    """`backfill_mode`: the sender says so, or the job's type does."""

    weight: int
    job_types: frozenset[JobType]


class LinearScaling(msgspec.Struct, frozen=True, kw_only=True):
    """`linear_scaling`: not further away than this share."""

    weight: int
    tolerance: Decimal
    compares: Compares


class FlagRules(msgspec.Struct, frozen=True, kw_only=True):
    """When each flag is raised, and what it weighs."""

    retry_loop: RetryLoop
    unbounded_iterator: Weight
    missing_idempotency: Weight
    sudden_prompt_growth: PromptGrowth
    deployment_correlation: DeploymentCorrelation
    batch_job: Weight
    backfill_mode: BackfillMode
    linear_scaling: LinearScaling
    #: Whether a run that can't be compared is flagged.
    no_baseline: bool


class LikelyMisconfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """The severity that a smaller multiplier reaches when a misconfiguration is likely."""

    severity: Severity
    multiplier: Decimal


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """All rules of one profile."""

    name: str
    arithmetic: Arithmetic
    #: What each severity takes, worst first; none takes more than a worse one.
    multipliers: dict[Severity, Decimal]
    likely_misconfiguration: LikelyMisconfiguration | None
    without_baseline: Severity
    sensitive_data: SensitiveData
    #: The net score at or below which a severity is lowered; None never does.
    legitimate_load: int | None
    has_absolute_cap: bool
    #: Whether a record's `baseline` is read for its `baseline_expected_credits`.
    takes_short_baseline: bool
    #: The net score that each likelihood takes, highest first; below them it is Low.
    likelihoods: dict[Likelihood, int]
    flags: FlagRules
    actions: dict[Severity, tuple[CreditAction, ...]]
