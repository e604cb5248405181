"""The policy file: one default, overrides by tenant and by workflow, every fault named (spec 20.2, 70).

The file is data that operators edit, so it is checked whole before any of it is used: a policy whose values
make no sense never fires.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from config.credit_profiles import Number, ProfileName
from config.settings import Duration
from dataflows.detectors.policies import (
    AuthFailuresPolicy,
    Policies,
    PolicySet,
    StuckExecutionsPolicy,
)

#: What holds where nobody says otherwise.
DEFAULT_FILE = Path(__file__).with_name("policies.yaml")


class MisconfiguredPolicyError(Exception):
    """A policy file can't be used. Raised on reading; the last good policies stay in force.

    `faults` has a sentence for every one of them, each with the place in the file.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value


def _at_most_a_day(value: timedelta) -> timedelta:
    if value > timedelta(days=1):
        raise ValueError("must be at most 24h")
    return value


def _at_most_a_week(value: timedelta) -> timedelta:
    if value > timedelta(days=7):
        raise ValueError("must be at most 7d")
    return value


PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
CountFromOne = Annotated[int, Field(ge=1, strict=True)]
Ratio = Annotated[float, Field(gt=0, le=1, strict=True)]


class _Section(BaseModel):
    """Part of the file. A value that is left out comes from the layer above, so all have a default here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _AuthFailures(_Section):
    consecutive_failures: CountFromOne | None = None
    failure_ratio: Ratio | None = None
    window: PositiveDuration = timedelta(0)
    min_runs: CountFromOne = 1
    rearm_after_successes: CountFromOne = 1
    cooldown: Duration = timedelta(0)


class _StuckExecutions(_Section):
    run_timeout: PositiveDuration = timedelta(0)
    queue_timeout: PositiveDuration | None = None


class _CircuitBreaker(_Section):
    threshold: CountFromOne = 1
    window: Annotated[PositiveDuration, AfterValidator(_at_most_a_week)] = timedelta(0)
    min_stuck_ratio: Ratio | None = None
    half_open_after: Annotated[PositiveDuration, AfterValidator(_at_most_a_day)] | None = None
    probe_lease: Annotated[PositiveDuration, AfterValidator(_at_most_a_week)] | None = None


class _Credits(_Section):
    profile: ProfileName = ProfileName.DEFAULT
    absolute_cap: Number | None = None


class _SpendRate(_Section):
    enabled: bool = True


class _Silence(_Section):
    whole_stream: PositiveDuration | None = None
    per_workflow: bool = False


class _Layer(_Section):
    auth_failures: _AuthFailures = _AuthFailures()
    stuck_executions: _StuckExecutions = _StuckExecutions()
    circuit_breaker: _CircuitBreaker = _CircuitBreaker()
    credits: _Credits = _Credits()
    spend_rate: _SpendRate = _SpendRate()
    silence: _Silence = _Silence()


class _File(_Section):
    version: CountFromOne = 1
    defaults: _Layer = _Layer()
    tenants: dict[str, _Layer] = {}
    workflows: dict[Annotated[str, Field(pattern=r"^[^/]+/.+$")], _Layer] = {}


def load_policies(path: Path, *, allowed_lateness: timedelta) -> Policies:
    """The policies of a YAML file.

    Raises `MisconfiguredPolicyError` with every fault, and `OSError` when the file can't be read.
    """
    try:
        document = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark is not None else ""
        raise MisconfiguredPolicyError([f"{place}no YAML: {getattr(error, 'problem', None) or 'unreadable'}"]) from None
    except UnicodeDecodeError:
        raise MisconfiguredPolicyError(["not UTF-8"]) from None
    return parse_policies(document, allowed_lateness=allowed_lateness)


def parse_policies(document: object, *, allowed_lateness: timedelta) -> Policies:
    """The policies of a parsed document; `MisconfiguredPolicyError` names every fault."""
    if document is not None and not isinstance(document, dict):
        raise MisconfiguredPolicyError(["the file: must be a mapping with version, defaults, tenants and workflows"])
    try:
        file = _File.model_validate(_without_nothing(document or {}))
    except ValidationError as error:
        raise MisconfiguredPolicyError([_sentence(fault) for fault in error.errors()]) from None
    default = _overlay(PolicySet(version=file.version), file.defaults)
    tenants = {tenant: _override(default, layer) for tenant, layer in file.tenants.items()}
    workflows = {}
    for name, layer in file.workflows.items():
        tenant, workflow = name.split("/", 1)
        workflows[tenant, workflow] = _override(tenants.get(tenant, default), layer)
    policies = Policies(default=default, tenants=tenants, workflows=workflows)
    faults = list(_misplaced(file)) + [
        f"{place}: {fault}" for place, policy in _layers(policies) for fault in _nonsense(policy, allowed_lateness)
    ]
    if faults:
        raise MisconfiguredPolicyError(faults)
    return policies


def policy_file_schema() -> dict[str, Any]:
    """The JSON Schema of the policy file; durations are strings there."""
    return _File.model_json_schema()


def _without_nothing(document: Any) -> Any:
    """Sections that are written but left empty (`defaults:`) are as if left out; values keep their null."""
    if not isinstance(document, dict):
        return document
    sections = {"defaults", "tenants", "workflows"}
    return {key: value for key, value in document.items() if not (key in sections and value is None)}


S = TypeVar("S", bound=msgspec.Struct)


def _overlay(base: PolicySet, layer: _Layer) -> PolicySet:
    return msgspec.structs.replace(
        base,
        auth_failures=_replace(base.auth_failures, layer.auth_failures),
        stuck_executions=_replace(base.stuck_executions, layer.stuck_executions),
        circuit_breaker=_replace(base.circuit_breaker, layer.circuit_breaker),
        silence=_replace(base.silence, layer.silence),
        credits=_replace(base.credits, layer.credits),
        spend_rate=_replace(base.spend_rate, layer.spend_rate),
    )


def _override(base: PolicySet, layer: _Layer) -> PolicySet:
    """The same for some of the tenants only: what it names does not change with the default layer any more."""
    policy = _overlay(base, layer)
    breaker = policy.circuit_breaker
    inherits = breaker.inherits - layer.circuit_breaker.model_fields_set
    return msgspec.structs.replace(policy, circuit_breaker=msgspec.structs.replace(breaker, inherits=inherits))


def _replace(base: S, section: _Section) -> S:
    """`base` with the values that the file really names, null ones included."""
    return msgspec.structs.replace(base, **{name: getattr(section, name) for name in section.model_fields_set})


def _layers(policies: Policies) -> Iterator[tuple[str, PolicySet]]:
    yield "defaults", policies.default
    for tenant, policy in policies.tenants.items():
        yield f"tenants.{tenant}", policy
    for (tenant, workflow), policy in policies.workflows.items():
        yield f"workflows.{tenant}/{workflow}", policy


def _nonsense(policy: PolicySet, allowed_lateness: timedelta) -> Iterator[str]:
    """What only shows once the layers are laid over one another."""
    auth: AuthFailuresPolicy = policy.auth_failures
    stuck: StuckExecutionsPolicy = policy.stuck_executions
    if auth.consecutive_failures is None and auth.failure_ratio is None:
        yield "auth_failures: consecutive_failures and failure_ratio are both off, so it could never fire"
    for name, timeout in (("run_timeout", stuck.run_timeout), ("queue_timeout", stuck.queue_timeout)):
        if timeout is not None and timeout <= allowed_lateness:
            yield f"stuck_executions.{name}: must be longer than the allowed lateness of {allowed_lateness}"
    lease = policy.circuit_breaker.probe_lease
    if lease is not None and lease <= stuck.run_timeout:
        yield f"circuit_breaker.probe_lease: must be longer than the run_timeout of {stuck.run_timeout}"
    if policy.silence.whole_stream is not None and policy.silence.whole_stream <= allowed_lateness:
        yield f"silence.whole_stream: must be longer than the allowed lateness of {allowed_lateness}"


def _misplaced(file: _File) -> Iterator[str]:
    """What can't hold for some of the tenants only."""
    layers = {f"tenants.{name}": layer for name, layer in file.tenants.items()}
    layers |= {f"workflows.{name}": layer for name, layer in file.workflows.items()}
    for place, layer in layers.items():
        if "whole_stream" in layer.silence.model_fields_set:
            yield f"{place}: silence.whole_stream: is about the whole stream, so it can only stand in defaults"
        if place.startswith("workflows.") and layer.spend_rate.model_fields_set:
            yield f"{place}: spend_rate: is about a whole tenant, so it can only stand in defaults and tenants"


def _sentence(fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part != "[key]") or "the file"
    message = "no such setting" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}"
