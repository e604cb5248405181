"""20.3 by examples: every rule on both sides of its boundary."""

from datetime import timedelta
from typing import Any

import pytest

from dataflows.decisions import Decision, DecisionKind, ReasonCode
from tests.given import (
    DAY,
    HOUR,
    LATENESS,
    MICROSECOND,
    SECOND,
    Line,
    Said,
    beat,
    block,
    changed,
    control,
    decide,
    decisions,
    denied,
    ended,
    failed,
    recovered,
    run,
    started,
    stuck,
    tick,
    time,
    timed_out,
)

# The defaults: an execution may be silent for 30 minutes, an event may be 1 minute late.
T = 30
L = 1
REPORTED = "platform_timeout"


def archived(at: float, **more: Any) -> Line:
    return changed(at, "Live", "Archived", **more)


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([started(0), tick(T - MICROSECOND)], [], id="a microsecond before its deadline: nothing"),
        pytest.param([started(0), tick(T)], [stuck(T)], id="at its deadline: stuck"),
        pytest.param([beat(0), tick(T)], [stuck(T)], id="running opens like started"),
        pytest.param([started(0), beat(1), tick(T)], [], id="a heartbeat moves the deadline"),
        pytest.param([started(0), beat(1), tick(T + 1)], [stuck(T + 1)], id="to that of the heartbeat"),
        pytest.param([started(0), started(1), tick(T)], [], id="a second start moves it too"),
        pytest.param([beat(1), started(0), tick(T)], [], id="the last activity is the highest time, not the last line"),
        pytest.param([started(0), beat(T - MICROSECOND), tick(T)], [], id="a sign of life just before the deadline"),
        pytest.param(
            [started(0), beat(T)], [stuck(T), recovered(T)], id="at the deadline it comes after it: stuck, recovered"
        ),
        pytest.param([started(0), ended(T - MICROSECOND), tick(T)], [], id="ended just before the deadline: nothing"),
        pytest.param(
            [started(0), ended(T)], [stuck(T), recovered(T)], id="ended at the deadline: no earlier time, so stuck"
        ),
        *(
            pytest.param([started(0), run(9, status, "x"), tick(T)], [], id=f"{status} ends it")
            for status in ("success", "failure", "cancelled", "Completed", "CRASHED", "aborted", "Quarantined")
        ),
        pytest.param([run(0, "queued", "x"), tick(DAY)], [], id="queued opens nothing by default"),
        pytest.param([started(0), run(9, "queued", "x"), tick(T)], [stuck(T)], id="nor is it activity"),
        pytest.param([ended(0), tick(DAY)], [], id="a terminal event without a start opens nothing"),
        pytest.param(
            [started(0), started(0, workflow_id="wf2", event_id="b"), ended(9), tick(T)],
            [stuck(T)],
            id="executions of two workflows may have the same id",
        ),
        pytest.param(
            [started(0), started(0, tenant_id="t2", event_id="b"), ended(9), tick(T)],
            [stuck(T)],
            id="and of two tenants",
        ),
        pytest.param(
            [started(0, "b"), started(0, "a"), started(-1, "c"), tick(T)],
            [stuck(T - 1, "c"), stuck(T, "a"), stuck(T, "b")],
            id="due together: by deadline, then execution id",
        ),
        pytest.param(
            [started(0, "b"), started(0, "a", workflow_id="wf0"), started(0, "c", workflow_id="wf0"), tick(T)],
            [stuck(T, "a"), stuck(T, "b"), stuck(T, "c")],
            id="across workflows too",
        ),
        pytest.param([started(0, error_code="WorkflowOnHold"), tick(T)], [], id="the gate's own events open nothing"),
        pytest.param(
            [started(0), ended(T + L, "y", error_code="AutomationNotRunnable"), ended(T - SECOND)],
            [stuck(T), recovered(T - SECOND)],
            id="but move the watermark",
        ),
        pytest.param(
            [started(0), control(T, "workflow_released", workflow_id="wf2")],
            [stuck(T)],
            id="control events move the watermark",
        ),
    ],
)
def test_an_execution_is_stuck_when_the_watermark_reaches_its_deadline(given: list[Line], then: list[Said]) -> None:
    assert decide(*given) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(
            [started(0), tick(T + L - MICROSECOND), ended(T - SECOND)],
            [],
            id="the watermark is a microsecond short of the deadline: the end still counts",
        ),
        pytest.param(
            [started(0), tick(T + L), ended(T - SECOND)],
            [stuck(T), recovered(T - SECOND)],
            id="the watermark is at the deadline: the end is late, it recovers",
        ),
        pytest.param(
            [tick(L), ended(0), started(0), tick(T)], [], id="equal times on the watermark: in the order of arrival"
        ),
        pytest.param(
            [tick(L), ended(0), started(0, event_id="s"), beat(0), tick(T)], [], id="however many of them there are"
        ),
        pytest.param(
            [ended(L), started(0), tick(T + L)], [], id="a start exactly as late as is allowed is put in its place"
        ),
        pytest.param(
            [ended(3), tick(10), started(2), tick(DAY)],
            [],
            id="a start later than that finds its execution ended, and opens nothing",
        ),
        pytest.param([tick(T + L), started(0), tick(DAY)], [], id="its deadline has passed when it comes: nothing"),
        pytest.param(
            [tick(T + L), started(MICROSECOND), tick(T + L + 1)],
            [stuck(T + MICROSECOND)],
            id="its deadline has not passed: opens",
        ),
        pytest.param(
            [started(0), tick(T + L + 1), beat(MICROSECOND), tick(DAY)],
            [stuck(T), recovered(MICROSECOND)],
            id="late activity above the last activity recovers",
        ),
        pytest.param(
            [started(1), tick(T + L + 1), beat(1), beat(0), tick(DAY)],
            [stuck(T + 1)],
            id="at or below the last activity it recovers nothing",
        ),
        pytest.param(
            [tick(10 * HOUR), timed_out(5)], [stuck(5, reason=REPORTED)], id="a time-out is stuck however late it comes"
        ),
        pytest.param(
            [started(0), tick(10 * HOUR), ended(9 * HOUR)],
            [stuck(T), recovered(9 * HOUR)],
            id="an end that comes hours later recovers",
        ),
        pytest.param(
            [started(20), tick(30), started(0), tick(T + 30)],
            [stuck(50)],
            id="a late event does not lower the last activity",
        ),
    ],
)
def test_disorder_within_the_allowed_lateness_changes_nothing(given: list[Line], then: list[Said]) -> None:
    assert decide(*given) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(
            [started(0, "b"), started(0, "a", workflow_id="wf0"), tick(T + L)],
            [stuck(T, "a"), stuck(T, "b")],
            id="of one time: by execution id, whatever their workflows",
        ),
        pytest.param(
            [started(0, "a"), started(-1, "b", workflow_id="wf0"), tick(T + L)],
            [stuck(T - 1, "b"), stuck(T, "a")],
            id="reached at once: by deadline",
        ),
        pytest.param(
            [started(0, "a"), tick(T + L), timed_out(5, "b", workflow_id="wf0"), tick(T + 2 * L)],
            [stuck(T, "a"), stuck(5, "b", REPORTED)],
            id="reached one after the other: by the event that moved the watermark",
        ),
        pytest.param(
            [started(0, "a"), tick(T + L), *(denied(T + L, one, workflow_id="wf0") for one in "xyz")],
            [stuck(T, "a"), block(T + L, "consecutive_failures", "crm", "x y z")],
            id="what is decided on arrival comes after what was due before it",
        ),
        pytest.param(
            [started(0, "a"), *(denied(T, one, workflow_id="wf0") for one in "xyz"), tick(T + L)],
            [block(T, "consecutive_failures", "crm", "x y z"), stuck(T, "a")],
            id="and before what is due after it",
        ),
        pytest.param(
            [timed_out(0, "b"), timed_out(0, "a", workflow_id="wf0"), tick(L)],
            [stuck(0, "b", REPORTED), stuck(0, "a", REPORTED)],
            id="events of one time: by arrival",
        ),
        pytest.param(
            [timed_out(T, "a"), started(0, "b", workflow_id="wf0"), tick(T + L)],
            [stuck(T, "b"), stuck(T, "a", REPORTED)],
            id="deadlines come before events of their time",
        ),
    ],
)
def test_decisions_come_in_the_order_in_which_they_were_made(given: list[Line], then: list[Said]) -> None:
    assert decide(*given) == then


@pytest.mark.parametrize(
    ("late", "then"),
    [
        pytest.param(4, [stuck(T + 1), recovered(T)], id="four minutes: the watermark is at the deadline"),
        pytest.param(4 + MICROSECOND, [], id="a microsecond more: it is short of it"),
    ],
)
def test_the_allowed_lateness_is_configured(late: float, then: list[Said]) -> None:
    assert decide(started(1), tick(T + 5), ended(T), lateness=timedelta(minutes=late)) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(
            [started(0), tick(T + 5), beat(T + 3), tick(DAY)],
            [stuck(T), recovered(T + 3)],
            id="new activity recovers; an execution is called stuck at most once",
        ),
        pytest.param(
            [started(0), beat(T + 3), beat(T + 4), ended(T + 5), tick(DAY)],
            [stuck(T), recovered(T + 3)],
            id="and recovers at most once",
        ),
        pytest.param(
            [started(0), tick(T + 2), run(T + 3, "queued", "x"), tick(DAY)], [stuck(T)], id="queued recovers nothing"
        ),
        *(
            pytest.param([started(0), tick(T), run(T + 2, status, "x")], [stuck(T), recovered(T + 2)], id=status)
            for status in ("success", "failure", "cancelled")
        ),
        pytest.param(
            [started(0), timed_out(T + 2), tick(DAY)], [stuck(T)], id="timed_out of a stuck execution only closes it"
        ),
        pytest.param(
            [started(0), timed_out(T + 2), ended(T + 3), beat(T + 4)],
            [stuck(T)],
            id="so that nothing is left to recover",
        ),
        pytest.param(
            [timed_out(2), ended(3), beat(4), timed_out(5), tick(DAY)],
            [stuck(2, reason=REPORTED)],
            id="what comes after a timed_out changes nothing",
        ),
    ],
)
def test_a_stuck_execution_recovers(given: list[Line], then: list[Said]) -> None:
    assert decide(*given) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([timed_out(3)], [stuck(3, reason=REPORTED)], id="without a start"),
        pytest.param([started(0), timed_out(3), tick(DAY)], [stuck(3, reason=REPORTED)], id="with one: it closes it"),
        pytest.param(
            [started(0), timed_out(T - MICROSECOND)],
            [stuck(T - MICROSECOND, reason=REPORTED)],
            id="just before the deadline it speaks first",
        ),
        pytest.param([started(0), timed_out(T)], [stuck(T)], id="at the deadline the deadline does"),
        pytest.param([ended(0), timed_out(3), tick(DAY)], [], id="after another terminal event: nothing"),
        pytest.param(
            [timed_out(3), ended(2), tick(DAY)], [], id="also when that arrives second, within the allowed lateness"
        ),
        pytest.param(
            [timed_out(3), ended(3), tick(DAY)],
            [stuck(3, reason=REPORTED)],
            id="of the same time: the first to arrive",
        ),
    ],
)
def test_a_time_out_reported_by_the_platform_is_stuck(given: list[Line], then: list[Said]) -> None:
    assert decide(*given) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(
            [ended(0), started(T + L - MICROSECOND), tick(2 * HOUR)],
            [],
            id="a start within run_timeout + allowed_lateness of the end opens nothing",
        ),
        pytest.param(
            [ended(0), started(T + L), tick(2 * HOUR)], [stuck(2 * T + L)], id="exactly that much later the end is gone"
        ),
        pytest.param(
            [ended(0), tick(T + 2 * L - MICROSECOND), started(10), tick(2 * HOUR)],
            [],
            id="remembered while the watermark is short of that",
        ),
        pytest.param(
            [ended(0), tick(T + 2 * L), started(10), tick(2 * HOUR)],
            [stuck(T + 10)],
            id="forgotten when the watermark is there, for a late start",
        ),
        pytest.param(
            [ended(0), timed_out(T + L - MICROSECOND)], [], id="a time-out within that span finds the other end"
        ),
        pytest.param(
            [ended(0), timed_out(T + L)], [stuck(T + L, reason=REPORTED)], id="and exactly that much later not"
        ),
        pytest.param(
            [ended(0), ended(5, event_id="again"), started(T + L), tick(2 * HOUR)],
            [],
            id="a second end is remembered from its own time",
        ),
        pytest.param(
            [tick(10 * HOUR), ended(0), started(9.9 * HOUR), tick(12 * HOUR)],
            [stuck(9.9 * HOUR + T)],
            id="an end that is too late to be remembered is no end",
        ),
    ],
)
def test_an_end_is_remembered_for_a_while(given: list[Line], then: list[Said]) -> None:
    assert decide(*given) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([started(0), archived(5), tick(DAY)], [], id="of a workflow that is archived"),
        pytest.param([started(0), archived(5, automation_version_id="v1"), tick(DAY)], [], id="of a version"),
        pytest.param(
            [started(0), archived(5, automation_version_id="v2"), tick(T)], [stuck(T)], id="another version's are"
        ),
        pytest.param([started(0), archived(5, workflow_id="wf2"), tick(T)], [stuck(T)], id="another workflow's are"),
        pytest.param([started(0), archived(T), tick(T)], [stuck(T)], id="at the deadline the deadline comes first"),
        pytest.param([started(0), archived(T - MICROSECOND), tick(DAY)], [], id="just before it the archive does"),
        pytest.param(
            [started(0), archived(T), ended(T + 3)], [stuck(T)], id="one called stuck before does not recover after"
        ),
        pytest.param([started(0), changed(5, "Live", "Paused"), tick(T)], [stuck(T)], id="pausing leaves them watched"),
        pytest.param(
            [started(0), archived(5), started(6, "y"), tick(T + 6)],
            [stuck(T + 6, "y")],
            id="one that begins after the archive is watched",
        ),
        pytest.param([archived(2), started(1, "y"), tick(T + 9)], [], id="in event time, not in that of arrival"),
        pytest.param([started(0), archived(5), beat(6), tick(DAY)], [], id="a heartbeat later opens nothing"),
        pytest.param([archived(5), beat(6), tick(DAY)], [], id="of one that was never heard of neither"),
        pytest.param(
            [started(0), archived(5, automation_version_id="v2"), archived(5), beat(6), tick(DAY)],
            [],
            id="a version and the workflow",
        ),
        pytest.param(
            [archived(5, automation_version_id="v2"), beat(6), tick(T + 6)],
            [stuck(T + 6)],
            id="another version's heartbeats do",
        ),
        pytest.param([started(0), archived(5), timed_out(6)], [], id="a time-out is of before"),
        pytest.param(
            [archived(5), started(6), timed_out(7)], [stuck(7, reason=REPORTED)], id="unless it began after the archive"
        ),
        pytest.param([archived(5), started(5), tick(DAY)], [], id="at the time of the archive is before it"),
        pytest.param([archived(5), archived(2), started(4), tick(DAY)], [], id="the newest archive counts"),
        pytest.param(
            [started(3), archived(2), tick(T + 3)], [stuck(T + 3)], id="an archive that comes late leaves newer ones"
        ),
        pytest.param([started(0), tick(T), archived(T), beat(T + 1)], [stuck(T)], id="nor by a heartbeat"),
    ],
)
def test_executions_of_an_archived_version_are_not_watched(given: list[Line], then: list[Said]) -> None:
    assert decide(*given) == then


def test_a_version_with_any_number_of_executions_may_be_archived() -> None:
    executions = [f"x{number}" for number in range(1100)]
    begun = [started(number / 1100, name) for number, name in enumerate(executions)]
    alive = [beat(10 + number / 1100, name) for number, name in enumerate(executions)]
    assert decide(*begun, archived(5, automation_version_id="v1"), *alive, tick(DAY)) == []


@pytest.mark.parametrize(
    ("until", "then"),
    [
        pytest.param(None, [], id="nobody says so: to the highest time seen"),
        pytest.param(T - MICROSECOND, [], id="a microsecond before the deadline"),
        pytest.param(T, [stuck(T)], id="to the deadline"),
        pytest.param(-5, [], id="a time before the newest event moves nothing"),
    ],
)
def test_at_the_end_of_a_file_the_watermark_moves(until: float | None, then: list[Said]) -> None:
    assert decide(started(0), until=until) == then


def test_at_the_end_of_a_file_nothing_can_be_late_any_more() -> None:
    assert decide(started(0), ended(T, "y")) == [stuck(T)]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([run(0, "queued", "x"), tick(5 - MICROSECOND)], [], id="a microsecond before its own deadline"),
        pytest.param([run(0, "queued", "x"), tick(5)], [stuck(5)], id="at its own deadline"),
        pytest.param([run(0, "queued", "x"), started(5 - MICROSECOND), tick(T)], [], id="started in time"),
        pytest.param(
            [started(0), run(9, "queued", "x"), tick(14)], [stuck(14)], id="as activity it brings its own deadline"
        ),
        pytest.param(
            [run(0, "queued", "x"), tick(7), run(8, "queued", "x"), tick(DAY)], [stuck(5)], id="it recovers nothing"
        ),
        pytest.param(
            [run(0, "queued", "x"), tick(7), started(8), tick(DAY)], [stuck(5), recovered(8)], id="a start does"
        ),
        pytest.param([ended(0), run(1, "queued", "x"), tick(HOUR)], [], id="after the end it opens nothing"),
    ],
)
def test_queued_counts_where_queue_timeout_is_set(given: list[Line], then: list[Said]) -> None:
    assert decide(*given, policies={"stuck_executions": {"queue_timeout": "5m"}}) == then


def test_run_timeout_is_configured() -> None:
    assert decide(started(0), tick(4 * HOUR), policies={"stuck_executions": {"run_timeout": "4h"}}) == [stuck(4 * HOUR)]
    assert decide(started(0), tick(4 * HOUR - SECOND), policies={"stuck_executions": {"run_timeout": "4h"}}) == []


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([started(0), beat(9, event_id="x:started:0")], [stuck(T)], id="a heartbeat with a used id"),
        pytest.param([started(0), ended(9, event_id="x:started:0")], [stuck(T)], id="an end with a used id"),
    ],
)
def test_a_duplicate_counts_for_nothing(given: list[Line], then: list[Said]) -> None:
    assert decide(*given, tick(T), duplicates=1) == then


def evidence(*lines: Line) -> list[list[str]]:
    return [decision.evidence for decision in decisions(list(lines))]


def test_evidence_is_the_executions_events_by_time_then_arrival() -> None:
    given = [started(0), beat(3, event_id="b"), beat(3, event_id="a"), beat(2.5), tick(HOUR)]
    assert evidence(*given) == [["x:started:0", "x:running:2.5", "b", "a"]]


def test_evidence_of_a_recovery_ends_with_its_event() -> None:
    assert evidence(started(0), failed(T + 2, "x")) == [["x:started:0"], ["x:started:0", "x:failure:32"]]


def test_evidence_is_the_newest_fifty_events() -> None:
    given = [beat(number * SECOND, event_id=f"b{number}") for number in range(51)]
    assert evidence(*given, tick(HOUR)) == [[f"b{number}" for number in range(1, 51)]]
    assert evidence(*given[1:], tick(HOUR)) == [[f"b{number}" for number in range(1, 51)]]


def test_everything_that_a_decision_says() -> None:
    said = decisions([started(0), beat(2), ended(T + 4, automation_version_id="v2")])
    common: dict[str, Any] = {
        "tenant_id": "t1",
        "workflow_id": "wf1",
        "policy_id": "stuck_executions",
        "policy_version": 1,
        "threshold": {"run_timeout_seconds": 1800.0, "queue_timeout_seconds": None},
        "detail": {"execution_id": "x"},
    }
    assert said == [
        Decision(
            # UUIDv5 of "breakwater:execution_stuck|t1|wf1|stuck_executions|x"
            decision_id="2989ca65-7c81-52c9-b932-577063df8520",
            kind=DecisionKind.EXECUTION_STUCK,
            automation_version_id="v1",
            occurred_at=time(T + 2),
            reason_code=ReasonCode.NO_ACTIVITY,
            observed={"last_activity_at": time(2)},
            evidence=["x:started:0", "x:running:2"],
            **common,
        ),
        Decision(
            decision_id="6501c59b-c2d8-5d71-a1a5-dd8c60dcd15c",
            kind=DecisionKind.EXECUTION_RECOVERED,
            automation_version_id="v2",
            occurred_at=time(T + 4),
            reason_code=ReasonCode.TERMINAL,
            observed={"status": "success", "stuck_at": time(T + 2)},
            evidence=["x:started:0", "x:running:2", "x:success:34"],
            **common,
        ),
    ]


def test_the_allowed_lateness_of_the_tables_is_the_default() -> None:
    assert timedelta(minutes=L) == LATENESS
