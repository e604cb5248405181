"""`breakwater classify` and `POST /v1/credits/classify`: one record, its judgement, every fault (50.2, 50.8)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from config.credit_profiles import load_profile
from dataflows.credit_classify import InvalidRecordError, classify_record, parse_record
from tests.api.v1_given import bearer, running, token

COMMAND = Path(sys.executable).with_name("breakwater")

SEED: dict[str, Any] = {
    "run_id": "RUN-20260123-001",
    "timestamp": "2026-01-23T10:30:00Z",
    "scenario_id": "BINDER_EXPORT_v2",
    "scenario_name": "Binder Export Quarterly",
    "job_type": "BINDER_EXPORT",
    "status": "Success",
    "credits_total": 2480,
    "credits_in": 1800,
    "credits_out": 680,
    "model": "gpt-4",
    "input_tokens": 220000,
    "output_tokens": 52000,
    "artifacts_link": "https://drive.google.com/file",
    "retry_count": 6,
    "has_idempotency_key": False,
    "risk_flags": ["pii_exposure"],
    "baseline_expected_credits": 320,
}

#: The same as the original writes it.
PASCAL = {
    {"run_id": "Run_ID", "scenario_id": "Scenario_ID"}.get(name, "_".join(map(str.capitalize, name.split("_")))): value
    for name, value in SEED.items()
}


def breakwater(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    command = [COMMAND, "classify", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, env=environment, timeout=60)


def classified(record: dict[str, Any], profile: str = "default") -> dict[str, Any]:
    """The answer to a record."""
    found = classify_record(parse_record(json.dumps(record).encode()), load_profile(profile))
    answer = json.loads(found.model_dump_json())
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize(
    ("profile", "severity", "actions"),
    [
        pytest.param(
            "default",
            "SEV0",
            ["quarantine", "block_dispatch", "create_case", "page_lock", "slack_escalate"],
            id="by our rules",
        ),
        pytest.param(
            "sintraprime", "SEV1", ["create_case", "slack_alert", "require_ack_before_rerun"], id="by the original's"
        ),
    ],
)
@pytest.mark.parametrize("record", [SEED, PASCAL], ids=["snake_case", "Pascal_Case"])
def test_the_command_says_all_that_is_known_of_a_record(
    record: dict[str, Any], profile: str, severity: str, actions: list[str], tmp_path: Path
) -> None:
    fixture = tmp_path / "run.json"
    fixture.write_text(json.dumps(record))
    done = breakwater("--fixture", fixture, "--profile", profile, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == {
        "severity": severity,
        "variance_multiplier": 7.75,
        "misconfig_likelihood": "High",
        "misconfig_score": 7,
        "legit_score": 0,
        "risk_flags": ["retry_loop", "missing_idempotency", "pii_exposure"],
        "risk_summary": "Variance: 7.75× | Misconfig likelihood: High | "
        "Misconfig signals: retry_loop, missing_idempotency, pii_exposure",
        "actions": actions,
        "baseline_credits": 320,
        "baseline_source": "given",
        "case_id": None,
    }


def test_for_people_it_is_said_in_lines() -> None:
    hostile = SEED | {"scenario_name": "Binder\x1b[2J"}
    done = breakwater("--fixture", "-", "--baseline", "1240", stdin=json.dumps(hostile).encode())
    lines = done.stdout.decode().splitlines()
    assert lines[:4] == [
        "Run: RUN-20260123-001",
        "Scenario: Binder\N{REPLACEMENT CHARACTER}[2J",
        "Credits: 2,480 (baseline 1,240)",
        "Severity: SEV0",
    ]
    assert lines[-1].startswith("Summary: Variance: 2.00×")


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        pytest.param(("--fixture", "-"), b"{", ["the record: must be a JSON object"], id="no JSON"),
        pytest.param(("--fixture", "-"), b"[1]", ["the record: must be an object"], id="no object"),
        pytest.param(
            ("--fixture", "-"),
            b'{"credits_total": 1e-99999999999999999999}',
            ["the record: must be a JSON object"],
            id="a number that is no decimal",
        ),
        pytest.param(("--fixture", "-"), b"{}", ["credits_total: field required"], id="nothing in it"),
        pytest.param(("--fixture", "-"), b"{}" + b" " * (1 << 20), ["the record: must be at most"], id="too large"),
        pytest.param(("--fixture", "nowhere.json"), b"", ["nowhere.json: No such file"], id="no file"),
        pytest.param(("--fixture", "-", "--baseline", "abc"), b"", ["--baseline: must be a number"], id="no baseline"),
        pytest.param(("--fixture", "-", "--baseline", "nan"), b"", ["--baseline: must be"], id="a baseline of NaN"),
        pytest.param(
            ("--fixture", "-", "--baseline", "1_000"), b"", ["--baseline: must be a number"], id="underscores"
        ),
        pytest.param(
            ("--fixture", "-", "--baseline", "1e99999999999999999999"),
            b"",
            ["--baseline: must be a number"],
            id="a baseline that is no decimal",
        ),
        pytest.param(("--fixture", "-", "--baseline", "-1"), b"", ["--baseline: must be"], id="a negative baseline"),
        pytest.param(("--fixture", "-", "--profile", "mine"), b"", ["--profile"], id="a profile that there is not"),
        pytest.param((), b"", ["--fixture"], id="nothing to classify"),
    ],
)
def test_wrong_usage_ends_with_code_two(arguments: tuple[str, ...], stdin: bytes, said: list[str]) -> None:
    done = breakwater(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, b"")
    assert all(part in done.stderr.decode() for part in said)


BAD = [
    ("run_id", '"../../etc/passwd"'),
    ("run_id", '"runs/x"'),
    ("run_id", '""'),
    ("timestamp", '"2026-01-23"'),
    ("timestamp", '"2026-01-23T10:30:00"'),
    ("scenario_id", '"' + "s" * 129 + '"'),
    ("job_type", '"NOPE"'),
    ("status", '"Bogus"'),
    ("status", '"running"'),
    ("credits_total", "NaN"),
    ("credits_total", "Infinity"),
    ("credits_total", "-Infinity"),
    ("credits_total", "1e999"),
    ("credits_total", '"abc"'),
    ("credits_total", '"12"'),
    ("credits_total", "-1"),
    ("credits_total", "true"),
    ("credits_total", "null"),
    ("credits_in", "[]"),
    ("input_tokens", "1.5"),
    ("retry_count", "-1"),
    ("retry_count", '"3"'),
    ("has_idempotency_key", '"false"'),
    ("is_batch_job", "1"),
    ("deployment_timestamp", '"yesterday"'),
    ("deployment_timestamp", '"2026-02-30"'),
    ("deployment_timestamp", '"2026-01-23T10:30:00"'),
    ("risk_flags", '"pii_exposure"'),
    ("artifacts_link", '"javascript:alert(1)"'),
    ("baseline_expected_credits", "NaN"),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_bad_field_is_named_and_its_value_is_not(field: str, value: str) -> None:
    text = json.dumps({**SEED, field: "<here>"}).replace('"<here>"', value)
    with pytest.raises(InvalidRecordError) as refused:
        parse_record(text.encode())
    (fault,) = refused.value.faults
    assert fault.startswith(f"{field}: ")
    assert value.strip('"') not in fault or len(value) < 5


def test_every_bad_field_is_named() -> None:
    with pytest.raises(InvalidRecordError) as refused:
        parse_record(b'{"Run_ID": "a/b", "Credits_Total": NaN, "Status": "Bogus", "retry_count": -1}')
    assert [fault.split(":")[0] for fault in refused.value.faults] == [
        "run_id",
        "status",
        "credits_total",
        "retry_count",
    ]


def test_a_record_may_name_its_baseline_as_the_webhook_does() -> None:
    assert classified({"credits_total": 500, "baseline": 300})["baseline_credits"] == 300
    assert classified({"credits_total": 500, "baseline": 300, "baseline_expected_credits": 100})["severity"] == "SEV1"


def test_the_original_does_not_know_the_short_name_of_a_baseline() -> None:
    # The seed's own test payload; the original's answer to it is blind.
    seeds = {"run_id": "RUN-TEST-001", "scenario_id": "TEST_SCENARIO", "credits_total": 500, "status": "Success"}
    found = classified(seeds | {"baseline": 300}, "sintraprime")
    assert (found["severity"], found["variance_multiplier"], found["baseline_source"]) == ("SEV4", 0, "none")
    assert classified(seeds | {"baseline": 300})["severity"] == "SEV3"


@pytest.mark.parametrize(
    ("field", "value", "flags"),
    [
        pytest.param("Artifacts_Link", "", [], id="no link"),
        pytest.param("deployment_timestamp", "", [], id="no deployment"),
        pytest.param("deployment_timestamp", "2020-01-01", ["deployment_correlation"], id="deployed on a day"),
    ],
)
def test_what_the_original_takes_for_nothing_or_a_day_is_taken_so(field: str, value: str, flags: list[str]) -> None:
    assert classified({"Run_ID": "RUN-1", "Credits_Total": 5, field: value}, "sintraprime")["risk_flags"] == flags


def test_a_record_without_a_baseline() -> None:
    ours, theirs = classified({"credits_total": 500}), classified({"credits_total": 500}, "sintraprime")
    assert (ours["severity"], ours["variance_multiplier"], ours["baseline_source"]) == ("SEV3", None, "none")
    assert (theirs["severity"], theirs["variance_multiplier"], theirs["baseline_credits"]) == ("SEV4", 0, None)


@pytest.mark.parametrize("profile", ["default", "sintraprime"])
@pytest.mark.parametrize("baseline", ["1e-400", "1e-999999", "1e-99999999999", "-0.0"])
def test_a_number_too_near_to_nothing_for_a_double_is_nothing(baseline: str, profile: str) -> None:
    record = parse_record(b'{"credits_total": 1e300, "baseline_expected_credits": %s}' % baseline.encode())
    found = classify_record(record, load_profile(profile))
    assert (found.baseline_credits, found.baseline_source) == (None, "none")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(SEED)) | st.text(max_size=9), json_values, max_size=8))
def test_whatever_is_sent_is_classified_or_refused(record: dict[str, Any]) -> None:
    try:
        found = classify_record(parse_record(json.dumps(record).encode()), load_profile("default"))
    except InvalidRecordError as error:
        said = error.faults
    else:
        said = list(found.actions)
    assert said


def test_the_api_says_the_same(engine: sa.Engine) -> None:
    headers = bearer(token("viewer"))
    with running(engine) as (http, _, _):
        path = "/v1/credits/classify"
        answer = http.post(path, headers=headers, json=SEED)
        assert (answer.status_code, answer.json()) == (200, classified(SEED))
        original = http.post(path, headers=headers, json=PASCAL, params={"profile": "sintraprime", "baseline": 320})
        assert original.json() == classified(PASCAL, "sintraprime")
        refused = http.post(path, headers=headers, json=SEED | {"job_type": "NOPE", "run_id": "a/b"})
        assert refused.status_code == 422
        assert {detail["field"] for detail in refused.json()["details"]} == {"body.job_type", "body.run_id"}
        assert http.post(path, headers=headers, content=b'{"credits_total": NaN}').status_code == 422
        assert http.post(path, json=SEED).status_code == 401
