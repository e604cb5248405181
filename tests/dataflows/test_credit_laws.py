"""What the second stage says is a function of the input: not of lanes, of who comes first, of cuts, of restarts."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.credit_profiles import load_profile
from config.policies import parse_policies
from dataflows.credit_runs import CreditRun
from dataflows.engine.credit_logic import PARTS, SNAPSHOT_VERSION, CreditLogic, credit_logic, to_parts
from dataflows.engine.credit_records import CreditReport
from dataflows.engine.detector_sets import CreditFactory
from dataflows.engine.host import Host, Item
from dataflows.engine.lane import Lane
from dataflows.engine.memory import Room
from dataflows.engine.state_files import UnusableStoreError
from dataflows.engine.watermarks import Watermark
from dataflows.intake import Intake
from dataflows.registry import TrustingRegistry
from dataflows.times import micros
from tests.dataflows.credits_given import Line, encoded, replayed, some_weeks
from tests.dataflows.product import LATENESS, detectors

lawful = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))

Said = dict[tuple[str, str], CreditRun]


class Cluster:
    """Lanes and the parts of the second stage, driven by hand."""

    def __init__(self, lanes: int, folder: Path | None = None) -> None:
        factory = CreditFactory(parse_policies(None, allowed_lateness=LATENESS), load_profile, keeps_records=True)
        self._build = credit_logic(
            lambda part: factory.stage(lanes, part, PARTS), None if folder is None else lambda part: folder / str(part)
        )
        rules = detectors(None)
        self._hosts = [
            Host(lambda: Lane(rules.of, Room(), Watermark(micros(LATENESS)), rules.resolution), None, name=str(number))
            for number in range(lanes)
        ]
        self._parts: dict[str, CreditLogic] = {}
        self.said: Said = {}

    def process(self, lane: int, lines: list[Line]) -> None:
        """A lane reads lines."""
        taken = Intake("stream", lane, TrustingRegistry()).take(encoded(lines).splitlines(), lambda index: index)
        self._take(self._hosts[lane].process(taken.events, taken.times))

    def finish(self) -> None:
        """Nothing more comes."""
        for host in self._hosts:
            self._take(host.finish())

    def restart(self) -> None:
        """All parts come back from their snapshots."""
        snapshots = {key: logic.snapshot() for key, logic in self._parts.items()}
        self._parts.clear()  # lets go of the folders
        self._parts = {key: self._build(snapshot) for key, snapshot in snapshots.items()}

    def _take(self, items: list[Item]) -> None:
        for item in items:
            for key, report in to_parts(item) if isinstance(item, CreditReport) else ():
                logic = self._parts.setdefault(key, self._build(None))
                for said in logic.on_batch([report])[0]:
                    for run in said if isinstance(said, list) else ():
                        name = (run.workflow_id, run.execution_id)
                        assert self.said.setdefault(name, run) == run


def _expected(lines: list[Line]) -> Said:
    return {(run.workflow_id, run.execution_id): run for run in replayed(lines).records}


@lawful
@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
def test_lanes_their_order_cuts_and_restarts_change_nothing(seed: int, lanes: int, has_folder: bool) -> None:
    rng, lines = Random(seed), some_weeks(seed, steps=150)
    with TemporaryDirectory() as folder:
        cluster = Cluster(lanes, Path(folder) if has_folder else None)
        waiting = [
            [line for line in lines if "kind" in line or int(line["workflow_id"][-1]) % lanes == lane]
            for lane in range(lanes)
        ]
        while any(waiting):
            lane = rng.randrange(lanes)
            count = rng.choice((1, 3, 40))
            cluster.process(lane, waiting[lane][:count])
            del waiting[lane][:count]
            if rng.random() < 0.2:
                cluster.restart()
        cluster.finish()
        assert cluster.said == _expected(lines)


def test_a_store_of_another_version_is_refused() -> None:
    cluster = Cluster(1)
    cluster.process(0, some_weeks(0, steps=5))
    (logic,) = [one for one in cluster._parts.values() if one._part == 0]
    snapshot = bytearray(logic.snapshot())
    assert snapshot[1] == SNAPSHOT_VERSION
    snapshot[1] = 9
    with pytest.raises(UnusableStoreError, match="version 9"):
        cluster._build(bytes(snapshot))
