"""10 by examples: what is an event, what is not, and which code says why."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.decode import decode, decode_all
from dataflows.events import (
    MAX_MESSAGE_BYTES,
    STATUS_ALIASES,
    TERMINAL,
    AutomationStatus,
    AutomationStatusChanged,
    ControlEvent,
    CredentialEvent,
    Event,
    HoldEnded,
    JobType,
    RunEvent,
    RunStatus,
    WorkflowReleased,
)
from dataflows.times import to_micros

MINIMAL: dict[str, Any] = {
    "event_id": "e1",
    "status": "success",
    "occurred_at": "2026-03-02T08:00:00Z",
    "tenant_id": "t1",
    "automation_version_id": "v1",
    "execution_id": "x1",
}
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)

TOO_LARGE, NOT_JSON, NOT_AN_OBJECT = DeadLetterCode.TOO_LARGE, DeadLetterCode.NOT_JSON, DeadLetterCode.NOT_AN_OBJECT
MISSING, INVALID, NAIVE = DeadLetterCode.MISSING_FIELD, DeadLetterCode.INVALID_FIELD, DeadLetterCode.NAIVE_TIMESTAMP


def encode(**fields: Any) -> bytes:
    """The minimal event, changed."""
    return json.dumps({**MINIMAL, **fields}, ensure_ascii=False).encode()


def with_text(text: bytes) -> bytes:
    """The minimal event with one more field, written out."""
    return encode()[:-1] + b", " + text + b"}"


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in MINIMAL.items() if name not in names}


def event(**values: Any) -> RunEvent:
    """What the minimal event is decoded to, changed."""
    return RunEvent(**{**MINIMAL, "status": RunStatus.SUCCESS, "occurred_at": AT, **values})


def decode_as_batch(raw: bytes) -> RunEvent | None:
    """By the road for whole batches, which may leave anything to the other one."""
    decoded = decode_all([raw], raw)
    events = None if decoded is None else decoded[0]
    return None if events is None else events[0]


def read(raw: bytes) -> Event:
    """The event, by every road that knows it."""
    answer = decode(raw)
    assert decode_as_batch(raw) in (None, answer)
    return answer


def refused(raw: bytes) -> tuple[DeadLetterCode, str]:
    """Why there is none, by every road."""
    with pytest.raises(Unusable) as fault:
        decode(raw)
    if raw.isascii() and len(raw) <= MAX_MESSAGE_BYTES:
        assert decode_as_batch(raw) is None
    return fault.value.code, fault.value.explanation


# ---- usable


def test_the_least_that_is_an_event() -> None:
    assert decode(encode()) == event()
    assert decode_as_batch(encode()) == event()


def test_an_event_with_everything() -> None:
    values: dict[str, Any] = {
        "workflow_id": "wf1",
        "system_key": "crm",
        "http_status": 401,
        "error_code": "invalid_grant",
        "error_message": "Bad credentials",
        "scenario_id": "s1",
        "scenario_name": "Nightly",
        "job_type": "FILING",
        "credits_total": 3,
        "credits_in": 1.5,
        "credits_out": 1.5,
        "model": "m",
        "input_tokens": 1,
        "output_tokens": 2,
        "retry_count": 0,
        "has_idempotency_key": True,
        "has_max_items_config": False,
        "is_batch_job": True,
        "is_backfill": False,
        "prompt_version": "p",
        "deployment_timestamp": "2026-03-01T00:00:00+01:00",
        "input_item_count": 4,
        "risk_flags": ["pii_exposure", "of the sender's own"],
        "artifacts_link": "https://example.org/a?b=c",
    }
    decoded = {
        "job_type": JobType.FILING,
        "credits_total": 3.0,
        "deployment_timestamp": datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=1))),
    }
    assert read(encode(**values)) == event(**{**values, **decoded})


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({name: None}, id=f"null {name} is no {name}")
        for name in RunEvent.__struct_fields__
        if name not in MINIMAL
    ]
    + [
        pytest.param({"payload": {"tenant_id": "t2", "status": "failure"}}, id="a payload changes nothing"),
        pytest.param({"payload": "kind"}, id="nor does its type"),
        pytest.param({"a_field_of_the_future": [{}]}, id="unknown fields are ignored"),
        pytest.param({"Status": "failure", "tenantId": "t2"}, id="names have one spelling"),
        pytest.param({"run_id": "other"}, id="run_id is not read where execution_id is"),
        pytest.param({"run_id": 7}, id="nor is it looked at"),
        pytest.param({"kind": "of_the_future"}, id="an unknown kind is a run event"),
        pytest.param({"kind": "Workflow_Released"}, id="a kind has one spelling"),
        pytest.param({"kind": 7}, id="a kind that is no text"),
        pytest.param({"kind": ["workflow_released"]}, id="a kind that is a list"),
    ],
)
def test_what_changes_nothing(more: dict[str, Any]) -> None:
    decoded = read(encode(**more))
    assert decoded in (event(), event(run_id=more.get("run_id")), event(kind=more.get("kind")))
    assert isinstance(decoded, RunEvent)
    assert decoded.execution_id == "x1"


def test_run_id_stands_in_for_execution_id() -> None:
    line = {**without("execution_id"), "run_id": "r1"}
    assert read(json.dumps(line).encode()) == event(execution_id="r1")
    assert read(json.dumps({**line, "execution_id": None}).encode()) == event(execution_id="r1")


ALIASES = {
    RunStatus.QUEUED: "queued",
    RunStatus.STARTED: "started start",
    RunStatus.RUNNING: "running heartbeat progress",
    RunStatus.SUCCESS: "success succeeded completed complete",
    RunStatus.FAILURE: "failure failed fail error crashed quarantined escalated",
    RunStatus.CANCELLED: "cancelled canceled aborted abort",
    RunStatus.TIMED_OUT: "timed_out",
}


@pytest.mark.parametrize(
    ("name", "status"), [(name, status) for status, names in ALIASES.items() for name in names.split()]
)
def test_a_status_has_aliases_in_any_case(name: str, status: RunStatus) -> None:
    for written in (name, name.upper(), name.title()):
        decoded = read(encode(status=written))
        assert decoded == event(status=status)
        assert isinstance(decoded, RunEvent)
        assert type(decoded.status) is RunStatus


def test_there_are_no_other_aliases() -> None:
    assert set(STATUS_ALIASES) == {name for names in ALIASES.values() for name in names.split()}
    assert {status.value for status in TERMINAL} == {"success", "failure", "cancelled", "timed_out"}


@pytest.mark.parametrize(
    ("written", "time"),
    [
        pytest.param("2026-03-02T08:00:00Z", AT, id="Z"),
        pytest.param("2026-03-02T08:00:00+00:00", AT, id="an offset of nothing"),
        pytest.param("2026-03-02T08:00:00-00:00", AT, id="an unknown local offset"),
        pytest.param("2026-03-02T08:00:00-0000", AT, id="the same without its colon, which no search is spent on"),
        pytest.param("2026-03-02T13:30:00+05:30", AT, id="east of Greenwich"),
        pytest.param("2026-03-01T08:01:00-23:59", AT, id="the largest offset"),
        pytest.param("2026-03-02t08:00:00z", AT, id="small letters"),
        pytest.param("2026-03-02 08:00:00Z", AT, id="a space for the T"),
        pytest.param("2026-03-02T08:00:00.000001Z", AT + timedelta(microseconds=1), id="a microsecond"),
        pytest.param("2026-03-02T08:00:00.1Z", AT + timedelta(milliseconds=100), id="a tenth of a second"),
        pytest.param("2026-03-02T08:00:00.0000014Z", AT + timedelta(microseconds=1), id="more digits are rounded"),
        pytest.param("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC), id="a leap day"),
        pytest.param("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC), id="the first instant"),
        pytest.param("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC), id="the last instant"),
    ],
)
def test_times(written: str, time: datetime) -> None:
    for line in (encode(occurred_at=written), encode(occurred_at=written, status="SUCCESS")):
        decoded = read(line)
        assert isinstance(decoded, RunEvent)
        assert decoded.occurred_at == time


@pytest.mark.parametrize(
    ("written", "usable"),
    [
        pytest.param(rb"2026-03-02T08:00:00\u005a", True, id="an escaped Z"),
        pytest.param(rb"2026-03-02T08:00:00\u002b00:00", True, id="an escaped plus"),
        pytest.param(
            rb"2026-03-02T08:00:00\u002b0000",
            False,
            id="an escaped plus of a compact offset",
        ),
        pytest.param(rb"2026-03-02T08:00:00+000\u0030", False, id="an escaped digit of a compact offset of zero"),
        pytest.param(rb"2026-03-02T08:00:00+01\u00300", False, id="an escaped digit of another compact offset"),
        pytest.param(rb"2026-03-02T08:00:0\u0030+0100", False, id="an escaped second before a compact offset"),
        pytest.param(
            rb"2026-03-02T08:00\u003a00.5\u002d0100", False, id="all else that a compact offset may hide behind"
        ),
    ],
)
def test_an_escape_in_a_time_changes_nothing(written: bytes, *, usable: bool) -> None:
    for status in ("success", "SUCCESS"):
        raw = encode(occurred_at="@", status=status).replace(b"@", written)
        if usable:
            assert read(raw) == event()
        else:
            assert refused(raw) == (INVALID, "invalid: occurred_at")


# ---- limits, in pairs


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        pytest.param("event_id", "e", "", id="event_id: at least one character"),
        pytest.param("event_id", "e" * 128, "e" * 129, id="event_id: at most 128"),
        pytest.param("event_id", "aZ09._:-", "a b", id="event_id: no space"),
        pytest.param("event_id", "a-b", "a/b", id="event_id: no slash"),
        pytest.param("event_id", "a", "ä", id="event_id: no letter with an accent"),
        pytest.param("event_id", "9", "٩", id="event_id: no digit of another script"),
        pytest.param("event_id", "a", "a\n", id="event_id: no line end at its end"),
        pytest.param("event_id", "a.b", "a\nb", id="event_id: nor inside"),
        pytest.param("event_id", "7", 7, id="event_id: no number"),
        pytest.param("status", "success", "done", id="status: a known one"),
        pytest.param("status", "success", " success", id="status: no spaces around it"),
        pytest.param("status", "success", "", id="status: not empty"),
        pytest.param("status", "success", 1, id="status: no number"),
        pytest.param("status", "timed_out", "timed out", id="status: one spelling"),
        *(
            pytest.param(name, good, bad, id=f"{name}: {why}")
            for name in ("tenant_id", "automation_version_id", "workflow_id", "execution_id")
            for good, bad, why in (
                ("a", "", "at least one character"),
                ("a" * 128, "a" * 129, "at most 128 characters"),
                ("ü" * 128, "ü" * 129, "characters, not bytes"),
                ("😀" * 128, "😀" * 129, "characters, not halves of a pair"),
                (" any / text\n", 5, "no number"),
                ("null", ["a"], "no list"),
            )
        ),
        pytest.param("system_key", "s" * 64, "s" * 65, id="system_key: at most 64 characters"),
        pytest.param("system_key", "", 4, id="system_key: may be empty, but is a text"),
        pytest.param("http_status", 100, 99, id="http_status: from 100"),
        pytest.param("http_status", 599, 600, id="http_status: to 599"),
        pytest.param("http_status", 401, "401", id="http_status: no text"),
        pytest.param("http_status", 401, 401.0, id="http_status: no fraction, not even none"),
        pytest.param("http_status", 100, True, id="http_status: no bool"),
        pytest.param("error_code", "c" * 128, "c" * 129, id="error_code: at most 128 characters"),
        pytest.param("error_code", "401", 401, id="error_code: no number"),
        pytest.param("error_message", "m" * 8192, "m" * 8193, id="error_message: at most 8 KiB"),
        pytest.param("error_message", "ü" * 4096, "ü" * 4096 + "m", id="error_message: bytes, not characters"),
        pytest.param("error_message", "😀" * 2048, "😀" * 2048 + "m", id="error_message: of UTF-8"),
        pytest.param("error_message", "\x00" * 8192, "\x00" * 8193, id="error_message: of the text, not its escapes"),
        pytest.param("error_message", "Bad", {"text": "Bad"}, id="error_message: no object"),
        pytest.param("scenario_id", "s" * 128, "s" * 129, id="scenario_id: at most 128"),
        pytest.param("scenario_name", "s" * 240, "s" * 241, id="scenario_name: at most 240"),
        pytest.param("job_type", "OTHER", "other", id="job_type: one spelling"),
        pytest.param("job_type", "ANALYSIS", "MINING", id="job_type: a known one"),
        *(
            pytest.param(name, good, bad, id=f"{name}: {why}")
            for name in ("credits_total", "credits_in", "credits_out")
            for good, bad, why in (
                (0, -1, "not below nothing"),
                (0.0, -0.001, "not a little below it"),
                (1e308, "1", "a number"),
                (1, True, "no bool"),
            )
        ),
        pytest.param("model", "m" * 120, "m" * 121, id="model: at most 120"),
        pytest.param("prompt_version", "p" * 120, "p" * 121, id="prompt_version: at most 120"),
        *(
            pytest.param(name, good, bad, id=f"{name}: {why}")
            for name in ("input_tokens", "output_tokens", "retry_count", "input_item_count")
            for good, bad, why in (
                (0, -1, "not below nothing"),
                (2**53 + 1, 1.5, "no fraction"),
                (2**63 - 1, 2**63, "of 63 bits"),
                (1, 10**400, "not larger than doubles"),
                (2, "1", "no text"),
                (1, False, "no bool"),
            )
        ),
        *(
            pytest.param(name, good, bad, id=f"{name}: {why}")
            for name in ("has_idempotency_key", "has_max_items_config", "is_batch_job", "is_backfill")
            for good, bad, why in ((True, 1, "no number"), (False, "false", "no text"))
        ),
        pytest.param("deployment_timestamp", "2026-03-01T00:00:00Z", "2026-03-01", id="deployment_timestamp: a time"),
        pytest.param("risk_flags", [], "pii_exposure", id="risk_flags: a list"),
        pytest.param("risk_flags", ["a"], ["a", 1], id="risk_flags: of texts"),
        pytest.param("risk_flags", ["a"], [None], id="risk_flags: not of nothing"),
        pytest.param("artifacts_link", "https://a.b/c", "ftp://a.b/c", id="artifacts_link: http or https"),
        pytest.param("artifacts_link", "HTTP://a.b", "a.b/c", id="artifacts_link: with its scheme"),
        pytest.param("artifacts_link", "http://a.b", "http://", id="artifacts_link: with a host"),
        pytest.param("artifacts_link", "http://a.b/c", "http://a.b/c d", id="artifacts_link: no space"),
        pytest.param("artifacts_link", "http://a.b", "javascript:alert(1)//http://a", id="artifacts_link: no script"),
        pytest.param("artifacts_link", "http://a.b", "http://a.b\n", id="artifacts_link: no line end"),
        pytest.param(
            "artifacts_link",
            "https://a.b/" + "c" * 2036,
            "https://a.b/" + "c" * 2037,
            id="artifacts_link: at most 2,048 characters",
        ),
    ],
)
def test_limits_of_a_field(name: str, good: Any, bad: Any) -> None:
    decoded = read(encode(**{name: good}))
    written = json.loads(encode(**{name: good}))[name]
    if name not in ("status", "deployment_timestamp"):
        assert getattr(decoded, name) == written
    assert refused(encode(**{name: bad})) == (INVALID, f"invalid: {name}")


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "",
        "1772438400",
        "2026-03-02",
        "2026-03-02T08:00Z",
        "2026-03-02T08Z",
        "20260302T080000Z",
        "2026-W10-1T08:00:00Z",
        "2026-3-2T8:00:00Z",
        "26-03-02T08:00:00Z",
        "2026-02-29T08:00:00Z",
        "2026-13-01T08:00:00Z",
        "2026-03-02T24:00:00Z",
        "2026-03-02T08:60:00Z",
        "2026-03-02T08:00:60Z",
        "2026-03-02T08:00:00.Z",
        "2026-03-02T08:00:00,5Z",
        "2026-03-02T08:00:00+24:00",
        "2026-03-02T08:00:00+05:60",
        "2026-03-02T08:00:00+05",
        "2026-03-02T08:00:00+0000",
        "2026-03-02T08:00:00+0530",
        "2026-03-02T08:00:00 +00:00",
        "2026-03-02T08:00:00 UTC",
        " 2026-03-02T08:00:00Z",
        "2026-03-02T08:00:00Z\n",
        "\uff12\uff10\uff12\uff16-03-02T08:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        1772438400,
        1772438400.5,
        True,
        [],
        {},
    ],
)
@pytest.mark.parametrize("name", ["occurred_at", "deployment_timestamp"])
def test_what_is_no_time(name: str, written: Any) -> None:
    assert refused(encode(**{name: written})) == (INVALID, f"invalid: {name}")


@pytest.mark.parametrize("written", ["2026-03-02T08:00:00", "2026-03-02T08:00:00.25", "2026-03-02 08:00:00"])
@pytest.mark.parametrize("name", ["occurred_at", "deployment_timestamp"])
def test_a_time_without_an_offset_is_naive(name: str, written: str) -> None:
    assert refused(encode(**{name: written})) == (NAIVE, f"without an offset: {name}")


# ---- JSON


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(rb'"model": "\ud83d\ude00"', id="a surrogate pair"),
        pytest.param(rb'"model": "\u0000"', id="an escaped NUL"),
        pytest.param(b'"payload": 1e999', id="a number beyond doubles that nobody reads"),
        pytest.param(b'"payload": ' + b"9" * 5000, id="an integer of 5,000 digits that nobody reads"),
        pytest.param(b'"payload": ' + b"[" * 500 + b"]" * 500, id="nested 500 deep"),
        pytest.param(b'"st\\u0061tus": "success"', id="a name with an escape; the last of two counts"),
        pytest.param(b'"status": "Completed"', id="a field twice: the last counts"),
        pytest.param(b'"input_tokens": -0', id="minus nothing"),
    ],
)
def test_what_is_json(text: bytes) -> None:
    decoded = read(with_text(text))
    assert isinstance(decoded, RunEvent)
    assert (decoded.event_id, decoded.status, decoded.occurred_at) == ("e1", RunStatus.SUCCESS, AT)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b" \t" + encode() + b" \r", id="blanks around it"),
        pytest.param(encode() + b"\r", id="a line end of Windows"),
        pytest.param(encode().replace(b", ", b",\n"), id="several lines"),
    ],
)
def test_white_space_changes_nothing(raw: bytes) -> None:
    assert read(raw) == event()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"not json", id="some text"),
        pytest.param(b"\x00", id="a NUL"),
        pytest.param(b"\xc2\xa0", id="a blank that JSON does not know"),
        pytest.param(b"{", id="a brace"),
        pytest.param(encode()[:-1], id="cut off"),
        pytest.param(encode() + b"}", id="a brace too many"),
        pytest.param(encode() + encode(), id="two objects"),
        pytest.param(encode() + b" x", id="something after it"),
        pytest.param(encode()[:-1] + b",}", id="a comma too many"),
        pytest.param(encode().replace(b'"', b"'"), id="single quotes"),
        pytest.param(encode().replace(b'"status"', b"status"), id="a bare name"),
        pytest.param(b"\xef\xbb\xbf" + encode(), id="a byte order mark"),
        pytest.param(encode().decode().encode("utf-16"), id="UTF-16"),
        pytest.param(encode().decode().encode("utf-16-le"), id="UTF-16 without a mark"),
        *(
            pytest.param(with_text(b'"%s": %s' % (name, value)), id=f"{name.decode()}: {why}")
            for name in (b"model", b"payload", b"credits_total")
            for value, why in (
                (b"NaN", "NaN"),
                (b"Infinity", "infinity"),
                (b"-Infinity", "minus infinity"),
                (b"01", "a leading zero"),
                (b"+1", "a plus"),
                (b".5", "no digit before the point"),
                (b"1.", "no digit after it"),
                (b"1e", "no exponent"),
                (b"0x1", "hexadecimal"),
                (b"tru", "half a word"),
                (b"True", "a word of Python"),
                (b"[1,]", "a comma too many"),
                (b"/* */ 1", "a comment"),
                (b'"\t"', "a bare tab in a text"),
                (b'"\x00"', "a bare NUL in a text"),
                (rb'"\x"', "an unknown escape"),
                (rb'"\u12"', "half an escape"),
                (rb'"\ud800"', "half a surrogate pair"),
                (rb'"\udc00\ud800"', "a pair the wrong way round"),
                (b'"\xff"', "no UTF-8"),
                (b'"\xc0\xaf"', "overlong UTF-8"),
                (b'"\xed\xa0\x80"', "a surrogate in UTF-8"),
                (b'"\xf4\x90\x80\x80"', "UTF-8 beyond the last character"),
                (b'"\xc3"', "UTF-8 cut off"),
            )
        ),
        pytest.param(with_text(b'"\xff": 1'), id="a name that is not UTF-8"),
        pytest.param(with_text(rb'"\ud800": 1'), id="a name with half a surrogate pair"),
        pytest.param(with_text(b'"payload": {"a": NaN}'), id="deep in what nobody reads"),
        pytest.param(b"nul", id="half of null"),
        pytest.param(b"NaN", id="NaN alone"),
        pytest.param(b'"\xff"', id="a text alone that is not UTF-8"),
    ],
)
def test_what_is_no_json(raw: bytes) -> None:
    assert refused(raw)[0] is NOT_JSON


@pytest.mark.parametrize(
    "brackets", [pytest.param((b"[", b"]"), id="lists"), pytest.param((b'{"a":', b"}"), id="objects")]
)
@pytest.mark.parametrize("name", [b"payload", b"kind", b"risk_flags", b"status"])
def test_what_is_nested_too_deeply_is_taken_for_no_json(name: bytes, brackets: tuple[bytes, bytes]) -> None:
    deep = brackets[0] * 100_000 + b"1" + brackets[1] * 100_000
    assert refused(with_text(b'"%s": %s' % (name, deep))) == (NOT_JSON, "nested too deeply")


def at_depth(frames: int, raw: bytes) -> bool:
    """Whether a message is usable, asked so many calls further down."""
    if frames:
        return at_depth(frames - 1, raw)
    try:
        return decode(raw) is not None
    except Unusable:
        return False


def test_how_deep_a_message_may_be_nested_does_not_depend_on_the_caller() -> None:
    shallow, deep = (
        [at_depth(frames, with_text(b'"payload": ' + b"[" * depth + b"]" * depth)) for depth in (500, 511, 512, 900)]
        for frames in (0, 300)
    )
    assert shallow == deep == [True, True, False, False]


def test_brackets_in_texts_are_no_nesting() -> None:
    assert read(with_text(b'"payload": ["%s"]' % (b'[{\\"' * 2000))) == event()


@pytest.mark.parametrize("raw", [b"null", b"1", b"-1.5e3", b"true", b'"{}"', b"[]", b"[" + encode() + b"]", b" [] "])
def test_what_is_no_object(raw: bytes) -> None:
    assert refused(raw) == (NOT_AN_OBJECT, "JSON, but no object")


@pytest.mark.parametrize("raw", [b"[", b"[NaN]", b"[1,]", b"12abc", b'"abc', b"[] x", b"1.", b'["\\ud800"]'])
def test_what_is_neither_json_nor_an_object_is_no_json(raw: bytes) -> None:
    assert refused(raw)[0] is NOT_JSON


# ---- required fields, size, and which of several faults counts


@pytest.mark.parametrize("name", MINIMAL)
def test_a_required_field_is_missing_when_absent_or_null(name: str) -> None:
    assert refused(json.dumps(without(name)).encode()) == (MISSING, f"missing: {name}")
    assert refused(encode(**{name: None})) == (MISSING, f"missing: {name}")
    assert refused(encode(**{name: None, "kind": "of_the_future"})) == (MISSING, f"missing: {name}")


def test_every_missing_field_is_named() -> None:
    assert refused(b"{}") == (MISSING, "missing: " + ", ".join(MINIMAL))


def full(size: int, **fields: Any) -> bytes:
    """An event of so many bytes."""
    return encode(**fields, payload="x" * (size - len(encode(**fields, payload=""))))


def test_a_message_of_a_mebibyte_is_not_too_large() -> None:
    assert len(full(MAX_MESSAGE_BYTES)) == 1024 * 1024
    assert read(full(MAX_MESSAGE_BYTES)) == event()
    assert refused(full(MAX_MESSAGE_BYTES + 1)) == (TOO_LARGE, "more than 1048576 bytes")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(b"\xff" * (MAX_MESSAGE_BYTES + 1), TOO_LARGE, id="too large before no UTF-8"),
        pytest.param(b"[" * (MAX_MESSAGE_BYTES + 1), TOO_LARGE, id="too large before no JSON"),
        pytest.param(full(MAX_MESSAGE_BYTES + 1, status=None), TOO_LARGE, id="too large before missing"),
        pytest.param(b'["\xff"]', NOT_JSON, id="no UTF-8 before no object"),
        pytest.param(b'{"status": NaN}', NOT_JSON, id="no JSON before missing"),
        pytest.param(encode(status=5)[:-1], NOT_JSON, id="no JSON before invalid"),
        pytest.param(encode(status=None, http_status=1), MISSING, id="missing before invalid"),
        pytest.param(encode(occurred_at="2026-03-02T08:00:00", execution_id=None), MISSING, id="missing before naive"),
        pytest.param(encode(occurred_at="2026-03-02T08:00:00", http_status=1), INVALID, id="invalid before naive"),
        pytest.param(
            encode(occurred_at="2026-03-02T08:00:00", status="done"), INVALID, id="an unknown status before naive"
        ),
        pytest.param(
            encode(occurred_at="2026-03-02T08:00:00", event_id="a b"), INVALID, id="a bad event id before naive"
        ),
        pytest.param(
            encode(occurred_at="2026-03-02T08:00:00", error_message="ü" * 5000),
            INVALID,
            id="too many bytes before naive",
        ),
        pytest.param(
            encode(occurred_at="2026-03-02T08:00:00", artifacts_link="ftp://a"), INVALID, id="a bad link before naive"
        ),
        pytest.param(
            encode(occurred_at="2026-03-02T08:00:00", deployment_timestamp="soon"),
            INVALID,
            id="an unparsable time before a naive one",
        ),
    ],
)
def test_of_several_faults_the_first_in_the_order_of_the_codes_counts(raw: bytes, code: DeadLetterCode) -> None:
    assert refused(raw)[0] is code


def test_an_explanation_names_fields_and_no_values() -> None:
    secret = "hunter2 "
    line = encode(event_id=secret, tenant_id=[secret], error_code={"token": secret}, occurred_at=secret)
    assert refused(line) == (INVALID, "invalid: error_code, event_id, occurred_at, tenant_id")


def test_a_batch_is_all_run_events_or_left_alone() -> None:
    good = [encode(event_id=f"e{number}") for number in range(3)]
    events = [event(event_id=f"e{number}") for number in range(3)]
    assert decode_all(good, b"".join(good)) == (events, [to_micros(AT)] * 3)
    for odd in (encode(status="over"), encode(http_status=1), encode(event_id="a\nb"), b"x", encode(kind="k")):
        assert decode_all([*good, odd], b"".join([*good, odd])) is None


# ---- control events

CONTROL = {"tenant_id": "t1", "workflow_id": "wf1", "occurred_at": "2026-03-02T08:00:00Z"}
LINES: dict[str, dict[str, Any]] = {
    "automation_status_changed": {**CONTROL, "from_status": "Blocked", "to_status": "Live"},
    "credential_event": {**CONTROL, "event_id": "c1", "system_key": "crm", "status": "revoked"},
    "hold_ended": {**CONTROL, "system_key": "crm", "from": "2026-03-02T07:00:00Z", "to": "2026-03-02T07:30:00Z"},
    "workflow_released": CONTROL,
}
EVERY_FIELD = [(kind, name) for kind, line in LINES.items() for name in line]


def encode_control(kind: str, **fields: Any) -> bytes:
    return json.dumps({"kind": kind, **LINES[kind], **fields}).encode()


@pytest.mark.parametrize(
    ("kind", "then"),
    [
        (
            "automation_status_changed",
            AutomationStatusChanged(
                tenant_id="t1",
                workflow_id="wf1",
                occurred_at=AT,
                from_status=AutomationStatus.BLOCKED,
                to_status=AutomationStatus.LIVE,
            ),
        ),
        (
            "credential_event",
            CredentialEvent(
                tenant_id="t1",
                workflow_id="wf1",
                occurred_at=AT,
                event_id="c1",
                system_key="crm",
                status="revoked",
            ),
        ),
        (
            "hold_ended",
            HoldEnded(
                tenant_id="t1",
                workflow_id="wf1",
                occurred_at=AT,
                system_key="crm",
                from_time=AT - timedelta(hours=1),
                to_time=AT - timedelta(minutes=30),
            ),
        ),
        ("workflow_released", WorkflowReleased(tenant_id="t1", workflow_id="wf1", occurred_at=AT)),
    ],
)
def test_control_events(kind: str, then: ControlEvent) -> None:
    assert read(encode_control(kind)) == then
    assert read(encode_control(kind, a_field_of_the_future=1, automation_version_id=None)) == then


def test_a_status_change_may_name_its_version() -> None:
    changed = read(encode_control("automation_status_changed", automation_version_id="v1"))
    assert isinstance(changed, AutomationStatusChanged)
    assert changed.automation_version_id == "v1"


def test_a_control_event_that_looks_like_a_run_event_is_a_control_event() -> None:
    line = {**MINIMAL, "kind": "workflow_released", "workflow_id": "wf1"}
    released = WorkflowReleased(tenant_id="t1", workflow_id="wf1", occurred_at=AT, event_id="e1")
    assert read(json.dumps(line).encode()) == released
    assert read(json.dumps(line).replace("workflow_released", "workflow\\u005freleased").encode()) == released


@pytest.mark.parametrize(("kind", "name"), EVERY_FIELD)
def test_every_field_of_a_control_event_is_required(kind: str, name: str) -> None:
    absent = {"kind": kind, **{key: value for key, value in LINES[kind].items() if key != name}}
    assert refused(json.dumps(absent).encode()) == (MISSING, f"missing: {name}")
    assert refused(encode_control(kind, **{name: None})) == (MISSING, f"missing: {name}")


@pytest.mark.parametrize(("kind", "name"), EVERY_FIELD)
@pytest.mark.parametrize("value", [5, [], {}, True, ""])
def test_a_bad_field_of_a_control_event_is_invalid(kind: str, name: str, value: Any) -> None:
    assert refused(encode_control(kind, **{name: value})) == (INVALID, f"invalid: {name}")


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, name in EVERY_FIELD if name in ("occurred_at", "from", "to")]
)
def test_a_naive_time_of_a_control_event(kind: str, name: str) -> None:
    assert refused(encode_control(kind, **{name: "2026-03-02T08:00:00"})) == (NAIVE, f"without an offset: {name}")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(encode_control("credential_event", status="s" * 65), INVALID, id="a status of 65 characters"),
        pytest.param(encode_control("credential_event", event_id="a b"), INVALID, id="an id with a space"),
        pytest.param(encode_control("credential_event", event_id="c" * 129), INVALID, id="an id of 129 characters"),
        pytest.param(encode_control("hold_ended", system_key="s" * 65), INVALID, id="a system key of 65 characters"),
        pytest.param(encode_control("workflow_released", workflow_id="w" * 129), INVALID, id="a workflow of 129"),
        pytest.param(
            encode_control("automation_status_changed", to_status="live"), INVALID, id="a status the lifecycle lacks"
        ),
        pytest.param(
            encode_control("automation_status_changed", automation_version_id=""), INVALID, id="an empty version"
        ),
        pytest.param(
            encode_control("hold_ended", occurred_at="2026-03-02T08:00:00", to=None), MISSING, id="missing before naive"
        ),
        pytest.param(
            encode_control("hold_ended", occurred_at="2026-03-02T08:00:00", to="soon"), INVALID, id="invalid first"
        ),
    ],
)
def test_control_lines_have_the_codes_of_run_events(raw: bytes, code: DeadLetterCode) -> None:
    assert refused(raw)[0] is code
