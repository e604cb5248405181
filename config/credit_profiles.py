"""The shipped profiles of the credit detector: read, validated (spec 50.2)."""

from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

import msgspec
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from config.settings import Duration
from dataflows.credit_runs import INCIDENTS, CreditAction, Likelihood, Severity
from dataflows.detectors.credit_profiles import Arithmetic, Compares, Profile, SensitiveData
from dataflows.events import JobType


class ProfileName(StrEnum):
    """The shipped profiles."""

    DEFAULT = "default"  #: the product's own rules
    SINTRAPRIME = "sintraprime"  #: those of the program that it takes the place of


def _written(value: object) -> object:
    """A YAML number as the decimal that stands there."""
    return Decimal(repr(value)) if isinstance(value, float) else value


def _above_nothing(value: Decimal) -> Decimal:
    if not value.is_finite() or value <= 0:
        raise ValueError("must be a number above 0")
    return value


Number = Annotated[Decimal, BeforeValidator(_written), AfterValidator(_above_nothing)]
Points = Annotated[int, Field(ge=0, le=100, strict=True)]


class _Part(BaseModel):
    """Part of the file. Nothing has a default here: a profile says all that it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Weight(_Part):
    weight: Points


class _RetryLoop(_Weight):
    retries_above: Annotated[int, Field(ge=0, strict=True)]


class _PromptGrowth(_Weight):
    multiplier_above: Number
    needs_new_version: bool


class _DeploymentCorrelation(_Weight):
    within: Duration | None
    multiplier: Number | None


class _BackfillMode(_Weight):
    job_types: frozenset[JobType]


class _LinearScaling(_Weight):
    tolerance: Number
    compares: Compares


class _Flags(_Part):
    retry_loop: _RetryLoop
    unbounded_iterator: _Weight
    missing_idempotency: _Weight
    sudden_prompt_growth: _PromptGrowth
    deployment_correlation: _DeploymentCorrelation
    batch_job: _Weight
    backfill_mode: _BackfillMode
    linear_scaling: _LinearScaling
    no_baseline: bool


class _LikelyMisconfiguration(_Part):
    severity: Severity
    multiplier: Number


class ProfileFile(_Part):
    """A whole file."""

    name: str
    arithmetic: Arithmetic
    multipliers: dict[Severity, Number]
    likely_misconfiguration: _LikelyMisconfiguration | None
    without_baseline: Severity
    sensitive_data: SensitiveData
    legitimate_load: Annotated[int, Field(lt=0, strict=True)] | None
    has_absolute_cap: bool
    takes_short_baseline: bool
    likelihoods: dict[Likelihood, Annotated[int, Field(strict=True)]]
    flags: _Flags
    actions: dict[Severity, tuple[CreditAction, ...]]

    @model_validator(mode="after")
    def _is_whole(self) -> "ProfileFile":
        worst_first = [severity for severity in Severity if severity is not Severity.SEV4]
        if list(self.multipliers) != worst_first:
            raise ValueError("multipliers: must be those of SEV0 to SEV3, in this order")
        if list(self.multipliers.values()) != sorted(self.multipliers.values(), reverse=True):
            raise ValueError("multipliers: a worse severity must not take less")
        if self.without_baseline in INCIDENTS:
            raise ValueError("without_baseline: must be no incident, or the first runs of every scenario would be one")
        if list(self.likelihoods) != [Likelihood.HIGH, Likelihood.MEDIUM]:
            raise ValueError("likelihoods: must be High and Medium, in this order")
        if self.likelihoods[Likelihood.HIGH] < self.likelihoods[Likelihood.MEDIUM]:
            raise ValueError("likelihoods: High must not take less than Medium")
        if set(self.actions) != set(Severity):
            raise ValueError("actions: must be those of every severity")
        return self


def parse_profile(document: object) -> Profile:
    """The profile of a parsed document; `pydantic.ValidationError` names every fault."""
    fields: dict[str, Any] = ProfileFile.model_validate(document).model_dump()
    return msgspec.convert(fields, Profile)


@cache
def load_profile(name: str) -> Profile:
    """A shipped profile, read once in a process."""
    text = files("config").joinpath("credits", f"{ProfileName(name)}.yaml").read_text("utf-8")
    return parse_profile(yaml.safe_load(text))
