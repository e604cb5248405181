"""A lane against the reference where its short cuts meet: lateness, ends that come again, cuts, and going back.

The streams of `tests.reference.streams` are like a platform's; these are dense: few executions whose every event may
come at any time, in any order, for several workflows that share all ids.
"""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from dataflows.decisions import Decision, encode_decision
from dataflows.engine.credit_records import CreditReport
from dataflows.engine.host import Host
from dataflows.engine.lane import Lane
from dataflows.engine.memory import Room
from dataflows.engine.watermarks import Watermark
from dataflows.events import Event, RunEvent
from dataflows.intake import Intake
from dataflows.registry import TrustingRegistry
from dataflows.times import micros
from tests.dataflows.product import LATENESS, detectors, is_auth_failure, replay
from tests.dataflows.test_agreement import READINGS
from tests.given import denied, encode, ended, failed, started, tick
from tests.reference.oracle import by_subject, decide
from tests.reference.streams import T0, Stream

#: What the events of a stream are: each list leads into another corner.
STATUSES = (
    ("started", "running", "success", "failure", "timed_out", "cancelled", "queued"),
    ("started", "success", "timed_out"),
    ("started", "running", "queued"),
    ("success", "failure", "cancelled", "timed_out", "started"),
)
CHANGES = (
    ("Live", "Archived"),
    ("Blocked", "Live"),
    ("Ready to Launch", "Live"),
    ("Live", "Blocked"),
)


class Dense:
    """A random stream; a function of its seed."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(f"dense:{seed}")
        self.run_timeout = rng.choice((61, 90, 120, 300))
        self.queue_timeout = rng.choice((None, 61, 75, 120, 300))
        self.workflows = [("t1", "w1"), ("t2", "w1"), ("t1", "w2")][: rng.choice((1, 2, 3))]
        self.executions = rng.choice((1, 2, 4, 8))
        self.statuses = rng.choice(STATUSES)
        self.disorder = rng.choice((0, 0.1, 0.4))
        self.very_late = rng.choice((0, 0.05, 0.3))
        self.controls = rng.choice((0, 0.05, 0.25))

    def stream(self) -> Stream:
        """At most 80 lines over some minutes to an hour."""
        rng = self.rng
        unit, now = rng.choice((1, 1, 5, 20)), 0.0
        lines = []
        for number in range(rng.choice((20, 40, 80))):
            now += unit * rng.choice((0, 0, 0, 1, 1, 2, 5))
            if rng.random() < 0.05:
                now += self.run_timeout + rng.choice((-60, -1, 0, 1, 60))
            at = now - self._delay() + rng.choice((*[0] * 18, -1e-6, 1e-6))
            line = self._control(at) if rng.random() < self.controls else self._run(at, number)
            lines.append(json.dumps(line).encode() + b"\n")
        until = rng.choice((None, (T0 + timedelta(seconds=now + self.run_timeout + 10)).isoformat()))
        return Stream(lines, self._policies(), None, until)

    def _policies(self) -> dict[str, Any]:
        rng = self.rng
        stuck = {"run_timeout": f"{self.run_timeout}s"}
        if self.queue_timeout is not None:
            stuck["queue_timeout"] = f"{self.queue_timeout}s"
        auth = {"consecutive_failures": rng.choice((1, 2, 3)), "min_runs": rng.choice((1, 2, 4)), "window": "5m"}
        breaker = {"threshold": rng.choice((1, 2, 3)), "window": rng.choice(("5m", "10m"))}
        return {"defaults": {"stuck_executions": stuck, "auth_failures": auth, "circuit_breaker": breaker}}

    def _delay(self) -> float:
        rng, share = self.rng, self.rng.random()
        if share < self.disorder:
            return rng.choice((0, 1, 30, 59, 60, 60))
        if share < self.disorder + self.very_late:
            return rng.choice((61, self.run_timeout, self.run_timeout + 60, rng.randint(1, 1000)))
        return rng.choice((*[0] * 19, -60))

    def _run(self, at: float, number: int) -> dict[str, Any]:
        rng = self.rng
        tenant, workflow = rng.choice(self.workflows)
        execution = rng.randrange(self.executions)
        status = rng.choice(self.statuses)
        line: dict[str, Any] = {
            "event_id": f"e{number if rng.random() > 0.08 else rng.randint(0, number)}",
            "status": status,
            "occurred_at": (T0 + timedelta(seconds=at)).isoformat(),
            "tenant_id": tenant,
            "workflow_id": workflow,
            "automation_version_id": f"{tenant}-{workflow}-v{execution % 2}",
            "execution_id": f"x{execution}",
        }
        if status == "failure" and rng.random() < 0.6:
            line |= {"http_status": 401, "system_key": "crm"}
        return line

    def _control(self, at: float) -> dict[str, Any]:
        rng = self.rng
        tenant, workflow = rng.choice(self.workflows)
        line = {
            "kind": "workflow_released",
            "tenant_id": tenant,
            "workflow_id": workflow,
            "occurred_at": (T0 + timedelta(seconds=at)).isoformat(),
        }
        if rng.random() < 0.7:
            before, after = rng.choice(CHANGES)
            line |= {"kind": "automation_status_changed", "from_status": before, "to_status": after}
            if rng.random() < 0.5:
                line["automation_version_id"] = f"{tenant}-{workflow}-v{rng.randrange(2)}"
        return line


def _new_lane(stream: Stream) -> Callable[[], Lane]:
    factory = detectors(stream.policies)
    return lambda: Lane(factory.of, Room(), Watermark(micros(LATENESS)), factory.resolution)


def _taken(lines: list[bytes]) -> tuple[list[Event], list[int]]:
    taken = Intake("stream", -1, TrustingRegistry()).take([line.rstrip() for line in lines], lambda index: index)
    return list(taken.events), taken.times


def _decisions(items: Sequence[object]) -> list[Decision]:
    return [item for item in items if isinstance(item, Decision)]


def _with_crashes(stream: Stream, rng: Random, folder: Path | None) -> list[dict[str, Any]]:
    """What is decided when the process ends at any time and goes back by up to three snapshots, never beyond where
    it came back to before.
    """
    new_lane = _new_lane(stream)
    events, times = _taken(stream.lines)
    host = Host(new_lane, None, folder)
    largest, diligence = rng.choice((1, 3, 10)), rng.choice((0.1, 0.5, 1))
    snapshots = [(host.snapshot(b"0"), 0)]
    decisions: list[Decision] = []
    at = 0
    while at < len(events):
        end = min(len(events), at + rng.randint(1, largest))
        decisions += _decisions(host.process(events[at:end], times[at:end]))
        at = end
        if rng.random() < diligence:
            snapshots.append((host.snapshot(str(at).encode()), len(decisions)))
        if rng.random() < 0.15:
            snapshot, count = snapshots[-rng.randint(1, min(3, len(snapshots)))]
            snapshots = [(snapshot, count)]
            del decisions[count:]
            host = Host(new_lane, snapshot, folder)
            at = int(host.position or b"0")
    host.lane.watermark.finish()
    decisions += _decisions(host.advance())
    return [msgspec.json.decode(encode_decision(decision)) for decision in decisions]


@pytest.mark.parametrize("seed", range(60))
def test_dense_streams_are_judged_as_the_reference_does(seed: int) -> None:
    stream = Dense(seed).stream()
    expected = decide(
        stream.lines,
        policies=stream.policies,
        registry=None,
        until=stream.until,
        is_auth_failure=is_auth_failure,
        readings=READINGS,
    )
    outcome = replay(stream)
    assert by_subject(outcome.decisions) == by_subject(expected.decisions)
    assert outcome.summary == {name: expected.summary[name] for name in outcome.summary}


@pytest.mark.parametrize("in_files", [False, True], ids=["in the store", "in files"])
@pytest.mark.parametrize("seed", range(20))
def test_going_back_by_some_snapshots_changes_nothing(seed: int, *, in_files: bool) -> None:
    stream = Dense(seed).stream()._replace(until=None)
    with TemporaryDirectory() as folder:
        decided = _with_crashes(stream, Random(seed), Path(folder) / "lane" if in_files else None)
    assert by_subject(decided) == by_subject(replay(stream).decisions)


def test_executions_that_are_called_stuck_take_no_room_without_end() -> None:
    """4,096 executions of one workflow hang at once, then as many again before the breaker's window is over."""
    stream = Stream([], None, None, None)
    host = Host(_new_lane(stream), None)
    sizes = []
    for minute in (0, 33):
        lines = [started(minute, f"x{minute}-{number}") for number in range(4096)]
        events, times = _taken([encode(line) for line in [*lines, tick(minute + 32)]])
        kinds = [decision.kind.value for decision in _decisions(host.process(events, times))]
        assert kinds.count("execution_stuck") == 4096
        assert kinds.count("blacklist_workflow") == (minute == 0)
        sizes.append(len(msgspec.msgpack.encode(host.lane.everything().workflows)))
    assert sizes[1] < 1.1 * sizes[0]


def test_error_messages_do_not_go_to_the_second_stage() -> None:
    host = Host(_new_lane(Stream([], None, None, None)), None)
    lines = [
        denied(0, "x1", error_message="what it said", credits_total=5),
        ended(1, "x2", credits_total=6),
        failed(2, "x3", error_message="what it said then", credits_total=7),
    ]
    (report,) = [item for item in host.process(*_taken([encode(line) for line in lines])) if type(item) is CreditReport]
    events = [charge[-1] for charge in report.charges]
    assert [event.credits_total for event in events if isinstance(event, RunEvent)] == [5, 6, 7]
    assert all(event.error_message is None for event in events if isinstance(event, RunEvent))
