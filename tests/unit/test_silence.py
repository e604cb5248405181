"""20.6 by examples: every rule on both sides of its boundary."""

import random
from datetime import timedelta
from typing import Any

import pytest

from dataflows.decisions import Decision, DecisionKind, ReasonCode
from dataflows.detectors.silence import MAX_RUNS, Span, StreamSilence, StreamSilenceState, add_span
from tests.given import (
    DAY,
    HOUR,
    LATENESS,
    MICROSECOND,
    SECOND,
    Line,
    Said,
    changed,
    control,
    decide,
    decisions,
    ended,
    quiet,
    run,
    silent,
    started,
    tick,
    time,
    timed_out,
)

DAILY = {"silence": {"whole_stream": "24h"}}
RHYTHM = {"silence": {"whole_stream": None, "per_workflow": True}}
MINUTE = LATENESS.total_seconds() / 60


def named(at: float, name: str) -> Line:
    """A run with an id of its own."""
    return ended(at, name, event_id=name)


# ---- the whole stream


@pytest.mark.parametrize(
    ("given", "until", "then"),
    [
        pytest.param([named(0, "a"), named(DAY - MICROSECOND, "b")], None, [], id="a microsecond less than the limit"),
        pytest.param([named(0, "a"), named(DAY, "b")], None, [silent(DAY, "a")], id="exactly the limit"),
        pytest.param([named(0, "a")], DAY, [silent(DAY, "a")], id="the end of the file, moved on to the limit"),
        pytest.param([named(0, "a")], DAY - MICROSECOND, [], id="and a microsecond before it"),
        pytest.param([named(0, "a")], 9 * DAY, [silent(DAY, "a")], id="said once, however long it lasts"),
        pytest.param(
            [named(0, "a"), named(2 * DAY, "b")],
            3 * DAY,
            [silent(DAY, "a"), silent(3 * DAY, "b")],
            id="and again after the next run",
        ),
        pytest.param([named(0, "a"), tick(DAY / 2), named(DAY + HOUR, "b")], None, [], id="any workflow's run will do"),
        pytest.param([named(0, "a"), started(DAY / 2), tick(DAY + HOUR)], None, [], id="and any event of a run"),
        pytest.param(
            [named(0, "a"), changed(DAY / 2, "Live", "Paused"), tick(DAY + HOUR)],
            None,
            [silent(DAY, "a")],
            id="but no control event",
        ),
        pytest.param(
            [named(0, "a"), named(DAY / 2, "a"), tick(DAY + HOUR)],
            None,
            [silent(DAY, "a")],
            id="no repeat",
        ),
        pytest.param(
            [named(0, "a"), {**named(DAY / 2, "b"), "error_code": "WorkflowOnHold"}, tick(DAY + HOUR)],
            None,
            [silent(DAY, "a")],
            id="and no run that the gate refused",
        ),
        pytest.param(
            [named(0, "a"), tick(DAY + MINUTE / 2), named(DAY - SECOND, "late")],
            None,
            [],
            id="disorder within the lateness ends it",
        ),
        pytest.param(
            [named(0, "a"), tick(DAY + 3 * MINUTE), named(DAY - SECOND, "later")],
            None,
            [silent(DAY, "a")],
            id="what comes later does not",
        ),
        pytest.param(
            [named(0, "b"), named(0, "a"), tick(DAY)],
            None,
            [silent(DAY, "a")],
            id="of several last runs the least id is named",
        ),
        pytest.param([], DAY, [], id="nothing ever came: nothing to compare with"),
    ],
)
def test_silence_of_the_whole_stream(given: list[Line], until: float | None, then: list[Said]) -> None:
    repeats = len(given) - len({line.get("event_id", number) for number, line in enumerate(given)})
    said = decide(*given, policies=DAILY, until=until, duplicates=repeats)
    assert [one for one in said if one[0] == "silence"] == then


def test_a_silence_of_the_stream_is_nobodys() -> None:
    (decision,) = decisions([named(0, "a"), tick(DAY)], policies=DAILY)
    assert decision == Decision(
        decision_id="f701a839-0bf2-5435-9235-25840f717688",
        kind=DecisionKind.SILENCE,
        tenant_id=None,
        workflow_id=None,
        automation_version_id=None,
        occurred_at=time(DAY),
        policy_id="silence",
        policy_version=1,
        reason_code=ReasonCode.NO_RUNS,
        observed={"last_run_at": time(0)},
        threshold={"whole_stream_seconds": 86_400.0},
        evidence=["a"],
        detail={},
    )


def test_the_switch_is_on_unless_it_is_turned_off() -> None:
    lines = [named(0, "a"), tick(DAY)]
    assert decide(*lines, policies={"silence": {}}) == [silent(DAY, "a")]
    assert decide(*lines, policies={"silence": {"whole_stream": None}}) == []


# ---- several lanes

M = 60 * 1_000_000
LIMIT = 100


def detector(lanes: int) -> StreamSilence:
    return StreamSilence(timedelta(minutes=LIMIT), 1, lanes)


def said(state: StreamSilenceState, lanes: int, *reports: tuple[str, int | None, list[int]]) -> list[int]:
    """Deadlines in minutes; a report is (lane, watermark, times of runs), without a watermark the lane ends at 0."""
    out = []
    for lane, mark, times in reports:
        spans = [Span(at * M, at * M, f"e{at}") for at in times]
        told = detector(lanes).report(state, lane, (mark or 0) * M, spans, is_end=mark is None)
        out += [due // M for due, _ in told]
    return out


@pytest.mark.parametrize(
    ("reports", "then"),
    [
        pytest.param([("a", 500, [0])], [], id="a lane that has not reported holds the judgement back"),
        pytest.param([("a", 500, [0]), ("b", 99, [])], [], id="the slowest lane's watermark counts"),
        pytest.param([("a", 500, [0]), ("b", 100, [])], [100], id="until it has passed the deadline"),
        pytest.param([("a", 500, [0]), ("b", 90, [80]), ("b", 179, [])], [], id="a run of any lane ends a silence"),
        pytest.param([("a", 500, [0]), ("b", 90, [80]), ("b", 180, [])], [180], id="and begins the next"),
        pytest.param([("a", 500, [0]), ("b", None, [])], [100], id="a lane that has ended holds nothing back"),
        pytest.param([("a", None, [0]), ("b", None, [])], [], id="when all have ended time stands still"),
    ],
)
def test_lanes_report_to_one_place(reports: list[tuple[str, int | None, list[int]]], then: list[int]) -> None:
    assert said(StreamSilenceState(), 2, *reports) == then


@pytest.mark.parametrize("seed", range(30))
def test_neither_the_number_of_reports_nor_their_order_matters(seed: int) -> None:
    rng = random.Random(seed)
    runs = {lane: sorted(rng.sample(range(1000), rng.randrange(1, 12))) for lane in "abc"}
    known = sorted({at for times in runs.values() for at in times})
    expected = [
        at + LIMIT for at in known if at + LIMIT <= 1000 and not any(at < other < at + LIMIT for other in known)
    ]
    state, out = StreamSilenceState(), []
    marks = dict.fromkeys(runs, 0)
    while any(mark < 1000 for mark in marks.values()):
        lane = rng.choice([lane for lane, mark in marks.items() if mark < 1000])
        before, mark = marks[lane], min(1000, marks[lane] + rng.randrange(1, 300))
        marks[lane] = mark
        out += said(state, 3, (lane, mark, [at for at in runs[lane] if before < at <= mark or (before == at == 0)]))
    assert sorted(out) == expected


@pytest.mark.parametrize("seed", range(20))
def test_stretches_are_what_their_runs_are(seed: int) -> None:
    rng = random.Random(seed)
    times = [rng.randrange(300) for _ in range(40)]
    spans: list[Span] = []
    for at in times:
        add_span(spans, Span(at, at, f"{at:03d}"), 5)
    bounds: list[list[int]] = []
    for at in sorted(set(times)):
        if bounds and at - bounds[-1][1] < 5:
            bounds[-1][1] = at
        else:
            bounds.append([at, at])
    assert [[span.begin, span.end, span.event_id] for span in spans] == [[a, b, f"{b:03d}"] for a, b in bounds]


# ---- one workflow


def every(minutes: float, count: int, first: float = 0) -> list[Line]:
    """Runs in a regular rhythm: `r0`, `r1`, ... each a minute long."""
    lines = []
    for number in range(count):
        at = first + number * minutes
        lines += [started(at, f"r{number}"), ended(at + 1, f"r{number}")]
    return lines


@pytest.mark.parametrize(
    ("given", "until", "then"),
    [
        pytest.param(every(30, 7), DAY, [], id="seven runs are no rhythm"),
        pytest.param(every(30, 8), 300, [quiet(300, "r7")], id="eight are: three periods after the last"),
        pytest.param(every(30, 8), 300 - MICROSECOND, [], id="and a microsecond before that"),
        pytest.param(every(10, 8), 130, [quiet(130, "r7")], id="but an hour at least"),
        pytest.param(every(10, 8), 130 - MICROSECOND, [], id="and not before it"),
        pytest.param(
            [*every(30, 8), started(299, "next"), ended(300, "next")],
            389 - MICROSECOND,
            [],
            id="a run in time ends it, and begins it anew",
        ),
        pytest.param(
            [*every(30, 8), started(299, "next"), ended(300, "next")],
            389,
            [quiet(389, "next")],
            id="from its own beginning",
        ),
        pytest.param(every(30, 8), 9 * DAY, [quiet(300, "r7")], id="said once"),
        pytest.param(
            [*every(30, 8), started(1000, "next"), ended(1001, "next")],
            2000,
            [quiet(300, "r7"), quiet(1090, "next")],
            id="and again after the next run",
        ),
        pytest.param(
            [*every(30, 8), started(215, "extra"), ended(216, "extra")],
            305,
            [quiet(305, "extra")],
            id="one run out of the rhythm does not move the period",
        ),
        pytest.param(
            [named(30 * number, f"r{number}") for number in range(8)],
            300,
            [quiet(300, "r7")],
            id="runs of which only the end is reported",
        ),
        pytest.param(
            [*every(30, 8), changed(220, "Live", "Paused")],
            DAY,
            [],
            id="a paused automation is not expected to run",
        ),
        pytest.param(
            [*every(30, 8), *[timed_out(215 + number, f"t{number}") for number in range(5)]],
            DAY,
            [],
            id="nor a workflow on the blacklist",
        ),
        pytest.param(
            [*every(30, 8), run(220, "running", "r7"), control(230, "workflow_released")],
            309,
            [quiet(300, "r7")],
            id="a heartbeat after the end is no run",
        ),
    ],
)
def test_silence_of_one_workflow(given: list[Line], until: float, then: list[Said]) -> None:
    seen: dict[str, int] = {}
    lines: list[Line] = []
    for line in given:
        if "event_id" in line:
            seen[line["event_id"]] = seen.get(line["event_id"], 0) + 1
            lines.append({**line, "event_id": f"{line['event_id']}.{seen[line['event_id']]}"})
        else:
            lines.append(line)
    assert [one for one in decide(*lines, policies=RHYTHM, until=until) if one[0] == "quiet"] == then


def test_what_a_quiet_workflow_says() -> None:
    (decision,) = decisions(every(30, 8), policies=RHYTHM, until=300)
    assert (decision.tenant_id, decision.workflow_id, decision.automation_version_id) == ("t1", "wf1", "v1")
    assert decision.observed == {"last_run_at": time(210), "period_seconds": 1800.0, "runs": 8}
    assert (decision.threshold, decision.reason_code) == ({"quiet_for_seconds": 5400.0}, ReasonCode.WORKFLOW_QUIET)
    assert (decision.evidence, decision.detail) == (["r7:started:210"], {"execution_id": "r7"})


def test_only_the_newest_runs_are_remembered() -> None:
    slow, fast = every(60, 40), every(10, MAX_RUNS, 4000)
    for number, line in enumerate(fast):
        line.update(execution_id=f"f{number // 2}", event_id=f"f{number}")
    lines: list[dict[str, Any]] = [*slow, *fast]
    last = decisions(lines, policies=RHYTHM, until=9000)[-1]
    assert (last.observed["period_seconds"], last.observed["runs"]) == (600.0, MAX_RUNS)
