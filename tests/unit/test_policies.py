"""The policy file: layers, and every fault named (20.2, 70)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from config.durations import format_duration, parse_duration
from config.policies import MisconfiguredPolicyError, load_policies, parse_policies
from dataflows.detectors.policies import (
    AuthFailuresPolicy,
    CircuitBreakerPolicy,
    Policies,
    PolicySet,
    StuckExecutionsPolicy,
)
from tests.given import shared_data

MINUTE = timedelta(minutes=1)


def parse(document: Any, lateness: timedelta = MINUTE) -> Policies:
    return parse_policies(document, allowed_lateness=lateness)


def faults(document: Any, lateness: timedelta = MINUTE) -> list[str]:
    with pytest.raises(MisconfiguredPolicyError) as fault:
        parse(document, lateness)
    return fault.value.faults


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(None, id="an empty file"),
        pytest.param({}, id="an empty mapping"),
        pytest.param({"version": 1, "defaults": None, "tenants": None, "workflows": None}, id="empty sections"),
        pytest.param({"defaults": {"auth_failures": {}}}, id="a detector without values"),
    ],
)
def test_every_value_is_optional(document: Any) -> None:
    assert parse(document) == Policies()


def test_the_defaults_are_those_of_the_spec() -> None:
    assert PolicySet() == PolicySet(
        version=1,
        auth_failures=AuthFailuresPolicy(
            consecutive_failures=3,
            failure_ratio=0.5,
            window=60 * MINUTE,
            min_runs=10,
            rearm_after_successes=1,
            cooldown=15 * MINUTE,
        ),
        stuck_executions=StuckExecutionsPolicy(run_timeout=30 * MINUTE, queue_timeout=None),
        circuit_breaker=CircuitBreakerPolicy(threshold=5, window=60 * MINUTE),
    )


def test_the_most_special_layer_wins_value_by_value() -> None:
    policies = parse(
        {
            "version": 7,
            "defaults": {"auth_failures": {"failure_ratio": 0.4, "min_runs": 5, "cooldown": "1m"}},
            "tenants": {"t1": {"auth_failures": {"min_runs": 6, "cooldown": "2m"}}},
            "workflows": {
                "t1/wf1": {"auth_failures": {"cooldown": "3m"}},
                "t2/wf1": {"circuit_breaker": {"threshold": 2}},
            },
        }
    )

    def values(tenant: str, workflow: str) -> tuple[Any, ...]:
        policy = policies.of(tenant, workflow)
        auth = policy.auth_failures
        return (policy.version, auth.failure_ratio, auth.min_runs, auth.cooldown, policy.circuit_breaker.threshold)

    assert values("t1", "wf1") == (7, 0.4, 6, 3 * MINUTE, 5)
    assert values("t1", "wf2") == (7, 0.4, 6, 2 * MINUTE, 5)
    assert values("t2", "wf1") == (7, 0.4, 5, MINUTE, 2)
    assert values("t2", "wf2") == (7, 0.4, 5, MINUTE, 5)


def test_null_switches_a_rule_off_and_back_on_a_layer_below() -> None:
    policies = parse(
        {
            "defaults": {"auth_failures": {"failure_ratio": None}, "stuck_executions": {"queue_timeout": "5m"}},
            "tenants": {"t1": {"auth_failures": {"failure_ratio": 0.9}, "stuck_executions": {"queue_timeout": None}}},
        }
    )
    assert policies.default.auth_failures.failure_ratio is None
    assert policies.default.auth_failures.consecutive_failures == 3
    assert policies.default.stuck_executions.queue_timeout == 5 * MINUTE
    assert policies.of("t1", "wf1").auth_failures.failure_ratio == 0.9
    assert policies.of("t1", "wf1").stuck_executions.queue_timeout is None


def test_a_workflow_id_may_hold_slashes() -> None:
    policies = parse({"workflows": {"t1/etl/nightly": {"circuit_breaker": {"threshold": 2}}}})
    assert policies.of("t1", "etl/nightly").circuit_breaker.threshold == 2


# Section, value, the last one that is good, the first one that is not, and what is said of it.
LIMITS: list[tuple[str, str, Any, Any, str]] = [
    ("auth_failures", "consecutive_failures", 1, 0, "input should be greater than or equal to 1"),
    ("auth_failures", "consecutive_failures", 3, 3.0, "input should be a valid integer"),
    ("auth_failures", "consecutive_failures", 3, "3", "input should be a valid integer"),
    ("auth_failures", "consecutive_failures", 3, True, "input should be a valid integer"),
    ("auth_failures", "failure_ratio", 0.001, 0, "input should be greater than 0"),
    ("auth_failures", "failure_ratio", 1, 1.001, "input should be less than or equal to 1"),
    ("auth_failures", "failure_ratio", 0.5, -0.5, "input should be greater than 0"),
    ("auth_failures", "failure_ratio", 0.5, "0.5", "input should be a valid number"),
    ("auth_failures", "failure_ratio", 0.5, float("nan"), "input should be less than or equal to 1"),
    ("auth_failures", "window", "1ms", "0m", "must be longer than nothing"),
    ("auth_failures", "window", "60m", 60, "must be a duration with a unit, such as 90s, 15m or 24h"),
    ("auth_failures", "window", "60m", "-60m", "must be a duration with a unit, such as 90s, 15m or 24h"),
    ("auth_failures", "window", "60m", None, "must be a duration with a unit, such as 90s, 15m or 24h"),
    ("auth_failures", "min_runs", 1, 0, "input should be greater than or equal to 1"),
    ("auth_failures", "min_runs", 1, None, "input should be a valid integer"),
    ("auth_failures", "rearm_after_successes", 1, 0, "input should be greater than or equal to 1"),
    ("auth_failures", "cooldown", "0s", "-1s", "must be a duration with a unit, such as 90s, 15m or 24h"),
    ("stuck_executions", "run_timeout", "61s", "0s", "must be longer than nothing"),
    ("stuck_executions", "queue_timeout", "61s", "soon", "must be a duration with a unit, such as 90s, 15m or 24h"),
    ("circuit_breaker", "threshold", 1, 0, "input should be greater than or equal to 1"),
    ("circuit_breaker", "window", "7d", "169h", "must be at most 7d"),
    ("circuit_breaker", "window", "1s", "0s", "must be longer than nothing"),
    ("circuit_breaker", "min_stuck_ratio", 0.001, 0, "input should be greater than 0"),
    ("circuit_breaker", "min_stuck_ratio", 1, 1.001, "input should be less than or equal to 1"),
    ("circuit_breaker", "min_stuck_ratio", None, "10 %", "input should be a valid number"),
]


@pytest.mark.parametrize(("section", "name", "good", "bad", "said"), LIMITS)
@pytest.mark.parametrize(
    ("place", "layer"),
    [
        ("defaults", lambda section: {"defaults": section}),
        ("tenants.t1", lambda section: {"tenants": {"t1": section}}),
        ("workflows.t1/wf1", lambda section: {"workflows": {"t1/wf1": section}}),
    ],
    ids=["defaults", "tenant", "workflow"],
)
def test_limits_of_a_value(place: str, layer: Any, section: str, name: str, good: Any, bad: Any, said: str) -> None:
    assert isinstance(parse(layer({section: {name: good}})), Policies)
    assert faults(layer({section: {name: bad}})) == [f"{place}.{section}.{name}: {said}"]


@pytest.mark.parametrize(
    ("document", "then"),
    [
        pytest.param([], ["the file: must be a mapping with version, defaults, tenants and workflows"], id="a list"),
        pytest.param("x", ["the file: must be a mapping with version, defaults, tenants and workflows"], id="a text"),
        pytest.param({"version": 0}, ["version: input should be greater than or equal to 1"], id="version nought"),
        pytest.param({"default": {}}, ["default: no such setting"], id="a section that there is not"),
        pytest.param({"defaults": {"auth": {}}}, ["defaults.auth: no such setting"], id="a detector that there is not"),
        pytest.param(
            {"defaults": {"auth_failures": {"consecutive": 1}}},
            ["defaults.auth_failures.consecutive: no such setting"],
            id="a value that there is not",
        ),
        pytest.param(
            {"workflows": {"wf1": {}}},
            ["workflows.wf1: string should match pattern '^[^/]+/.+$'"],
            id="a workflow without its tenant",
        ),
        pytest.param(
            {"defaults": {"credits": {"profile": "none"}}},
            ["defaults.credits.profile: input should be 'default' or 'sintraprime'"],
            id="a profile that there is not",
        ),
    ],
)
def test_what_is_no_policy_file(document: Any, then: list[str]) -> None:
    assert faults(document) == then


def test_every_fault_is_named() -> None:
    document = {
        "defaults": {"auth_failures": {"consecutive_failures": 0, "window": "0s"}},
        "tenants": {"t1": {"circuit_breaker": {"threshold": -1}}},
        "more": 1,
    }
    assert faults(document) == [
        "defaults.auth_failures.consecutive_failures: input should be greater than or equal to 1",
        "defaults.auth_failures.window: must be longer than nothing",
        "tenants.t1.circuit_breaker.threshold: input should be greater than or equal to 1",
        "more: no such setting",
    ]


OFF: dict[str, Any] = {"consecutive_failures": None, "failure_ratio": None}
NEVER_FIRES = "auth_failures: consecutive_failures and failure_ratio are both off, so it could never fire"


@pytest.mark.parametrize(
    ("document", "then"),
    [
        pytest.param({"defaults": {"auth_failures": OFF}}, [f"defaults: {NEVER_FIRES}"], id="both in one layer"),
        pytest.param(
            {
                "defaults": {"auth_failures": {"consecutive_failures": None}},
                "tenants": {"t1": {"auth_failures": {"failure_ratio": None}}},
            },
            [f"tenants.t1: {NEVER_FIRES}"],
            id="one in each of two layers",
        ),
        pytest.param(
            {"tenants": {"t1": {"auth_failures": OFF}}, "workflows": {"t1/wf1": {"auth_failures": {"window": "1m"}}}},
            [f"tenants.t1: {NEVER_FIRES}", f"workflows.t1/wf1: {NEVER_FIRES}"],
            id="inherited",
        ),
    ],
)
def test_a_policy_that_could_never_fire_is_misconfigured(document: Any, then: list[str]) -> None:
    assert faults(document) == then


@pytest.mark.parametrize("name", ["run_timeout", "queue_timeout"])
def test_a_timeout_is_longer_than_the_allowed_lateness(name: str) -> None:
    section = {"defaults": {"stuck_executions": {name: "90s"}}}
    assert isinstance(parse(section, timedelta(seconds=89.999)), Policies)
    assert faults(section, timedelta(seconds=90)) == [
        f"defaults: stuck_executions.{name}: must be longer than the allowed lateness of 0:01:30"
    ]


def test_the_default_timeout_is_held_against_the_allowed_lateness_too() -> None:
    assert faults(None, timedelta(minutes=30)) == [
        "defaults: stuck_executions.run_timeout: must be longer than the allowed lateness of 0:30:00"
    ]


# ---- files

RUNS_SOMETHING = "tag:yaml.org,2002:python/object/apply:os.system"


def test_the_spec_s_example_is_read() -> None:
    path = shared_data().parent / "spec" / "20-policies-example.yaml"
    if not path.exists():
        pytest.skip(f"no {path.name} beside the checkout")
    policies = load_policies(path, allowed_lateness=MINUTE)
    assert policies.default == PolicySet()
    assert policies.of("t_acme", "wf").auth_failures.consecutive_failures == 5
    assert policies.of("t_acme", "wf_nightly_export").stuck_executions.run_timeout == timedelta(hours=4)


@pytest.mark.parametrize(
    ("content", "then"),
    [
        pytest.param(
            b"defaults: {a: ", ["line 1: no YAML: expected the node content, but found '<stream end>'"], id="cut"
        ),
        pytest.param(
            b"a: 1\n\tb: 2\n", ["line 2: no YAML: found character '\\t' that cannot start any token"], id="a tab"
        ),
        pytest.param(b"a: \xff\xfe", ["no YAML: unreadable"], id="not UTF-8"),
        pytest.param(b"a: \x00", ["no YAML: unreadable"], id="a NUL"),
        pytest.param(
            b"!!python/object/apply:os.system ['true']",
            [f"line 1: no YAML: could not determine a constructor for the tag '{RUNS_SOMETHING}'"],
            id="a tag that would run something",
        ),
    ],
)
def test_what_is_no_yaml(tmp_path: Path, content: bytes, then: list[str]) -> None:
    path = tmp_path / "policies.yaml"
    path.write_bytes(content)
    with pytest.raises(MisconfiguredPolicyError) as fault:
        load_policies(path, allowed_lateness=MINUTE)
    assert fault.value.faults == then


@pytest.mark.parametrize(
    ("breaker", "then"),
    [
        pytest.param({"half_open_after": "30m"}, [], id="probes after half an hour"),
        pytest.param({"half_open_after": None}, [], id="no probes"),
        pytest.param(
            {"half_open_after": "25h"},
            ["defaults.circuit_breaker.half_open_after: must be at most 24h"],
            id="longer than the longest cool-down",
        ),
        pytest.param({"half_open_after": "30m", "probe_lease": "31m"}, [], id="a lease longer than a run"),
        pytest.param(
            {"half_open_after": "30m", "probe_lease": "30m"},
            ["defaults: circuit_breaker.probe_lease: must be longer than the run_timeout of 0:30:00"],
            id="a lease that ends with the run's time-out",
        ),
    ],
)
def test_half_open_breakers(breaker: dict[str, Any], then: list[str]) -> None:
    document = {"defaults": {"circuit_breaker": breaker}}
    if then:
        assert faults(document) == then
    else:
        assert parse(document).default.circuit_breaker.half_open_after == (
            None if breaker["half_open_after"] is None else 30 * MINUTE
        )


def test_a_file_that_is_not_there_is_the_caller_s_to_report(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_policies(tmp_path / "none.yaml", allowed_lateness=MINUTE)


# ---- durations


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("90s", timedelta(seconds=90)),
        ("1.5h", timedelta(minutes=90)),
        (" 15m ", timedelta(minutes=15)),
        ("24h", timedelta(days=1)),
        ("30d", timedelta(days=30)),
        ("0s", timedelta(0)),
        (timedelta(seconds=1), timedelta(seconds=1)),
    ],
)
def test_durations(text: object, then: timedelta) -> None:
    assert parse_duration(text) == then


@pytest.mark.parametrize(
    "text", ["", "15", "m", "15 m", "-1m", "1e3s", "1h30m", "15M", "1w", "999999999999d", 15, None]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration with a unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1d", "2h", "90m", "61s", "1500ms"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text
