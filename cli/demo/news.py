"""Gather what has happened since the last look, from wherever it shows."""

from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from queue import SimpleQueue

from cli.demo.dead_letters import DeadLetterReader
from cli.demo.narration import Line, Narrator, admitted_run_line, dead_letter_line, mail_line, platform_line, task_line
from cli.demo.watch import Watch
from cli.embedded.platform import Call, EmbeddedPlatform
from cli.embedded.smtp import ReceivedMail


@dataclass
class News:
    """Each thing is news once."""

    narrator: Narrator
    watch: Watch
    dead_letters: DeadLetterReader
    platform: EmbeddedPlatform
    mails: SimpleQueue[ReceivedMail]
    _calls_told: int = 0

    def read(self) -> list[Line]:
        """What is new, causes before their effects; does not wait."""
        # Looked at first: a mail that is here has its decision in the database.
        mails = [self.mails.get_nowait() for _ in range(self.mails.qsize())]
        return [
            *map(dead_letter_line, self.dead_letters.read()),
            *map(platform_line, self._calls()),
            *self._written(),
            *map(mail_line, mails),
        ]

    def _calls(self) -> list[Call]:
        calls = self.platform.calls[self._calls_told :]
        self._calls_told += len(calls)
        # The sweeper asks twice: with the key of a question that may hang, and with its own.
        return [call for call, _ in groupby(replace(call, idempotency_key=None) for call in calls)]

    def _written(self) -> list[Line]:
        """Rows by the time of their transaction; those of one in the order of this list."""
        narrator, watch = self.narrator, self.watch
        told = [
            *((row.closed_at or row.opened_at, narrator.incident_line(row)) for row in watch.incidents()),
            *((row.recorded_at, narrator.decision_line(row)) for row in watch.decisions()),
            *((row.changed_at, narrator.move_line(row)) for row in watch.moves()),
            *((row.decided_at, narrator.refusal_line(row)) for row in watch.refusals()),
            *((row.raised_at, narrator.case_line(row)) for row in watch.cases()),
            *((row.recorded_at, admitted_run_line(row)) for row in watch.admitted_runs()),
            *((row.created_at, task_line(row)) for row in watch.tasks()),
        ]
        return [line for _, line in sorted(told, key=itemgetter(0)) if line is not None]
