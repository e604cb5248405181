"""How often a question is asked, and what holds when no answer comes. Pure but for the clock and the lot."""

import random
import time

from breakwater_client.answers import Passing, UnavailableError, Verdict
from breakwater_client.options import Fallback, Options

#: Refusals that are remembered at once; more than a scheduler has workflows that are stopped.
_MOST = 100_000


class Tries:
    """The tries of one question."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._until = time.monotonic() + options.deadline.total_seconds()
        self._pause = options.first_pause.total_seconds()

    @property
    def timeout(self) -> float:
        """Seconds for the next try."""
        return max(0.001, min(self._options.timeout.total_seconds(), self._until - time.monotonic()))

    def pause_after(self, passing: Passing) -> float:
        """Seconds to wait before the next try; `UnavailableError` when there is no time for one."""
        # By lot, so that those who were turned away together don't come back together.
        pause = self._pause * random.uniform(0.5, 1)  # noqa: S311  (no secret depends on it)
        if passing.pause is not None:
            pause = max(pause, passing.pause)
        self._pause = min(2 * self._pause, self._options.longest_pause.total_seconds())
        if time.monotonic() + pause >= self._until:
            raise UnavailableError(passing.code) from None
        return pause


class Fallbacks:
    """What holds when the gate can't be asked; remembers what it has refused."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._refused: dict[str, tuple[float, Verdict]] = {}

    def learn(self, verdict: Verdict) -> Verdict:
        """Remember a verdict of the gate, and give it back."""
        self._refused.pop(verdict.workflow_id, None)
        if not verdict.may_start:
            self._refused[verdict.workflow_id] = time.monotonic(), verdict
            if len(self._refused) > _MOST:
                self._refused.pop(next(iter(self._refused)))
        return verdict

    def decide(self, workflow_id: str, unavailable: UnavailableError) -> Verdict:
        """The verdict without the gate, or the error."""
        match self._options.fallback:
            case Fallback.RAISE:
                raise unavailable
            case Fallback.OPEN:
                at, known = self._refused.get(workflow_id, (0.0, None))
                if known is not None and time.monotonic() - at < self._options.remember.total_seconds():
                    return Verdict(workflow_id, False, known.code, known.message, is_fallback=True)
                return Verdict(workflow_id, True, is_fallback=True)
            case _:
                message = "Nobody can say now whether the run may start"
                return Verdict(workflow_id, False, unavailable.code, message, is_fallback=True)
