"""`breakwater detect`, the real command: its options, its files, its exit codes (20.7)."""

import base64
import gzip
import hashlib
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dataflows.decisions import encode_decision
from tests.given import (
    Line,
    decisions,
    denied,
    encode,
    ended,
    shared_data,
    started,
    tick,
    time,
    timed_out,
)

COMMAND = Path(sys.executable).with_name("breakwater")

THREE = [denied(1, "a"), denied(2, "b"), denied(3, "c")]
ONE_STUCK = [started(0), tick(30)]


def breakwater(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command; nothing of a terminal about it."""
    command = [COMMAND, "detect", *arguments]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=cwd, env=environment, timeout=60)


def ndjson(*lines: Line) -> bytes:
    return b"".join(map(encode, lines))


def decided(lines: list[Line], **how: Any) -> bytes:
    """What the command has to say of these lines."""
    return b"".join(encode_decision(decision) + b"\n" for decision in decisions(lines, **how))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def quiet(*arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> bytes:
    """What the command says on stdout; it has nothing to complain of."""
    done = breakwater(*arguments, stdin=stdin, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def complaint(*arguments: str | Path, stdin: bytes = b"") -> str:
    """What the command says on stderr when it was used wrongly."""
    done = breakwater(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, b"")
    return done.stderr.decode()


# ---- in and out


def test_a_decision_on_the_wire(tmp_path: Path) -> None:
    said = quiet(write(tmp_path / "events.ndjson", ndjson(*THREE)))
    assert json.loads(said) == {
        "decision_id": "bccbe20e-ff3b-5acf-8e1c-1cd181f8b4f8",
        "kind": "block_for_credentials",
        "tenant_id": "t1",
        "workflow_id": "wf1",
        "automation_version_id": "v1",
        "occurred_at": "2026-03-02T08:03:00Z",
        "policy_id": "auth_failures",
        "policy_version": 1,
        "reason_code": "consecutive_failures",
        "observed": {
            "system_key": "crm",
            "consecutive_failures": 3,
            "auth_failures": 3,
            "runs": 3,
            "failure_ratio": None,
        },
        "threshold": {"consecutive_failures": 3, "failure_ratio": 0.5, "min_runs": 10, "window_seconds": 3600.0},
        "evidence": ["a", "b", "c"],
        "detail": {"failed_systems": ["crm"]},
    }
    assert said == decided(THREE)


def test_decisions_come_in_the_order_in_which_they_were_made() -> None:
    lines = [started(0, "s1"), started(0, "s0"), *THREE, timed_out(4, "q"), tick(40)]
    said = quiet("-", stdin=ndjson(*lines))
    assert [json.loads(line)["kind"] for line in said.splitlines()] == [
        "block_for_credentials",
        "execution_stuck",
        "execution_stuck",
        "execution_stuck",
    ]
    assert said == decided(lines)


def test_stdin_is_a_dash() -> None:
    assert quiet("-", stdin=ndjson(*THREE)) == decided(THREE)


def test_an_output_file_takes_what_stdout_would(tmp_path: Path) -> None:
    out = write(tmp_path / "out.ndjson", b"of an earlier run")
    assert quiet("-", "--output", out, stdin=ndjson(*THREE)) == b""
    assert out.read_bytes() == decided(THREE)


def test_stdout_is_a_dash_wherever_a_file_is_written(tmp_path: Path) -> None:
    events = ndjson(*THREE)
    assert quiet("-", "--output", "-", stdin=events) == decided(THREE)
    assert json.loads(quiet("-", "--output", tmp_path / "out", "--summary", "-", stdin=events))["events"] == 3
    said = quiet("-", "--output", tmp_path / "out", "--dead-letters", "-", stdin=b"x")
    assert json.loads(said)["code"] == "not_json"


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    assert quiet(write(tmp_path / "events.ndjson.gz", gzip.compress(ndjson(*THREE)))) == decided(THREE)


def test_several_files_are_one_stream(tmp_path: Path) -> None:
    first = write(tmp_path / "1", ndjson(*THREE[:1], ONE_STUCK[0]))
    second = write(tmp_path / "2.gz", gzip.compress(ndjson(*THREE[1:2])))
    rest = ndjson(*THREE[2:], ONE_STUCK[1])
    together = decided([THREE[0], ONE_STUCK[0], *THREE[1:], ONE_STUCK[1]])
    assert quiet(first, second, "-", stdin=rest) == together
    assert together.count(b"\n") == 2


def test_a_file_twice_is_a_file_with_duplicates(tmp_path: Path) -> None:
    events, summary = write(tmp_path / "1", ndjson(*THREE)), tmp_path / "summary"
    assert quiet(events, events, "--summary", summary) == decided(THREE)
    assert json.loads(summary.read_bytes())["duplicates"] == 3


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    summary, dead = tmp_path / "summary", tmp_path / "dead"
    assert quiet(write(tmp_path / "none", b""), "--summary", summary, "--dead-letters", dead) == b""
    nothing: dict[str, Any] = {"events": 0, "duplicates": 0, "late": 0, "dead_letters": {}, "decisions": {}}
    assert json.loads(summary.read_bytes()) == nothing
    assert dead.read_bytes() == b""


def test_the_summary_counts(tmp_path: Path) -> None:
    lines = ndjson(*THREE, THREE[0], tick(60), ended(0, "late")) + b"x\n[]\ny\n"
    quiet("-", "--summary", tmp_path / "summary", stdin=lines)
    assert json.loads((tmp_path / "summary").read_bytes()) == {
        "events": 5,
        "duplicates": 1,
        "late": 1,
        "dead_letters": {"not_an_object": 1, "not_json": 2},
        "decisions": {"block_for_credentials": 1},
    }


def test_dead_letters_go_to_their_file(tmp_path: Path) -> None:
    bad = encode({**ended(0), "http_status": 7}).rstrip(b"\n")
    events = write(tmp_path / "events", ndjson(*THREE[:2]) + b"\xff\n" + bad + b"\n" + ndjson(THREE[2]))
    before = datetime.now(UTC)
    assert quiet(events, "--dead-letters", tmp_path / "dead") == decided(THREE)
    rows = [json.loads(line) for line in (tmp_path / "dead").read_bytes().splitlines()]
    times = [datetime.fromisoformat(row.pop("time")) for row in rows]
    assert before <= times[0] <= times[1] <= datetime.now(UTC)
    offset = len(ndjson(*THREE[:2]))
    assert rows == [
        {
            "code": code,
            "explanation": explanation,
            "file": str(events),
            "byte_offset": at,
            "size": len(raw),
            "sha256": hashlib.sha256(raw).hexdigest(),
            "raw_base64": base64.b64encode(raw).decode(),
        }
        for code, explanation, at, raw in (
            ("not_json", "not UTF-8", offset, b"\xff"),
            ("invalid_field", "invalid: http_status", offset + 2, bad),
        )
    ]


def test_without_a_file_for_them_dead_letters_are_only_counted() -> None:
    assert quiet("-", stdin=b"x\n" + ndjson(*THREE)) == decided(THREE)


def test_nobody_s_clock_is_asked(tmp_path: Path) -> None:
    far = [{**line, "occurred_at": line["occurred_at"].replace("2026", "9999")} for line in THREE]
    assert quiet("-", stdin=ndjson(*far)) == decided(far)
    assert decided(far).count(b"\n") == 1


# ---- options


@pytest.mark.parametrize(
    ("until", "count"),
    [
        pytest.param([], 0, id="to the newest event"),
        pytest.param(["--until", "2026-03-02T08:29:59.999999Z"], 0, id="a microsecond before the deadline"),
        pytest.param(["--until", "2026-03-02T08:30:00Z"], 1, id="to the deadline"),
        pytest.param(["--until", "2026-03-02T10:30:00+02:00"], 1, id="with an offset"),
        pytest.param(["--until", "2001-01-01T00:00:00Z"], 0, id="an earlier time moves nothing"),
    ],
)
def test_until(until: list[str], count: int) -> None:
    assert quiet("-", *until, stdin=ndjson(started(0))).count(b"\n") == count


def test_policies(tmp_path: Path) -> None:
    policies = write(tmp_path / "p.yaml", b"version: 4\ntenants: {t1: {auth_failures: {consecutive_failures: 2}}}\n")
    said = [json.loads(line) for line in quiet("-", "--policies", policies, stdin=ndjson(*THREE)).splitlines()]
    assert [(one["evidence"], one["policy_version"]) for one in said] == [(["a", "b"], 4)]


def test_a_registry(tmp_path: Path) -> None:
    rows = [
        {"tenant_id": "t1", "automation_version_id": "v1", "workflow_id": "wf1", "project_id": "p", "status": "Live"}
    ]
    registry, summary = write(tmp_path / "r.json", json.dumps(rows).encode()), tmp_path / "summary"
    strangers = [ended(4, "d", tenant_id="t2"), ended(4, "e", automation_version_id="v2")]
    said = quiet("-", "--registry", registry, "--summary", summary, stdin=ndjson(*THREE, *strangers))
    assert said == decided(THREE)
    assert json.loads(summary.read_bytes())["dead_letters"] == {"tenant_mismatch": 1, "unknown_automation_version": 1}


@pytest.mark.parametrize(("lateness", "count"), [("301s", 0), ("5m", 1)])
def test_allowed_lateness(lateness: str, count: int) -> None:
    lines = ndjson(started(0), tick(35), ended(29.99))
    said = quiet("-", "--allowed-lateness", lateness, stdin=lines)
    assert [json.loads(line)["kind"] for line in said.splitlines()] == ["execution_stuck", "execution_recovered"][
        : 2 * count
    ]


def on_a_terminal(*arguments: Path | str) -> tuple[bytes, str]:
    """What the command decides, and what it says to a person who looks on."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [COMMAND, "detect", *arguments], stdout=subprocess.PIPE, stderr=theirs, check=True, timeout=60
        )
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(theirs)
        os.close(ours)
    return done.stdout, shown


def test_a_progress_bar_on_a_terminal_and_only_there(tmp_path: Path) -> None:
    events = write(tmp_path / "events.ndjson", ndjson(*THREE))
    said, shown = on_a_terminal(events)
    assert "events.ndjson" in shown
    assert "could not be used" not in shown
    assert said == decided(THREE)


def test_a_person_is_told_what_could_not_be_used(tmp_path: Path) -> None:
    events = write(tmp_path / "events.ndjson", ndjson(*THREE) + b"{\n[]\n{\n")
    said, shown = on_a_terminal(events)
    assert "could not be used: not_an_object 1, not_json 2; --dead-letters FILE says which" in shown
    assert said == decided(THREE)
    assert "could not be used" not in on_a_terminal(events, "--dead-letters", tmp_path / "dead.ndjson")[1]


# ---- used wrongly


def test_no_files() -> None:
    assert "Missing argument" in complaint()


def test_an_unknown_option() -> None:
    assert "No such option: --speed" in complaint("-", "--speed", "11")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["none.ndjson"], "none.ndjson: No such file or directory", id="no such file"),
        pytest.param([".", "-"], ".: Is a directory", id="a directory"),
        pytest.param(["-", "--policies", "none"], "none: No such file or directory", id="no such policies"),
        pytest.param(["-", "--policies", "."], ".: Is a directory", id="policies that are a directory"),
        pytest.param(["-", "--registry", "none"], "none: No such file or directory", id="no such registry"),
        pytest.param(
            ["-", "--output", "none/out"], "none/out: No such file or directory", id="nowhere to put decisions"
        ),
        pytest.param(["-", "--dead-letters", "."], ".: Is a directory", id="a directory for dead letters"),
        pytest.param(["-", "--summary", "."], ".: Is a directory", id="a directory for the summary"),
        pytest.param(["-", "--until", "soon"], "--until: must be a time as in 2026-01-31T00:00:00Z", id="no time"),
        pytest.param(
            ["-", "--until", "2026-03-02T08:00:00"],
            "--until: must have an offset, as in 2026-01-31T00:00:00Z",
            id="a time without an offset",
        ),
        pytest.param(
            ["-", "--allowed-lateness", "60"],
            "--allowed-lateness: must be a duration with a unit, such as 90s, 15m or 24h",
            id="no duration",
        ),
    ],
)
def test_what_can_t_be_done_is_said_in_a_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert complaint(*arguments) == f"breakwater: {said}\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(ndjson(*THREE))[:-9], id="cut off"),
        pytest.param(b"\x1f\x8b" + b"no gzip at all", id="no gzip after its mark"),
    ],
)
def test_a_damaged_file_is_unreadable(tmp_path: Path, content: bytes) -> None:
    events = write(tmp_path / "events.gz", content)
    done = breakwater(events)
    assert done.returncode == 2
    assert done.stderr.startswith(b"breakwater: " + bytes(events) + b": ")
    assert done.stderr.count(b"\n") == 1


def test_what_was_decided_before_a_file_could_not_be_read_is_written(tmp_path: Path) -> None:
    done = breakwater(write(tmp_path / "1", ndjson(*THREE)), tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, decided(THREE))


def test_every_fault_of_the_policies_is_named(tmp_path: Path) -> None:
    text = b"""
        defaults: {auth_failures: {failure_ratio: 1.5, cooldown: soon}}
        tenants: {t1: {circuit_breaker: {threshold: 0}}}
    """
    policies = write(tmp_path / "p.yaml", text)
    assert complaint("-", "--policies", policies).splitlines() == [
        f"breakwater: {policies}: misconfigured policy",
        "  defaults.auth_failures.failure_ratio: input should be less than or equal to 1",
        "  defaults.auth_failures.cooldown: must be a duration with a unit, such as 90s, 15m or 24h",
        "  tenants.t1.circuit_breaker.threshold: input should be greater than or equal to 1",
    ]


def test_a_timeout_is_held_against_the_lateness_that_was_asked_for() -> None:
    assert complaint("-", "--allowed-lateness", "30m").splitlines() == [
        "breakwater: the shipped policies: misconfigured policy",
        "  defaults: stuck_executions.run_timeout: must be longer than the allowed lateness of 0:30:00",
    ]
    assert quiet("-", "--allowed-lateness", "1799s") == b""


def test_a_faulty_registry_is_named(tmp_path: Path) -> None:
    registry = write(tmp_path / "r.json", b'[{"tenant_id": "t1"}]')
    said = "row 0: Object missing required field `automation_version_id`"
    assert complaint("-", "--registry", registry) == f"breakwater: {registry}: {said}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_in_a_line() -> None:
    done = breakwater("-", "--output", "/dev/full", stdin=ndjson(*THREE))
    assert done.stderr == b"breakwater: /dev/full: No space left on device\n"
    assert done.returncode != 0


def test_a_reader_that_goes_away_is_no_fault_of_the_input(tmp_path: Path) -> None:
    many = [timed_out(number, f"x{number}") for number in range(2000)]
    events = write(tmp_path / "events", ndjson(*many))
    with subprocess.Popen([COMMAND, "detect", events], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None
        command.stdout.close()
        command.stdout = None
        _, said = command.communicate(timeout=60)
    assert (command.returncode, said) == (1, b"")


# ---- recorded data


def recorded(name: str, tmp_path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Decisions and summary on one of the recorded data sets."""
    events, registry = (shared_data() / f"{name}.{what}" for what in ("run_events.ndjson.gz", "registry.json"))
    if not events.exists():
        pytest.skip(f"{events.name} is not beside the checkout")
    said = quiet(events, "--registry", registry, "--summary", tmp_path / "summary")
    return [json.loads(line) for line in said.splitlines()], json.loads((tmp_path / "summary").read_bytes())


@pytest.mark.shared
def test_executions_of_scientific_workflows(tmp_path: Path) -> None:
    said, summary = recorded("wfinstances", tmp_path)
    assert summary == {
        "events": 74752,
        "duplicates": 0,
        "late": 0,
        "dead_letters": {},
        "decisions": {"blacklist_workflow": 1, "execution_recovered": 261, "execution_stuck": 261, "silence": 10},
    }
    kinds = [(one["kind"], one["tenant_id"]) for one in said]
    assert {pair: kinds.count(pair) for pair in dict.fromkeys(sorted(kinds))} == {
        ("blacklist_workflow", "srasearch"): 1,
        ("execution_recovered", "soykb"): 10,
        ("execution_recovered", "srasearch"): 251,
        ("execution_stuck", "soykb"): 10,
        ("execution_stuck", "srasearch"): 251,
        # As many gaps of a day and more are in the recording.
        ("silence", None): 10,
    }
    assert len({one["decision_id"] for one in said}) == len(said)


@pytest.mark.shared
def test_requests_to_language_models_whose_costs_differ_by_nature(tmp_path: Path) -> None:
    said, summary = recorded("azure-llm", tmp_path)
    # Nothing failed. A request costs what its text is long, and the rules of spec 50 are for runs that are alike:
    # docs/credits.md says more.
    assert summary == {
        "events": 28185,
        "duplicates": 0,
        "late": 0,
        "dead_letters": {},
        "decisions": {"credit_incident": 13606},
    }
    severities = [one["detail"]["severity"] for one in said]
    assert {severity: severities.count(severity) for severity in sorted(set(severities))} == {
        "SEV0": 874,
        "SEV1": 2946,
        "SEV2": 9786,
    }
    assert len({(one["tenant_id"], one["detail"]["scenario"]) for one in said}) == 38


def baselines(*rows: Line) -> bytes:
    return json.dumps({"version": "1.0.0", "updated_at": "2026-01-25T23:00:00Z", "baselines": rows}).encode()


def test_approved_baselines_are_read_from_a_file(tmp_path: Path) -> None:
    row = {"tenant_id": "t1", "scenario_id": "wf1", "median_credits": 100.5, "sample_size": 9}
    file = write(tmp_path / "baselines.json", baselines(row))
    spike = ended(1, credits_total=603)
    runs = tmp_path / "runs"
    (said,) = quiet("-", "--baselines", file, "--credit-runs", runs, stdin=ndjson(spike)).splitlines()
    incident, record = json.loads(said), json.loads(runs.read_bytes())
    assert (incident["kind"], incident["detail"]["severity"]) == ("credit_incident", "SEV1")
    assert (record["baseline_credits"], record["baseline_source"], record["severity"]) == (100.5, "approved", "SEV1")


def test_every_fault_of_the_baselines_is_named(tmp_path: Path) -> None:
    good = {"tenant_id": "t1", "scenario_id": "s1", "median_credits": 100}
    file = write(tmp_path / "b.json", baselines(good | {"median_credits": "many"}, good | {"scenario_id": None}))
    assert complaint("-", "--baselines", file).splitlines() == [
        f"breakwater: {file}: no usable baselines",
        "  baselines.0.median_credits: must be a number",
        "  baselines.1.scenario_id: input should be a valid string",
    ]
    assert complaint("-", "--baselines", write(file, b"[]")).splitlines()[1:] == ["  the file: must be a JSON object"]
    for unreadable in (b"{", b'{"baselines": [{"median_credits": 1e-99999999999999999999}]}'):
        assert complaint("-", "--baselines", write(file, unreadable)) == (
            f"breakwater: {file}: no usable baselines\n  no JSON text\n"
        )


def test_t0_is_what_the_literal_times_of_these_tests_say() -> None:
    assert time(0).isoformat() == "2026-03-02T08:00:00+00:00"
