"""Be asked to end: by Ctrl-C, by SIGTERM, by a terminal that closes."""

import signal
from types import FrameType

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopAskedError(Exception):
    """Somebody asked to end."""


class Ending:
    """Whether somebody has asked. Make it in the main thread.

    A signal is only noted. An exception out of its handler may come up anywhere: between the start of a server and
    the line that remembers to end it, or amid a library's clean-up, where it gets lost or becomes another one.
    """

    def __init__(self) -> None:
        self.is_asked = False
        for number in _ASKING:
            signal.signal(number, self._ask)

    def check(self) -> None:
        """Raise `StopAskedError` when somebody has asked; to be called wherever it is safe to end, and often."""
        if self.is_asked:
            raise StopAskedError

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.is_asked = True
