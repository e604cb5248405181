"""Be asked to end: by Ctrl-C, by SIGTERM, by a terminal that closes."""

import signal
from types import FrameType

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopAsked(KeyboardInterrupt):
    """Somebody asked to end. Libraries do about it what they do about Ctrl-C: take a question to a database back."""


class Ending:
    """Whether somebody has asked; only the first time counts. Make it in the main thread.

    What waits for long is interrupted by `StopAsked`. Whoever looks at `is_asked` often says so by `only_note`:
    an exception may come up anywhere, and amid a library's clean-up it gets lost or becomes another one.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._is_interrupting = True
        for number in _ASKING:
            signal.signal(number, self._ask)

    def only_note(self) -> None:
        """Interrupt nothing from now on."""
        self._is_interrupting = False

    def ignore(self) -> None:
        """Let nobody cut off the end that has begun."""
        for number in _ASKING:
            signal.signal(number, signal.SIG_IGN)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.ignore()
        self.is_asked = True
        if self._is_interrupting:
            raise StopAsked
