"""Ending a flow in good order."""

import signal
from types import FrameType


class StopRequest:
    """Set by SIGTERM or SIGINT, or by a wish to begin anew. Sources look at `ends` before each batch and end, so that
    the flow takes a last snapshot and a restart repeats nothing.
    """

    def __init__(self) -> None:
        #: Somebody wants the process to end: what waits for others gives up.
        self.requested = False
        self._is_renewal = False

    @property
    def ends(self) -> bool:
        """Whether nothing more is to be read."""
        return self.requested or self._is_renewal

    @property
    def begins_anew(self) -> bool:
        """Whether the process is to run the flow again once it has ended."""
        return self._is_renewal and not self.requested

    def listen(self) -> None:
        """Take over the signals; call it from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def renew(self) -> None:
        """End the flow and begin anew."""
        self._is_renewal = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (signal's signature)
        self.requested = True
