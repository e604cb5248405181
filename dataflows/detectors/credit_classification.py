"""What is remarkable about a run's cost, and how bad it is (spec 50.2). Pure: no state, no clock.

A multiplier is `credits_total / baseline`. Flags say what speaks for a misconfiguration and what for legitimate load;
the severity follows from the multiplier, the scores and what the sender says of sensitive data.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from math import inf
from typing import NamedTuple, Protocol

import msgspec

from dataflows.credit_runs import CreditAction, Likelihood, RiskFlag, Severity
from dataflows.detectors.credit_profiles import Arithmetic, Compares, FlagRules, Profile, SensitiveData
from dataflows.events import JobType

SENSITIVE = (RiskFlag.PII_EXPOSURE, RiskFlag.REGULATORY_DATA)
LEGITIMATE = frozenset({RiskFlag.BATCH_JOB, RiskFlag.BACKFILL_MODE, RiskFlag.LINEAR_SCALING})

# An attribute of an enum's class takes 70 ns to look up in Python 3.11.
_SEV0, _SEV4, _HIGH, _LOW = Severity.SEV0, Severity.SEV4, Likelihood.HIGH, Likelihood.LOW
_BINARY = Arithmetic.BINARY

#: Enough digits for the quotient of any two doubles, so nothing is ever rounded but what is shown.
_EXACT = Context(prec=700)
_CENT = Decimal("0.01")
#: Digits of a number that is counted with as whole numbers, and its places before and after the point.
SHORT = 40
#: From here on JavaScript writes a number with an exponent, whatever the digits asked for.
_EXPONENT_FROM = 1e21


class RunFacts(Protocol):
    """What of a run decides its flags; absent is None, and is not false."""

    @property
    def occurred_at(self) -> datetime | None: ...
    @property
    def job_type(self) -> JobType | None: ...
    @property
    def retry_count(self) -> int | None: ...
    @property
    def has_max_items_config(self) -> bool | None: ...
    @property
    def has_idempotency_key(self) -> bool | None: ...
    @property
    def prompt_version(self) -> str | None: ...
    @property
    def deployment_timestamp(self) -> datetime | None: ...
    @property
    def is_batch_job(self) -> bool | None: ...
    @property
    def is_backfill(self) -> bool | None: ...
    @property
    def input_item_count(self) -> int | None: ...
    @property
    def risk_flags(self) -> Sequence[str] | None: ...


class ScenarioMemory(NamedTuple):
    """What is known of the scenario's runs before this one; None where nothing is."""

    prompt_version: str | None = None
    #: The median of its healthy runs.
    credits_per_item: Decimal | None = None


NO_MEMORY = ScenarioMemory()


class Classification(msgspec.Struct, frozen=True, kw_only=True):
    """How a run's cost is judged."""

    severity: Severity
    #: Not rounded; None without a baseline, but 0 where the profile counts in doubles, as the original did.
    variance_multiplier: float | None
    misconfig_likelihood: Likelihood
    #: Net: what speaks for a misconfiguration less what speaks for legitimate load.
    misconfig_score: int
    legit_score: int
    risk_flags: tuple[RiskFlag, ...]
    risk_summary: str
    actions: tuple[CreditAction, ...]


class Multiplier(Protocol):
    """`credits / baseline`, to be compared and shown."""

    @property
    def value(self) -> float | None:
        """For output; None if there is none."""

    def at_least(self, limit: Decimal) -> bool:
        """Whether it reaches a threshold."""

    def above(self, limit: Decimal) -> bool:
        """Whether it is more than that."""

    def two_decimals(self) -> str:
        """Rounded for people, ties away from zero."""


class ExactMultiplier:
    """The quotient of two decimals; compared without dividing."""

    __slots__ = ("_baseline", "_credits", "_over", "_under")

    def __init__(self, credits_total: Decimal, baseline: Decimal) -> None:
        """`baseline` is above zero."""
        self._credits = credits_total
        self._baseline = baseline
        #: The quotient as one of whole numbers; of numbers without end nobody wants to have them.
        self._over = self._under = 0
        if _is_short(credits_total) and _is_short(baseline):
            over, under = credits_total.as_integer_ratio()
            times, parts = baseline.as_integer_ratio()
            self._over, self._under = over * parts, under * times

    @property
    def value(self) -> float | None:
        if self._under:
            return self._over / self._under
        return float(_EXACT.divide(self._credits, self._baseline))

    def at_least(self, limit: Decimal) -> bool:
        return self._credits >= _EXACT.multiply(limit, self._baseline)

    def above(self, limit: Decimal) -> bool:
        return self._credits > _EXACT.multiply(limit, self._baseline)

    def two_decimals(self) -> str:
        # Half a cent is added and the rest cut off, all in whole numbers: a quotient may have no end.
        if self._under:
            cents = (200 * self._over + self._under) // (2 * self._under)
        else:
            doubled = _EXACT.add(_EXACT.multiply(self._credits, Decimal(200)), self._baseline)
            cents = int(_EXACT.divide_int(doubled, _EXACT.multiply(self._baseline, Decimal(2))))
        return f"{cents // 100}.{cents % 100:02d}"


def _is_short(number: Decimal) -> bool:
    return len(str(number)) <= SHORT and -SHORT <= number.adjusted() <= SHORT


@dataclass(frozen=True, slots=True)
class BinaryMultiplier:
    """The quotient of two doubles, as JavaScript computes, compares and rounds it."""

    value: float

    def at_least(self, limit: Decimal) -> bool:
        return self.value >= float(limit)

    def above(self, limit: Decimal) -> bool:
        return self.value > float(limit)

    def two_decimals(self) -> str:
        if self.value >= _EXPONENT_FROM:
            return "Infinity" if self.value == float("inf") else repr(self.value)
        return str(Decimal(self.value).quantize(_CENT, ROUND_HALF_UP, _EXACT))


@dataclass(frozen=True, slots=True)
class NoMultiplier:
    """There is nothing to compare with."""

    value: float | None = None

    def at_least(self, _limit: Decimal) -> bool:
        return False

    def above(self, _limit: Decimal) -> bool:
        return False

    def two_decimals(self) -> str:
        return "unknown"


def classify(
    run: RunFacts,
    credits_total: Decimal,
    baseline: Decimal | None,
    profile: Profile,
    *,
    memory: ScenarioMemory = NO_MEMORY,
    absolute_cap: Decimal | None = None,
) -> Classification:
    """Judge a run's cost by a profile; a `baseline` that is not above zero is none. About 6 µs without flags."""
    if baseline is not None and baseline <= 0:
        baseline = None
    multiplier = _multiplier(credits_total, baseline, profile.arithmetic)
    flags = tuple(_flags(run, credits_total, baseline, multiplier, profile, memory))
    legit_score = net = 0
    if flags:
        weights = _weights(profile.flags)
        legit_score = sum(weights[flag] for flag in flags if flag in LEGITIMATE)
        net = sum(weights.get(flag, 0) for flag in flags if flag not in LEGITIMATE) - legit_score
    likelihood = _likelihood(profile, net)
    is_capped = profile.has_absolute_cap and absolute_cap is not None and credits_total >= absolute_cap
    severity = _severity(profile, multiplier, baseline, flags, likelihood, net, is_capped=is_capped)
    return Classification(
        severity=severity,
        variance_multiplier=multiplier.value,
        misconfig_likelihood=likelihood,
        misconfig_score=net,
        legit_score=legit_score,
        risk_flags=flags,
        risk_summary=_summary(multiplier, likelihood, flags),
        actions=profile.actions[severity],
    )


def _likelihood(profile: Profile, net: int) -> Likelihood:
    for likelihood, least in profile.likelihoods.items():
        if net >= least:
            return likelihood
    return _LOW


def _multiplier(credits_total: Decimal, baseline: Decimal | None, arithmetic: Arithmetic) -> Multiplier:
    if arithmetic is _BINARY:
        # The original counted a run without a baseline as one that cost nothing.
        return BinaryMultiplier(0.0 if baseline is None else _divide(float(credits_total), float(baseline)))
    return NoMultiplier() if baseline is None else ExactMultiplier(credits_total, baseline)


def _divide(credits_total: float, baseline: float) -> float:
    """As doubles divide: a decimal may be above zero where its double is not."""
    return credits_total / baseline if baseline else 0.0


def _flags(
    run: RunFacts,
    credits_total: Decimal,
    baseline: Decimal | None,
    multiplier: Multiplier,
    profile: Profile,
    memory: ScenarioMemory,
) -> Iterable[RiskFlag]:
    """The flags of a run, in the order in which they are listed."""
    rules = profile.flags
    if run.retry_count is not None and run.retry_count > rules.retry_loop.retries_above:
        yield RiskFlag.RETRY_LOOP
    if run.has_max_items_config is False:
        yield RiskFlag.UNBOUNDED_ITERATOR
    if run.has_idempotency_key is False:
        yield RiskFlag.MISSING_IDEMPOTENCY
    growth = rules.sudden_prompt_growth
    if (
        run.prompt_version
        and multiplier.above(growth.multiplier_above)
        and not (growth.needs_new_version and memory.prompt_version in (None, run.prompt_version))
    ):
        yield RiskFlag.SUDDEN_PROMPT_GROWTH
    if run.deployment_timestamp is not None and _is_soon_after(run, multiplier, rules):
        yield RiskFlag.DEPLOYMENT_CORRELATION
    if run.is_batch_job:
        yield RiskFlag.BATCH_JOB
    if run.is_backfill or run.job_type in rules.backfill_mode.job_types:
        yield RiskFlag.BACKFILL_MODE
    if run.input_item_count and _is_in_proportion(credits_total, baseline, run.input_item_count, rules, memory):
        yield RiskFlag.LINEAR_SCALING
    if run.risk_flags:
        yield from (flag for flag in SENSITIVE if flag in run.risk_flags)
    if baseline is None and rules.no_baseline:
        yield RiskFlag.NO_BASELINE


def _is_soon_after(run: RunFacts, multiplier: Multiplier, rules: FlagRules) -> bool:
    rule = rules.deployment_correlation
    if rule.multiplier is not None and not multiplier.at_least(rule.multiplier):
        return False
    if rule.within is None:
        return True
    if run.occurred_at is None or run.deployment_timestamp is None:
        return False
    return timedelta(0) <= run.occurred_at - run.deployment_timestamp <= rule.within


def _is_in_proportion(
    credits_total: Decimal, baseline: Decimal | None, items: int, rules: FlagRules, memory: ScenarioMemory
) -> bool:
    rule = rules.linear_scaling
    if rule.compares is Compares.CREDITS_PER_ITEM:
        if memory.credits_per_item is None:
            return False
        expected = _EXACT.multiply(memory.credits_per_item, Decimal(items))
        return abs(_EXACT.subtract(credits_total, expected)) <= _EXACT.multiply(rule.tolerance, expected)
    # As the original writes it, in doubles and in this order.
    before = 0.0 if baseline is None else float(baseline)
    count = _as_double(items)
    return abs(float(credits_total) / count - before / count) < float(rule.tolerance) * before / count


def _as_double(count: int) -> float:
    try:
        return float(count)
    except OverflowError:
        return inf


def _weights(rules: FlagRules) -> dict[RiskFlag, int]:
    return {
        RiskFlag.RETRY_LOOP: rules.retry_loop.weight,
        RiskFlag.UNBOUNDED_ITERATOR: rules.unbounded_iterator.weight,
        RiskFlag.MISSING_IDEMPOTENCY: rules.missing_idempotency.weight,
        RiskFlag.SUDDEN_PROMPT_GROWTH: rules.sudden_prompt_growth.weight,
        RiskFlag.DEPLOYMENT_CORRELATION: rules.deployment_correlation.weight,
        RiskFlag.BATCH_JOB: rules.batch_job.weight,
        RiskFlag.BACKFILL_MODE: rules.backfill_mode.weight,
        RiskFlag.LINEAR_SCALING: rules.linear_scaling.weight,
    }


#: One step less bad.
_LOWERED = {Severity.SEV0: Severity.SEV1, Severity.SEV1: Severity.SEV2, Severity.SEV2: Severity.SEV3}


def _severity(
    profile: Profile,
    multiplier: Multiplier,
    baseline: Decimal | None,
    flags: tuple[RiskFlag, ...],
    likelihood: Likelihood,
    net: int,
    *,
    is_capped: bool,
) -> Severity:
    """By the multiplier, then lowered for legitimate load, then the cap, then what is sensitive."""
    is_sensitive = bool(flags) and any(flag in flags for flag in SENSITIVE)
    severity = _by_multiplier(profile, multiplier, baseline, likelihood, is_sensitive=is_sensitive)
    if profile.legitimate_load is not None and net <= profile.legitimate_load:
        severity = _LOWERED.get(severity, severity)
    if is_capped:
        severity = min(severity, Severity.SEV1)
    if is_sensitive and profile.sensitive_data is SensitiveData.ALONE:
        return Severity.SEV0
    return severity


def _by_multiplier(
    profile: Profile,
    multiplier: Multiplier,
    baseline: Decimal | None,
    likelihood: Likelihood,
    *,
    is_sensitive: bool,
) -> Severity:
    if baseline is None:
        return profile.without_baseline
    multipliers = profile.multipliers
    severity = _SEV4
    # What does not reach the last one, which is the least, reaches none: so it is with almost all runs.
    if multiplier.at_least(next(reversed(multipliers.values()))):
        severity = next(name for name, least in multipliers.items() if multiplier.at_least(least))
    if severity is _SEV0 and profile.sensitive_data is SensitiveData.WITH_MULTIPLIER and not is_sensitive:
        severity = Severity.SEV1
    raised = profile.likely_misconfiguration
    if raised is not None and likelihood is _HIGH and multiplier.at_least(raised.multiplier):
        severity = min(severity, raised.severity)
    return severity


def _summary(multiplier: Multiplier, likelihood: Likelihood, flags: tuple[RiskFlag, ...]) -> str:
    unit = "" if isinstance(multiplier, NoMultiplier) else "×"
    summary = f"Variance: {multiplier.two_decimals()}{unit} | Misconfig likelihood: {likelihood}"
    if flags:
        for name, signals in (
            ("Misconfig signals", [flag for flag in flags if flag not in LEGITIMATE]),
            ("Legit signals", [flag for flag in flags if flag in LEGITIMATE]),
        ):
            if signals:
                summary += f" | {name}: {', '.join(signals)}"
    return summary
