"""Workflows that have been quiet for long leave a lane, and decisions stay the same."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from dataflows.decisions import Decision, encode_decision
from dataflows.engine.host import Host
from dataflows.engine.lane import LOOKED_AT, Lane
from dataflows.engine.memory import Room
from dataflows.engine.watermarks import Watermark
from dataflows.events import Event
from dataflows.intake import Intake
from dataflows.registry import TrustingRegistry
from dataflows.times import micros
from tests.dataflows.product import LATENESS, detectors, replay
from tests.dataflows.test_lane import Dense
from tests.given import (
    DAY,
    TENANT,
    Line,
    beat,
    changed,
    control,
    credential,
    denied,
    encode,
    ended,
    started,
    tick,
    time,
)
from tests.reference.oracle import by_subject
from tests.reference.streams import T0, Stream

FACTORY = detectors(None)


def new_lane() -> Lane:
    return Lane(FACTORY.of, Room(), Watermark(micros(LATENESS)), FACTORY.resolution)


def taken(lines: Sequence[bytes]) -> tuple[Sequence[Event], list[int]]:
    out = Intake("stream", -1, TrustingRegistry()).take([line.rstrip() for line in lines], lambda index: index)
    return out.events, out.times


def days_pass(host: Host, begin: float, days: int) -> None:
    """A snapshot a day, while another workflow goes on."""
    for day in range(days):
        host.process(*taken([encode(tick(begin + day * DAY))]))
        host.snapshot(b"")


def remembered(host: Host) -> set[str]:
    """The workflows in memory, without the one that ticks."""
    return {workflow.workflow_id for workflow in host.lane.workflows()} - {"other"}


WEEK, MONTH, FOR_EVER = "a week", "a month", "for ever"


@pytest.mark.parametrize(
    ("given", "stays"),
    [
        pytest.param([started(0), ended(1)], WEEK, id="with nothing but runs that ended well"),
        pytest.param(
            [started(0), ended(1), denied(2, "a"), ended(3, "b")], WEEK, id="a failure that a success followed"
        ),
        pytest.param([denied(0, "a")], FOR_EVER, id="a streak"),
        pytest.param([credential(0, "invalid")], FOR_EVER, id="not armed"),
        pytest.param([denied(0, "a"), denied(1, "b"), denied(2, "c"), ended(3, "d")], WEEK, id="armed again"),
        pytest.param([changed(0, "Live", "Archived"), beat(1)], MONTH, id="what is archived"),
        pytest.param([started(0), tick(40), beat(41), ended(42)], MONTH, id="an execution was called stuck"),
        pytest.param([control(0, "workflow_released")], MONTH, id="a release"),
        pytest.param([*(started(0, f"x{number}") for number in range(5)), tick(40)], FOR_EVER, id="a blacklisting"),
    ],
)
def test_a_workflow_leaves_when_nothing_of_it_matters(given: list[Line], stays: str) -> None:
    host = Host(new_lane, None)
    host.process(*taken([encode(line) for line in given]))
    host.snapshot(b"")
    days_pass(host, 1 * DAY, 6)
    assert remembered(host) == {"wf1"}
    days_pass(host, 7 * DAY, 3)
    assert (remembered(host) == set()) is (stays == WEEK)
    days_pass(host, 10 * DAY, 25)
    assert (remembered(host) == set()) is (stays != FOR_EVER)


def test_a_workflow_of_which_only_ends_were_counted_leaves_like_others() -> None:
    factory = detectors({"defaults": {"circuit_breaker": {"min_stuck_ratio": 0.5}}})
    host = Host(lambda: Lane(factory.of, Room(), Watermark(micros(LATENESS)), factory.resolution), None)
    host.process(*taken([encode(started(0)), encode(ended(1))]))
    host.snapshot(b"")
    days_pass(host, 1 * DAY, 2)
    (workflow,) = (one for one in host.lane.workflows() if one.workflow_id == "wf1")
    assert workflow.breaker is not None
    assert workflow.breaker.ended is not None
    days_pass(host, 3 * DAY, 8)
    assert remembered(host) == set()


def test_without_a_ratio_nothing_is_remembered_of_executions_that_ended() -> None:
    host = Host(new_lane, None)
    host.process(*taken([encode(ended(number, f"x{number}")) for number in range(50)]))
    days_pass(host, 1 * DAY, 1)
    assert {workflow.breaker for workflow in host.lane.workflows()} == {None}


def test_a_clock_that_is_a_year_ahead_makes_nobody_forgotten() -> None:
    host = Host(new_lane, None)
    host.process(*taken([encode(ended(0))]))
    host.snapshot(b"")
    host.process(*taken([encode(tick(365 * DAY))]))
    for _ in range(20):
        host.snapshot(b"")
    assert remembered(host) == {"wf1"}


def test_one_whose_events_go_on_stays() -> None:
    host = Host(new_lane, None)
    for day in range(40):
        host.process(*taken([encode(ended(day * DAY, f"x{day}"))]))
        host.snapshot(b"")
    assert remembered(host) == {"wf1"}


def test_many_leave_in_some_snapshots() -> None:
    host = Host(new_lane, None)
    lines = [ended(0, f"x{number}", workflow_id=f"w{number}") for number in range(3 * LOOKED_AT)]
    host.process(*taken([encode(line) for line in lines]))
    host.snapshot(b"")
    days_pass(host, 1 * DAY, 12)
    assert remembered(host) == set()
    assert host.lane.size == 1


@pytest.mark.parametrize("in_files", [False, True], ids=["in the store", "in files"])
@pytest.mark.parametrize("seed", range(30))
def test_decisions_are_the_same_with_and_without_forgetting(seed: int, tmp_path: Path, *, in_files: bool) -> None:
    """Three dense stretches of the same workflows, of other executions, with six weeks between them."""
    dense, rng = Dense(seed), Random(seed)
    lines: list[bytes] = []
    policies = None
    for part in range(3):
        stream = dense.stream()
        policies = policies or stream.policies
        lines += [shifted(line, part) for line in stream.lines]
        lines += [encode(ticking(part, day)) for day in range(1, 41)]
    policies = {"defaults": {**(policies or {})["defaults"], "silence": {"whole_stream": None}}}
    whole = Stream(lines, policies, None, None)
    factory = detectors(policies)

    def lane() -> Lane:
        return Lane(factory.of, Room(), Watermark(micros(LATENESS)), factory.resolution)

    folder = tmp_path / "lane" if in_files else None
    host = Host(lane, None, folder)
    decided: list[Decision] = []
    for line in lines:
        decided += [item for item in host.process(*taken([line])) if isinstance(item, Decision)]
        if b'"other"' in line or rng.random() < 0.5:
            snapshot = host.snapshot(b"")
            if rng.random() < 0.2:
                host = Host(lane, snapshot, folder)
    host.lane.watermark.finish()
    decided += [item for item in host.advance() if isinstance(item, Decision)]
    said: list[dict[str, Any]] = [msgspec.json.decode(encode_decision(decision)) for decision in decided]
    assert by_subject(said) == by_subject(replay(whole).decisions)


def shifted(line: bytes, part: int) -> bytes:
    """The line of another stretch: six weeks later each, with executions and event ids of its own.

    Nothing is archived: that is known for a month only.
    """
    fields = json.loads(line.replace(b"Archived", b"Paused"))
    fields["occurred_at"] = (msgspec.convert(fields["occurred_at"], type(T0)) + part * timedelta(weeks=6)).isoformat()
    for name in ("execution_id", "event_id"):
        if name in fields:
            fields[name] = f"{fields[name]}-{part}"
    return json.dumps(fields).encode() + b"\n"


def ticking(part: int, day: int) -> Line:
    """Another workflow goes on meanwhile."""
    line = tick((42 * part + day) * DAY)
    return {**line, "tenant_id": TENANT, "occurred_at": time((42 * part + day) * DAY).isoformat()}
