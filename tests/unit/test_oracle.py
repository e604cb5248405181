"""The reference by hand: lines, identity, duplicates and summary as 10 says, and the random streams."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.reference.given import Fields, credential, denied, event, is_401, released
from tests.reference.lines import LineKind, judge_line, parse_time
from tests.reference.malformed import EDGES, INVALID, encode, full_mebibyte
from tests.reference.oracle import Result, by_subject, decide, normalize
from tests.reference.streams import PROFILES, T0, Stream, generate, is_auth_failure

GOOD = event(0, "success", "x")
REGISTRY = [{"tenant_id": "t_a", "automation_version_id": "v1", "workflow_id": "wf1"}]


def without(fields: Fields, name: str) -> Fields:
    return {key: value for key, value in fields.items() if key != name}


def code_of(line: bytes) -> str:
    judged = judge_line(line)
    return judged.code or judged.kind.value


@pytest.mark.parametrize(
    ("line", "code"),
    [
        pytest.param(encode(GOOD), "run", id="good"),
        pytest.param(encode(GOOD) + b"\r\n", "run", id="good with a line end"),
        pytest.param(b" \t\r\n", "blank", id="blank"),
        pytest.param(full_mebibyte(GOOD, excess=0) + b"\n", "run", id="exactly 1 MiB"),
        pytest.param(full_mebibyte(GOOD, excess=1), "too_large", id="a byte more"),
        pytest.param(b"x" * (1024 * 1024 + 1), "too_large", id="too large before not JSON"),
        pytest.param(encode(GOOD)[:-1], "not_json", id="cut off"),
        pytest.param(b"\xef\xbb\xbf" + encode(GOOD), "not_json", id="byte order mark"),
        pytest.param(b'{"model": "\xff"}', "not_json", id="not UTF-8 before missing"),
        pytest.param(b"[]", "not_an_object", id="array"),
        pytest.param(b"null", "not_an_object", id="null"),
        pytest.param(encode(without(GOOD, "tenant_id")), "missing_field", id="missing"),
        pytest.param(encode({**GOOD, "status": None}), "missing_field", id="null is missing"),
        pytest.param(encode({**GOOD, "status": None, "http_status": "x"}), "missing_field", id="missing first"),
        pytest.param(
            encode({**GOOD, "occurred_at": "2026-03-02T08:00:00", "http_status": 99}),
            "invalid_field",
            id="then invalid",
        ),
        pytest.param(encode({**GOOD, "occurred_at": "2026-03-02T08:00:00"}), "naive_timestamp", id="naive"),
        pytest.param(encode({**without(GOOD, "execution_id"), "run_id": "x"}), "run", id="alias of the execution"),
        pytest.param(encode({**GOOD, "status": "Quarantined"}), "run", id="ledger status"),
        pytest.param(encode({**GOOD, "kind": "weather"}), "run", id="unknown kind is a run event"),
        pytest.param(encode({**released(0), "kind": "weather"}), "missing_field", id="and judged as one"),
        pytest.param(encode(released(0)), "control", id="control"),
        pytest.param(encode(without(released(0), "workflow_id")), "missing_field", id="control without workflow"),
        pytest.param(encode({**released(0), "tenant_id": 3}), "invalid_field", id="control with a wrong type"),
        pytest.param(encode({**released(0), "status": 3}), "control", id="a field that is not its own"),
        pytest.param(
            encode({**released(0), "occurred_at": "2026-03-02T08:00:00"}),
            "naive_timestamp",
            id="naive control",
        ),
        *(
            pytest.param(encode({**GOOD, name: value}), "invalid_field", id=f"{name}={str(value)[:24]!r} {number}")
            for number, (name, value) in enumerate(INVALID)
        ),
        *(
            pytest.param(encode({**GOOD, name: value}), "run", id=f"{name}={str(value)[:24]!r} is allowed {number}")
            for number, (name, value) in enumerate(EDGES)
        ),
    ],
)
def test_lines(line: bytes, code: str) -> None:
    assert code_of(line) == code


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2026-03-02T08:00:00Z", T0, id="Z"),
        pytest.param("2026-03-02t10:30:00+02:30", T0, id="east"),
        pytest.param("2026-03-02T03:00:00-05:00", T0, id="west"),
        pytest.param("2026-03-02T08:00:00.000001-00:00", T0 + timedelta(microseconds=1), id="microsecond"),
        pytest.param("2026-03-02T08:00:00.0000019Z", T0 + timedelta(microseconds=1), id="finer is cut"),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


def read(*lines: Fields, registry: list[Fields] | None = None) -> Result:
    return decide([encode(fields) for fields in lines], registry=registry, is_auth_failure=is_401)


@pytest.mark.parametrize(
    ("fields", "letters"),
    [
        pytest.param(GOOD, [], id="as registered"),
        pytest.param(without(GOOD, "workflow_id"), [], id="workflow from the registry"),
        pytest.param({**GOOD, "tenant_id": "t_b"}, [(1, "tenant_mismatch")], id="version of another tenant"),
        pytest.param({**GOOD, "workflow_id": "wf2"}, [(1, "tenant_mismatch")], id="another workflow"),
        pytest.param(
            {**GOOD, "automation_version_id": "v9"}, [(1, "unknown_automation_version")], id="unknown version"
        ),
    ],
)
def test_identity(fields: Fields, letters: list[tuple[int, str]]) -> None:
    assert read(fields, registry=REGISTRY).dead_letters == letters


def test_without_a_registry_the_version_is_the_workflow() -> None:
    given = [without(denied(at, name), "workflow_id") for at, name in enumerate("abc")]
    assert [one["workflow_id"] for one in read(*given).decisions] == ["v1"]


def test_the_summary_counts_each_line_once() -> None:
    gate = event(100, "failure", "g", error_code="WorkflowBlacklisted")
    result = read(
        GOOD,
        GOOD,
        gate,
        event(40, "success", "y"),
        event(39, "success", "z"),
        released(10),
        credential(400, "valid"),
        event(339, "success", "late"),
        {**GOOD, "status": "odd"},
    )
    assert result.summary == {
        "events": 5,
        "duplicates": 1,
        "late": 2,
        "dead_letters": {"invalid_field": 1},
        "decisions": {},
    }
    assert result.dead_letters == [(9, "invalid_field")]


@pytest.mark.parametrize(
    ("last", "stuck"),
    [
        pytest.param(released(2000), 1, id="a control line moves the watermark"),
        pytest.param(event(2000, "failure", "g", error_code="WorkflowOnHold"), 1, id="so does the gate's event"),
        pytest.param({**event(2000, "success", "y"), "http_status": 1}, 0, id="a dead letter does not"),
        pytest.param({**released(2000), "tenant_id": None}, 0, id="nor a refused control line"),
    ],
)
def test_what_moves_the_watermark(last: Fields, stuck: int) -> None:
    decided = read(event(0, "started", "x"), last).decisions
    assert len(decided) == stuck


def test_normalize_drops_what_the_specification_leaves_open() -> None:
    decided = read(event(0, "started", "x"), event(1800, "success", "x")).decisions
    noisy: list[Fields] = [
        {
            **one,
            "observed": {"a": 1},
            "evidence": one["evidence"] or ["x"],
            "detail": {**one["detail"], "more": 1},
        }
        for one in decided
    ]
    assert [normalize(one) for one in noisy] == [normalize(one) for one in decided]
    assert normalize(decided[1])["occurred_at"] == datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
    assert [one["detail"] for one in by_subject(noisy)["t_a", "wf1", "stuck"]] == [{"execution_id": "x"}] * 2


def decided_on(stream: Stream, lines: list[bytes]) -> Any:
    result = decide(
        lines,
        policies=stream.policies,
        registry=stream.registry,
        until=stream.until,
        is_auth_failure=is_auth_failure,
    )
    return result, by_subject(result.decisions)


@pytest.mark.parametrize("profile", PROFILES)
def test_streams_are_functions_of_their_seed_and_bring_every_decision(profile: str) -> None:
    kinds: set[str] = set()
    for seed in range(3):
        stream = generate(seed, profile)
        assert stream == generate(seed, profile)
        result, _ = decided_on(stream, stream.lines)
        kinds |= set(result.summary["decisions"])
        refused = {number for number, _ in result.dead_letters}
        judged = [judge_line(line) for number, line in enumerate(stream.lines, 1) if number not in refused]
        times = [line.fields["occurred_at"] for line in judged if line.kind is not LineKind.BLANK]
        assert max(times) - min(times) < timedelta(hours=24)
    assert kinds == {"block_for_credentials", "execution_stuck", "execution_recovered", "blacklist_workflow"}


def test_an_event_twice_changes_nothing() -> None:
    stream = generate(1, "disordered")
    twice = [line.rstrip(b"\r\n") + b"\n" for line in stream.lines for _ in range(2) if b'"kind"' not in line]
    once = twice[::2]
    assert decided_on(stream, once)[1] == decided_on(stream, twice)[1]


def test_disorder_within_the_lateness_changes_nothing_for_stuck_executions() -> None:
    stream = generate(5, "in_order")
    by_id: dict[str, bytes] = {}
    for line in stream.lines:
        judged = judge_line(line)
        if judged.kind is LineKind.RUN:
            by_id.setdefault(judged.fields["event_id"], line)
    lines = list(by_id.values())

    def key(numbered: tuple[int, bytes]) -> datetime:
        number, line = numbered
        moment: datetime = judge_line(line).fields["occurred_at"]
        return moment + timedelta(seconds=number * 7 % 60)

    times = [judge_line(line).fields["occurred_at"] for line in lines]
    unique = [line for line, at in zip(lines, times, strict=True) if times.count(at) == 1]
    shuffled = [line for _, line in sorted(enumerate(unique), key=key)]
    assert shuffled != unique

    def stuck(given: list[bytes]) -> list[Fields]:
        subjects = decided_on(stream, given)[1]
        return [one for subject in sorted(subjects) if subject[2] == "stuck" for one in subjects[subject]]

    assert stuck(shuffled) == stuck(unique)
