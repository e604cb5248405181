"""What every source does with the messages it reads: decode, check identity, set dead letters apart.

A message that can't be used moves nothing, not even the watermark.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from dataflows.admission import Admission
from dataflows.dead_letters import MAX_KEPT_BYTES, DeadLetter, DeadLetterCode, Position, Unusable
from dataflows.decode import decode, decode_all
from dataflows.events import MAX_MESSAGE_BYTES, Event, RunEvent
from dataflows.parking import Parked
from dataflows.registry import Registry, TrustingRegistry, agrees, identify
from dataflows.sources.lines import Oversized
from dataflows.times import EPOCH, MICROSECOND


class Taken(NamedTuple):
    """What became of a batch: events in their order with their event times, and what can't be used."""

    events: Sequence[Event]
    times: list[int]
    dead_letters: list[DeadLetter]
    #: The dead letter for an event that could be used by itself, but contradicts an earlier one; by its index.
    contradicts: Callable[[int], DeadLetter]


class Intake:
    """Turns one partition's messages into events."""

    def __init__(
        self,
        source: str,
        partition: int,
        registry: Registry,
        *,
        horizon: Callable[[], int] | None = None,
        admission: Admission | None = None,
    ) -> None:
        """`horizon` gives the latest event time that is believed now.

        Without it every time is believed: a recorded file has no receiving clock. `admission` lets events wait that
        are ahead of the registry; without it they can't be used.
        """
        self._source = source
        self._partition = partition
        self._registry = registry
        self._horizon = horizon
        self._admission = admission
        self._log = f"{source}/{partition}"

    def take(
        self,
        raws: Sequence[bytes],
        offset_of: Callable[[int], int],
        unwrap: Callable[[int], bytes] | None = None,
        text: bytes | None = None,
    ) -> Taken:
        """Take in a batch; `offset_of` gives a message's offset by its index, asked for dead letters only.

        `text` is bytes in which all messages stand, whatever is between them, where they are at hand.
        `unwrap` gives what the message at an index holds in another format; asked only for what is no event itself.
        Empty and blank messages are passed over.
        """
        latest = None if self._horizon is None else self._horizon()
        together = b"".join(raws) if text is None else text
        if len(together) <= MAX_MESSAGE_BYTES and together.isascii():
            decoded = decode_all([raw for raw in raws if raw], together)
            if decoded is not None:
                events, times = decoded
                if (latest is None or not times or max(times) <= latest) and self._are_who_they_say(events):
                    return Taken(events, times, [], partial(self._contradicts, raws, offset_of, None, None))
        return self._take_each(raws, offset_of, latest, unwrap, self._admission)

    def take_again(self, parked: Parked, *, anew: bool = False) -> Taken:
        """Take in one that has waited; `anew` as if it had not, so that it may have to wait on."""
        latest = None if self._horizon is None else self._horizon()
        admission = self._admission if anew else None
        return self._take_each([parked.raw], lambda _: parked.offset, latest, None, admission, parked.arrived)

    def give_up(self, parked: Parked) -> DeadLetter:
        """The dead letter for one that has waited in vain."""
        fault = Unusable(DeadLetterCode.UNKNOWN_AUTOMATION_VERSION, "the registry has no such automation version")
        raw = parked.raw
        return self._dead_letter(parked.offset, raw, fault, len(raw), hashlib.sha256(raw).hexdigest())

    def too_large(self, line: Oversized) -> DeadLetter:
        """The dead letter for a line that no memory should hold."""
        fault = Unusable(DeadLetterCode.TOO_LARGE, f"more than {MAX_MESSAGE_BYTES} bytes")
        return self._dead_letter(line.offset, line.kept, fault, line.size, line.sha256)

    def _are_who_they_say(self, events: list[RunEvent]) -> bool:
        """Check the ids of all events and fill in their workflows; False when one can't be used, or not yet."""
        registry, admission = self._registry, self._admission
        if admission is not None:
            for event in events:
                binding = admission.binding(event)
                if binding is None or not agrees(event, binding):
                    return False
                if event.workflow_id is None:
                    event.workflow_id = binding.workflow
            return True
        if type(registry) is TrustingRegistry:
            for event in events:
                if event.workflow_id is None:
                    event.workflow_id = event.automation_version_id
            return True
        try:
            for event in events:
                identify(event, registry)
        except Unusable:
            return False
        return True

    def _take_each(
        self,
        raws: Sequence[bytes],
        offset_of: Callable[[int], int],
        latest: int | None,
        unwrap: Callable[[int], bytes] | None,
        admission: Admission | None,
        arrived: int | None = None,
    ) -> Taken:
        events: list[Event] = []
        times: list[int] = []
        dead_letters: list[DeadLetter] = []
        places: list[int] = []
        for index, raw in enumerate(raws):
            if not raw or raw.isspace():
                continue
            message = raw
            try:
                try:
                    event = decode(raw)
                except Unusable:
                    inner = raw if unwrap is None else unwrap(index)
                    if inner is raw:
                        raise
                    # What it holds is kept if it can't be used: its envelope may be in headers, which are not.
                    message = inner
                    event = decode(inner)
                time = _believe(event, latest)
                if not self._is_let_in(event, admission):
                    assert admission is not None
                    admission.park(self._log, offset_of(index), message, event, arrived)
                    continue
                times.append(time)
                events.append(event)
                places.append(index)
            except Unusable as fault:
                sha256 = hashlib.sha256(message).hexdigest()
                kept = message[:MAX_KEPT_BYTES]
                dead_letters.append(self._dead_letter(offset_of(index), kept, fault, len(message), sha256))
        return Taken(events, times, dead_letters, partial(self._contradicts, raws, offset_of, unwrap, places))

    def _contradicts(
        self,
        raws: Sequence[bytes],
        offset_of: Callable[[int], int],
        unwrap: Callable[[int], bytes] | None,
        places: Sequence[int] | None,
        index: int,
    ) -> DeadLetter:
        """`places` are those of the events among the messages; None where all that are not empty hold one."""
        place = (places or [number for number, raw in enumerate(raws) if raw])[index]
        message = raws[place]
        if unwrap is not None:
            try:
                decode(message)
            except Unusable:
                message = unwrap(place)
        fault = Unusable(DeadLetterCode.CONFLICTING_RUN, "another record of this run came before")
        sha256 = hashlib.sha256(message).hexdigest()
        return self._dead_letter(offset_of(place), message[:MAX_KEPT_BYTES], fault, len(message), sha256)

    def _is_let_in(self, event: Event, admission: Admission | None) -> bool:
        """Check an event's ids and fill in its workflow; False when it has to wait, `Unusable` when they are wrong."""
        if not isinstance(event, RunEvent):
            return admission is None or not admission.must_wait(event)
        if admission is not None:
            binding = admission.binding(event)
            if binding is None:
                return False
            if agrees(event, binding):
                if event.workflow_id is None:
                    event.workflow_id = binding.workflow
                return True
        identify(event, self._registry)
        return True

    def _dead_letter(self, offset: int, kept: bytes, fault: Unusable, size: int, sha256: str) -> DeadLetter:
        position = Position(source=self._source, partition=self._partition, offset=offset)
        return DeadLetter(
            position=position,
            code=fault.code,
            explanation=fault.explanation,
            raw=kept,
            sha256=sha256,
            size=size,
        )


def _believe(event: Event, latest: int | None) -> int:
    """The event time of an event; `Unusable` when it is too far ahead."""
    time = (event.occurred_at - EPOCH) // MICROSECOND
    if latest is not None and time > latest:
        raise Unusable(DeadLetterCode.FUTURE_TIMESTAMP, "further ahead of the receiving clock than is believed")
    return time
