"""The reference by hand: every rule of 20.3 and 20.4 on both sides of its boundary."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reference.given import MINUTE, Fields, changed, event, is_401, released, said, success
from tests.reference.malformed import encode
from tests.reference.oracle import decide

T = 30 * MINUTE
QUIET = "no_activity"
REPORTED = "platform_timeout"
STUCK = ("stuck", T, "x", QUIET)


def start(seconds: float, execution: str = "x", **more: Any) -> Fields:
    return event(seconds, "started", execution, **more)


def beat(seconds: float, execution: str = "x", **more: Any) -> Fields:
    return event(seconds, "running", execution, **more)


def timed_out(seconds: float, execution: str = "x") -> Fields:
    return event(seconds, "timed_out", execution)


def clock(seconds: float) -> Fields:
    """An event of another workflow, which only moves the watermark."""
    return event(seconds, "success", "tick", workflow_id="clock")


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([start(0), clock(T - 1)], [], id="a second before the deadline"),
        pytest.param([start(0), clock(T)], [STUCK], id="at the deadline"),
        pytest.param([start(0), success(T - 1, "x"), clock(T)], [], id="a terminal before the deadline"),
        pytest.param(
            [start(0), success(T, "x")],
            [STUCK, ("recovered", T, "x")],
            id="a terminal at the deadline is too late",
        ),
        pytest.param([start(0), beat(1), clock(T)], [], id="a heartbeat moves the deadline"),
        pytest.param([start(0), beat(1), clock(T + 1)], [("stuck", T + 1, "x", QUIET)], id="to its own time"),
        pytest.param(
            [start(0), beat(T), clock(2 * T)],
            [STUCK, ("recovered", T, "x")],
            id="stuck once; activity recovers",
        ),
        pytest.param([beat(0), clock(T)], [STUCK], id="a heartbeat opens"),
        pytest.param([event(0, "queued", "x"), clock(T)], [], id="queued is nothing"),
        pytest.param([success(0, "x"), clock(T)], [], id="a terminal opens nothing"),
        pytest.param([success(0, "x"), start(1), clock(3 * T)], [], id="a start after the terminal opens nothing"),
        pytest.param(
            [success(0, "x"), clock(T + 59), start(T + 59), clock(3 * T)],
            [],
            id="as long as it is remembered",
        ),
        pytest.param(
            [success(0, "x"), start(T + 60), clock(3 * T)],
            [("stuck", 2 * T + 60, "x", QUIET)],
            id="and no longer",
        ),
        pytest.param(
            [start(0), success(T + 5, "x"), success(T + 6, "x", event_id="y")],
            [STUCK, ("recovered", T + 5, "x")],
            id="recovered once",
        ),
        pytest.param([timed_out(3)], [("stuck", 3, "x", REPORTED)], id="timed_out without a start"),
        pytest.param([start(0), timed_out(3), clock(T)], [("stuck", 3, "x", REPORTED)], id="and with one"),
        pytest.param(
            [start(0), timed_out(3), success(4, "x"), beat(5), clock(T)],
            [("stuck", 3, "x", REPORTED)],
            id="nothing comes after timed_out",
        ),
        pytest.param(
            [start(0), timed_out(T + 3), success(T + 9, "x")],
            [STUCK],
            id="timed_out of a stuck one only closes it",
        ),
        pytest.param([success(0, "x"), timed_out(3)], [], id="timed_out after a terminal is nothing"),
        pytest.param(
            [success(0, "x"), timed_out(T + 60)],
            [("stuck", T + 60, "x", REPORTED)],
            id="unless it is forgotten",
        ),
        pytest.param(
            [start(0, "b"), start(0, "a"), clock(T)],
            [("stuck", T, "a", QUIET), ("stuck", T, "b", QUIET)],
            id="due together: by execution id",
        ),
        pytest.param(
            [start(0), start(0, workflow_id="wf2", event_id="other"), success(1, "x"), clock(T)],
            [STUCK],
            id="execution ids are per workflow",
        ),
        pytest.param(
            [start(0), changed(5, "Live", "Archived"), clock(T)], [], id="an archived workflow is not watched"
        ),
        pytest.param(
            [start(0), changed(5, "Live", "Archived", automation_version_id="v1"), clock(T)],
            [],
            id="nor a version",
        ),
        pytest.param(
            [start(0), changed(5, "Live", "Archived", automation_version_id="v2"), clock(T)],
            [STUCK],
            id="another version is",
        ),
        pytest.param(
            [start(0), changed(T, "Live", "Archived")],
            [STUCK],
            id="deadlines come before a control of their time",
        ),
    ],
)
def test_in_order(given: list[Fields], then: list[tuple[Any, ...]]) -> None:
    assert said(given) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([start(0), clock(T + 60), success(T - 1, "x")], [STUCK, ("recovered", T - 1, "x")], id="late"),
        pytest.param([start(0), clock(T + 59), success(T - 1, "x")], [], id="the watermark is short of the deadline"),
        pytest.param([clock(60), success(0, "x"), start(0)], [], id="on the watermark: by arrival"),
        pytest.param([success(5, "x"), start(4), clock(T + 9)], [], id="disorder within the lateness"),
        pytest.param([clock(T + 60), start(0), clock(3 * T)], [], id="late, its deadline reached: opens nothing"),
        pytest.param([clock(T + 60), start(1)], [("stuck", T + 1, "x", QUIET)], id="late, not reached: opens"),
        pytest.param(
            [start(0), clock(T + 65), beat(1), clock(T + 66)],
            [STUCK, ("recovered", 1, "x")],
            id="later than A",
        ),
        pytest.param([start(3), clock(T + 65), beat(3)], [("stuck", T + 3, "x", QUIET)], id="not later than A"),
        pytest.param([clock(9000), timed_out(5)], [("stuck", 5, "x", REPORTED)], id="timed_out is stuck however late"),
        pytest.param(
            [start(0), success(T - 1, "x"), clock(T + 60)],
            [],
            id="the terminal is judged before the deadline",
        ),
        pytest.param(
            [clock(9000), success(0, "x"), start(8000), clock(12000)],
            [("stuck", 9800, "x", QUIET)],
            id="a terminal so late is forgotten at once",
        ),
    ],
)
def test_disorder(given: list[Fields], then: list[tuple[Any, ...]]) -> None:
    assert said(given) == then


@pytest.mark.parametrize(
    ("until", "then"),
    [
        pytest.param(None, [], id="the file ends early"),
        pytest.param(-5, [], id="until before the end is nothing"),
        pytest.param(T - 1, [], id="until a second before"),
        pytest.param(T, [STUCK], id="until the deadline"),
    ],
)
def test_the_end_of_a_file(until: float | None, then: list[tuple[Any, ...]]) -> None:
    assert said([start(0)], until=until) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([event(0, "queued", "x"), clock(300)], [("stuck", 300, "x", QUIET)], id="queued too long"),
        pytest.param([event(0, "queued", "x"), start(299), clock(T)], [], id="started in time"),
        pytest.param([start(0), event(9, "queued", "x"), clock(309)], [("stuck", 309, "x", QUIET)], id="last rules"),
        pytest.param(
            [event(0, "queued", "x"), start(T, workflow_id="wf2"), event(T, "queued", "x", event_id="q")],
            [("stuck", 300, "x", QUIET)],
            id="queued recovers nothing",
        ),
    ],
)
def test_queue_timeout(given: list[Fields], then: list[tuple[Any, ...]]) -> None:
    assert said(given, policies={"defaults": {"stuck_executions": {"queue_timeout": "5m"}}}) == then


def reported(*moments: float) -> list[Fields]:
    """Time-outs of executions a, b, c, ... at these moments."""
    return [timed_out(at, "abcdefgh"[number]) for number, at in enumerate(moments)]


def blacklisted(given: list[Fields]) -> list[tuple[Any, ...]]:
    policies = {"defaults": {"circuit_breaker": {"threshold": 3, "window": "10m"}}}
    return [one for one in said(given, policies=policies) if one[0] == "blacklist"]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(reported(0, 1), [], id="below the threshold"),
        pytest.param(reported(0, 1, 2), [("blacklist", 2, "auto:stuck:3", "a b c")], id="at the threshold"),
        pytest.param(reported(0, 1, 2, 3), [("blacklist", 2, "auto:stuck:3", "a b c")], id="once"),
        pytest.param(reported(0, 1, 600), [], id="exactly window old is outside"),
        pytest.param(reported(0, 1, 599), [("blacklist", 599, "auto:stuck:3", "a b c")], id="younger is inside"),
        pytest.param([*reported(0, 1), released(1), *reported(0, 1, 2)[2:]], [], id="a release clears"),
        pytest.param(
            [*reported(0, 1, 2), released(5), *[timed_out(6, one) for one in "uvw"]],
            [("blacklist", 2, "auto:stuck:3", "a b c"), ("blacklist", 6, "auto:stuck:3", "u v w")],
            id="after a release again",
        ),
        pytest.param([released(5), *[timed_out(5, one) for one in "uvw"]], [], id="stuck at the release is nothing"),
        pytest.param(
            [start(0, "r"), *reported(T, T + 1), success(T + 1, "r"), timed_out(T + 2, "d")],
            [("blacklist", T + 1, "auto:stuck:3", "a b r")],
            id="counted while stuck",
        ),
        pytest.param([start(0, "r"), success(T, "r"), *reported(T, T + 1)], [], id="recovered is not counted"),
        pytest.param(
            [start(0, "r"), success(T, "r"), clock(T + 99), *reported(T - 601, T - 600, T - 599)],
            [],
            id="but sets the newest time",
        ),
        pytest.param(
            [clock(9000), *reported(600, 599, 1)],
            [("blacklist", 1, "auto:stuck:3", "a b c")],
            id="a late one counts in the newest window",
        ),
    ],
)
def test_breaker(given: list[Fields], then: list[tuple[Any, ...]]) -> None:
    assert blacklisted(given) == then


def test_evidence_of_a_stuck_execution_is_its_events_by_time_then_arrival() -> None:
    given = [start(0), beat(10, event_id="second"), beat(10, event_id="third"), beat(5), timed_out(20)]
    decided = decide([encode(fields) for fields in given], is_auth_failure=is_401).decisions
    evidence = ["x:started:0", "x:running:5", "second", "third", "x:timed_out:20"]
    assert [one["evidence"] for one in decided] == [evidence]
