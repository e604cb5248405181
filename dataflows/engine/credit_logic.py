"""The second stage as bytewax sees it: one key for each part of the tenants, to which all lanes report."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
from bytewax.operators import StatefulBatchLogic

from config.metrics import DECISIONS
from dataflows.credit_runs import CreditRun
from dataflows.decisions import Decision
from dataflows.detectors.credit_anomalies import Scenario
from dataflows.detectors.spend_rate import Tenant
from dataflows.engine.credit_records import Charge, CreditReport, part_of
from dataflows.engine.credit_stage import CreditStage, Spending, StageClock
from dataflows.engine.state_files import StateFile, StateFiles, UnusableStoreError

#: Into how many parts the tenants are divided: as many processes can share the work.
PARTS = 8

_KEYS = [f"part-{part}" for part in range(PARTS)]

SNAPSHOT_VERSION = 4


#: What a part says: decisions, and together, since the engine counts by item, the records of some runs.
Said = Decision | list[CreditRun]


class PartReport(NamedTuple):
    """What of a lane's report concerns one part."""

    part: int
    report: CreditReport


class Scenarios(msgspec.Struct, array_like=True):
    """What a file of the recovery folder holds: scenarios and spending as they are by then, and what is forgotten."""

    scenarios: list[Scenario]
    gone: list[tuple[str, str]]
    spenders: list[Tenant] = []
    spending: list[Spending] = []


class StageSnapshot(msgspec.Struct, array_like=True):
    """What recovery keeps of a part; with files its scenarios are there."""

    version: int
    part: int
    clock: StageClock
    scenarios: Scenarios
    files: list[StateFile] | None = None


def to_parts(report: CreditReport) -> list[tuple[str, PartReport]]:
    """A report for each part, under its key: all have to know how far the lane has come."""
    lane, mark, charges, is_end = report
    parted: list[list[Charge]] = [[] for _ in range(PARTS)]
    for charge in charges:
        parted[part_of(charge[-1].tenant_id, PARTS)].append(charge)
    return [(_KEYS[part], PartReport(part, CreditReport(lane, mark, own, is_end))) for part, own in enumerate(parted)]


class CreditLogic(StatefulBatchLogic[PartReport, Said, bytes]):
    """Time is the stream's: `notify_at` is wall clock and is not used. Reports carry how far the lanes have come."""

    def __init__(
        self,
        new_stage: Callable[[int], CreditStage],
        snapshot: bytes | None,
        folder: Callable[[int], Path] | None,
        *,
        is_lasting: bool,
    ) -> None:
        self._new_stage = new_stage
        self._folder = folder
        self._is_lasting = is_lasting
        #: The engine does not say which part it is for; the first report or the snapshot does.
        self._part = -1
        self._stage: CreditStage | None = None
        self._files: StateFiles | None = None
        if snapshot:
            self._restore(snapshot)

    def on_batch(self, values: list[PartReport]) -> tuple[Iterable[Said], bool]:
        """Take in reports in their order."""
        stage = self._stage or self._begin(values[0].part)
        out: list[Said] = []
        records: list[CreditRun] = []
        for _, (lane, mark, charges, is_end) in values:
            for judged in stage.take(lane, mark, charges, is_end=is_end):
                if judged.decision is not None:
                    DECISIONS.labels(judged.decision.kind.value).inc()
                    out.append(judged.decision)
                if judged.record is not None:
                    records.append(judged.record)
        if records:
            out.append(records)
        return out, self.RETAIN

    def snapshot(self) -> bytes:
        """All that a restart needs, as bytes of our own; with a folder it costs what has changed since the last one."""
        stage = self._stage
        if stage is None or not self._is_lasting:
            if stage is not None:
                stage.note_snapshot()
            return b""
        stage.settle()
        scenarios, files = Scenarios([], []), None
        if self._files is None:
            scenarios.scenarios = list(stage.scenarios)
            scenarios.spenders = list(stage.spenders)
        else:
            everything = self._files.wants_everything
            if everything:
                told = Scenarios(list(stage.scenarios), [], list(stage.spenders))
            else:
                told = Scenarios(stage.changed, stage.gone, *stage.news_of_spending())
            if everything or told.scenarios or told.gone or told.spenders or told.spending:
                self._files.write([_encode(told)], everything=everything)
            files = self._files.current
        taken = _encode(StageSnapshot(SNAPSHOT_VERSION, self._part, stage.clock(), scenarios, files))
        stage.note_snapshot()
        return taken

    def _begin(self, part: int, files: list[StateFile] | None = None) -> CreditStage:
        self._part = part
        if self._folder is not None and self._is_lasting:
            self._files = StateFiles(self._folder(part), files or [])
        self._stage = stage = self._new_stage(part)
        return stage

    def _restore(self, snapshot: bytes) -> None:
        stored = _decode_snapshot(snapshot)
        if stored.version != SNAPSHOT_VERSION:
            raise UnusableStoreError(
                f"the recovery store is of version {stored.version} for credits, this is {SNAPSHOT_VERSION}:"
                " begin a new one"
            )
        if stored.files and self._folder is None:
            raise UnusableStoreError(
                f"{stored.files[0].name}: it is part of the recovery store, and no folder is given"
            )
        stage = self._begin(stored.part, stored.files)
        told = [stored.scenarios]
        if self._files is not None:
            told = [_decode_scenarios(content) for content in self._files.read()] + told
        for one in told:
            stage.learn(one.scenarios, one.gone)
            stage.learn_spending(one.spenders, one.spending)
        stage.restore(stored.clock)
        stage.begin()


def credit_logic(
    new_stage: Callable[[int], CreditStage],
    folder: Callable[[int], Path] | None = None,
    *,
    is_lasting: bool = True,
) -> Callable[[bytes | None], CreditLogic]:
    """What bytewax calls for a key, with the snapshot when there is one.

    `new_stage` makes a part's stage; with a `folder` for each part its state is kept in files there. `is_lasting` is
    False where nothing keeps snapshots.
    """

    def build(snapshot: bytes | None) -> CreditLogic:
        return CreditLogic(new_stage, snapshot, folder, is_lasting=is_lasting)

    return build


_encode = msgspec.msgpack.Encoder().encode
_decode_snapshot = msgspec.msgpack.Decoder(StageSnapshot).decode
_decode_scenarios = msgspec.msgpack.Decoder(Scenarios).decode
