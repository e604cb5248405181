"""Ending a flow in good order."""

import signal
from types import FrameType


class StopRequest:
    """Set by SIGTERM or SIGINT. Sources look at it before each batch and end, so that the flow takes a last
    snapshot and a restart repeats nothing.
    """

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        """Take over the signals; call it from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (signal's signature)
        self.requested = True
