"""The detectors over recorded events, without a stream engine: what `breakwater detect` runs (spec 20.7).

One lane holds all workflows, and all files are read one after another as one stream. Decisions come in the order in
which they were made: by the event that moved the watermark far enough, and among those due together by (deadline,
execution id).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from dataflows.credit_runs import CreditRun
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision
from dataflows.detectors.silence import StreamSilenceState
from dataflows.engine.detector_sets import CreditFactory, DetectorFactory
from dataflows.engine.lane import Lane
from dataflows.engine.memory import Room
from dataflows.engine.watermarks import Watermark
from dataflows.engine.workflow import Timed
from dataflows.intake import Intake
from dataflows.registry import Registry
from dataflows.sources.lines import LineReader, Lines, Oversized
from dataflows.times import NEVER


class Replay:
    """One pass over recorded events. Feed it files, then `finish`."""

    def __init__(
        self,
        detectors: DetectorFactory,
        registry: Registry,
        allowed_lateness: int,
        *,
        on_decision: Callable[[Decision], None],
        on_dead_letter: Callable[[DeadLetter], None],
        second_stage: CreditFactory | None = None,
        on_credit_run: Callable[[CreditRun], None] = lambda _: None,
    ) -> None:
        """`allowed_lateness` in microseconds. Without a `second_stage` nobody looks at what runs cost."""
        self._lane = Lane(detectors.of, Room(), Watermark(allowed_lateness), detectors.resolution)
        self._credits = None if second_stage is None else second_stage.stage(lanes=1)
        self._on_credit_run = on_credit_run
        self._silence = detectors.of_stream(lanes=1)
        self._stream = StreamSilenceState()
        self._registry = registry
        self._on_decision = on_decision
        self._on_dead_letter = on_dead_letter
        self._decisions: Counter[str] = Counter()
        self._dead_letters: Counter[str] = Counter()

    def feed(self, name: str, reader: LineReader, on_progress: Callable[[int], None]) -> None:
        """Read a file to its end; `on_progress` is told the byte offset reached."""
        intake = Intake(name, -1, self._registry)
        while (part := reader.read()) is not None:
            if isinstance(part, Oversized):
                self._refuse(intake.too_large(part))
            else:
                self._take(intake, part)
            on_progress(reader.offset)

    def finish(self, until: int = NEVER) -> None:
        """The input has ended; `until` moves the watermark on, if it is later."""
        self._lane.watermark.finish(until)
        out = self._lane.advance([]) + self._silences() + self._charge(is_end=True)
        out.sort(key=lambda timed: (timed.due, timed.is_event, timed.execution_id, timed.arrival))
        self._say(out)

    @property
    def dead_letters(self) -> Mapping[str, int]:
        """How many there were of each code, by its word."""
        return dict(sorted(self._dead_letters.items()))

    def summary(self) -> dict[str, object]:
        """The counts of spec 20.7."""
        counts = self._lane.counts
        return {
            "events": counts.events,
            "duplicates": counts.duplicates,
            "late": counts.late,
            "dead_letters": self.dead_letters,
            "decisions": dict(sorted(self._decisions.items())),
        }

    def _take(self, intake: Intake, part: Lines) -> None:
        taken = intake.take(part.lines, part.offset_of, text=part.text)
        for dead_letter in taken.dead_letters:
            self._refuse(dead_letter)
        if taken.events:
            first, highest = self._lane.arrival, self._lane.watermark.highest
            out = self._lane.process(taken.events, taken.times) + self._silences() + self._charge()
            for index in self._lane.take_conflicts():
                self._refuse(taken.contradicts(index))
            if len(out) > 1:
                _sort(
                    out,
                    first,
                    [time - self._lane.watermark.lateness for time in accumulate(taken.times, max, initial=highest)],
                )
            self._say(out)

    def _charge(self, *, is_end: bool = False) -> list[Timed]:
        """What the second stage says by now."""
        lane, out = self._lane, []
        mark, charges = lane.credit_mark, lane.take_charges()
        if self._credits is None:
            return []
        ahead = mark - lane.watermark.value
        for judged in self._credits.take("", mark, charges, is_end=is_end):
            if judged.decision is not None:
                out.append(Timed(judged.time + 1 - ahead, True, "", 0, judged.decision))
            if judged.record is not None:
                self._on_credit_run(judged.record)
        return out

    def _silences(self) -> list[Timed]:
        """What the whole stream's switch says by now."""
        if self._silence is None:
            return []
        reported = self._silence.report(self._stream, "", self._lane.watermark.value, self._lane.take_spans())
        return [Timed(due, False, "", 0, decision) for due, decision in reported]

    def _say(self, out: list[Timed]) -> None:
        for timed in out:
            self._decisions[timed.decision.kind.value] += 1
            self._on_decision(timed.decision)

    def _refuse(self, dead_letter: DeadLetter) -> None:
        self._dead_letters[dead_letter.code.value] += 1
        self._on_dead_letter(dead_letter)


def _sort(out: list[Timed], first: int, watermarks: Sequence[int]) -> None:
    """Bring decisions into the order of their making, whatever workflow was looked at first.

    `first` is the arrival of the batch's first event; `watermarks` the one before it, then those after each event.
    """

    def order(timed: Timed) -> tuple[int, bool, int, bool, str, int]:
        if timed.due is None:
            return (timed.arrival, True, 0, True, "", timed.arrival)
        mover = first + bisect_left(watermarks, timed.due, 1) - 1
        return (mover, False, timed.due, timed.is_event, timed.execution_id, timed.arrival)

    out.sort(key=order)
