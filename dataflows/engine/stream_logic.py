"""The whole stream's dead man's switch as bytewax sees it: one key, to which all lanes report."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from bytewax.operators import StatefulBatchLogic

from config.metrics import DECISIONS
from dataflows.decisions import Decision
from dataflows.detectors.silence import Span, StreamSilence, StreamSilenceState


class StreamReport(NamedTuple):
    """How far a lane has come, and when it had runs since its last report."""

    lane: str
    watermark: int
    spans: list[Span]
    #: Nothing more comes from it.
    is_end: bool = False


class StreamLogic(StatefulBatchLogic[StreamReport, Decision, bytes]):
    """Time is the stream's: `notify_at` is wall clock and is not used. Reports carry the watermarks."""

    def __init__(self, detector: StreamSilence, state: StreamSilenceState) -> None:
        self._detector = detector
        self._state = state

    def on_batch(self, values: list[StreamReport]) -> tuple[Iterable[Decision], bool]:
        """Take in reports in their order."""
        decisions = [
            decision
            for lane, watermark, spans, is_end in values
            for _, decision in self._detector.report(self._state, lane, watermark, spans, is_end=is_end)
        ]
        for decision in decisions:
            DECISIONS.labels(decision.kind.value).inc()
        return decisions, self.RETAIN

    def snapshot(self) -> bytes:
        """What was reported, as bytes of our own."""
        return _encode(self._state)


def stream_logic(detector: StreamSilence) -> Callable[[bytes | None], StreamLogic]:
    """What bytewax calls for the key, with the snapshot when there is one."""

    def build(snapshot: bytes | None) -> StreamLogic:
        return StreamLogic(detector, StreamSilenceState() if snapshot is None else _decode(snapshot))

    return build


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StreamSilenceState).decode
