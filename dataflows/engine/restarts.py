"""How often a cluster may be started again: a rate, so that one that fails once a month goes on for ever."""

from collections import deque
from datetime import timedelta

#: Restarts that a stretch of time may see; one more, and the cluster is left to whoever supervises it.
RESTARTS = 5
WITHIN = timedelta(minutes=10)

#: Before the first restart of such a stretch; each next one waits twice as long.
PAUSE = timedelta(seconds=1)


class RestartBudget:
    """The restarts of late; pure, the clock is handed in."""

    def __init__(self, restarts: int = RESTARTS, within: timedelta = WITHIN, pause: timedelta = PAUSE) -> None:
        self._restarts = restarts
        self._within = within.total_seconds()
        self._pause = pause.total_seconds()
        self._granted: deque[float] = deque()

    def ask(self, now: float) -> float | None:
        """Seconds to wait before the next start; None when there were too many. `now` in seconds, never going back."""
        while self._granted and self._granted[0] <= now - self._within:
            self._granted.popleft()
        recent = len(self._granted)
        if recent >= self._restarts:
            return None
        self._granted.append(now)
        return self._pause * 2.0**recent
