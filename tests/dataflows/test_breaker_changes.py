"""Changes of the breaker's default thresholds outlive the process, and reach a lane that begins later (40.2)."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli.breaker_changes import breaker_changes
from dataflows.decisions import Decision, DecisionKind, encode_decision
from dataflows.detectors.policies import BreakerChange
from dataflows.engine.host import Host
from dataflows.engine.lane import Lane
from dataflows.engine.memory import Room
from dataflows.engine.watermarks import Watermark
from dataflows.intake import Intake
from dataflows.registry import TrustingRegistry
from dataflows.times import micros, to_micros
from lifecycle.actors import WORKER
from lifecycle.system_config import ConfigKey, change_system_config
from tests.dataflows.product import LATENESS, detectors
from tests.given import HOUR, Line, configured, encode, tick, time, timed_out

#: Two executions in 600 minutes from minute 90 on (the late one is judged by the old ones), three from minute 300 on.
STREAM = [
    timed_out(0, "a"),
    configured(90, 1001, threshold=2, window_minutes=600),
    timed_out(60, "late"),
    tick(80),
    timed_out(100, "b", workflow_id="wf2"),
    timed_out(110, "c"),
    configured(300, 1002, threshold=3),
    timed_out(310, "d", workflow_id="wf2"),
    timed_out(320, "e", workflow_id="wf2"),
    configured(90, 1001, threshold=9),
    timed_out(330, "f", workflow_id="wf2"),
    tick(340),
]


def new_lane(changes: Iterable[BreakerChange] = ()) -> Lane:
    """A lane with the shipped policies."""
    return Lane(detectors(None).of, Room(), Watermark(micros(LATENESS)), micros(timedelta(hours=1)), changes)


def feed(host: Host, lines: Iterable[Line]) -> list[Decision]:
    """What is decided on lines."""
    taken = Intake("stream", -1, TrustingRegistry()).take([encode(line) for line in lines], lambda index: index)
    assert taken.dead_letters == []
    return [item for item in host.process(taken.events, taken.times) if isinstance(item, Decision)]


def blacklistings(decisions: Iterable[Decision]) -> list[tuple[str | None, int, int]]:
    """Which workflows, by which version, with how many executions."""
    return [
        (one.workflow_id, one.policy_version, one.detail["stuck_count"])
        for one in decisions
        if one.kind is DecisionKind.BLACKLIST_WORKFLOW
    ]


@pytest.mark.parametrize("in_files", [False, True], ids=["in the store", "in files"])
@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_restart_anywhere_changes_nothing(tmp_path: Path, cut: int, *, in_files: bool) -> None:
    whole = feed(Host(new_lane, None), STREAM)
    assert blacklistings(whole) == [("wf1", 1001, 3), ("wf2", 1002, 3)]
    folder = tmp_path / "lane" if in_files else None
    host = Host(new_lane, None, folder)
    before = feed(host, STREAM[:cut])
    after = feed(Host(new_lane, host.snapshot(b"here"), folder), STREAM[cut:])
    assert sorted(map(encode_decision, before + after)) == sorted(map(encode_decision, whole))


def test_a_lane_that_begins_later_knows_what_was_set_before(engine: sa.Engine) -> None:
    made = []
    for changes in ({ConfigKey.STUCK_THRESHOLD: 2}, {ConfigKey.STUCK_WINDOW_MINUTES: 10}):
        with engine.begin() as connection:
            made.append(change_system_config(connection, changes, actor_context=WORKER))
    known = breaker_changes(engine, lambda: False)
    assert known == [
        BreakerChange(to_micros(one.effective_at), one.version, one.stuck_threshold, window)
        for one, window in zip(made, (None, 600_000_000), strict=True)
        if one is not None
    ]
    assert len(known) == 2


def test_what_is_known_at_the_start_and_told_again_counts_once() -> None:
    known = [BreakerChange(to_micros(time(0)), 1001, 2, None)]
    host = Host(lambda: new_lane(known), None)
    decided = feed(host, [configured(0, 1001, threshold=2), timed_out(1, "a"), timed_out(2, "b"), tick(HOUR)])
    assert blacklistings(decided) == [("wf1", 1001, 2)]
    assert host.lane.clock().breaker_changes == known


def test_who_is_asked_to_stop_does_not_wait_for_the_database() -> None:
    nowhere = sa.create_engine("postgresql+psycopg://x@127.0.0.1:1/x", connect_args={"connect_timeout": 2})
    asked = iter([False, True])
    assert breaker_changes(nowhere, lambda: next(asked)) == []
