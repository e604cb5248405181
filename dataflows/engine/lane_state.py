"""What a snapshot holds of a lane, and its encoding: MessagePack, piece by piece."""

from collections.abc import Iterator

import msgspec

from dataflows.detectors.policies import BreakerChange
from dataflows.detectors.silence import Span
from dataflows.detectors.stuck_executions import NEVER_DUE
from dataflows.engine.memory import EndedExecution, Row
from dataflows.engine.workflow import Workflow
from dataflows.times import NEVER

#: Workflows of a part: encoded they fit into a processor's cache, from where they are written.
PART = 1_000


class LaneState(msgspec.Struct, array_like=True):
    """What a snapshot holds of a lane; of a partial one, what has changed since the last."""

    arrival: int
    watermark: int
    highest: int
    #: In parts, each an encoded list: so that reading them back takes little more room than what is read.
    workflows: list[msgspec.Raw]
    seen: list[Row[int]]
    ended: list[Row[EndedExecution]]
    #: When runs came, as far as nobody was told yet.
    spans: list[Span]
    #: As `ended`, of workflows whose timeout is longer than a day.
    ended_patient: list[Row[EndedExecution]] = []
    #: How many workflows there were ever: the next one's number.
    count: int = 0
    #: Numbers of those that were dropped since the last snapshot.
    gone: list[int] = []
    #: See `engine.quiet`; microseconds.
    age: int = 0
    #: Of the default layer, sorted.
    breaker_changes: list[BreakerChange] = []


def with_workflows(state: LaneState, workflows: list[Workflow]) -> LaneState:
    """The state with these workflows in it."""
    state.workflows = [msgspec.Raw(_encode(part)) for part in _parts(workflows)]
    return state


def encode_in_pieces(state: LaneState, workflows: list[Workflow]) -> Iterator[bytes | bytearray]:
    """What the encoding of `with_workflows` is, without ever holding it as a whole.

    A piece is good until the next one is taken: they share their memory, since a process that asks for new pages for
    each waits for them longer than encoding takes.
    """
    names = LaneState.__struct_fields__
    # MessagePack: an array of up to 15 is a byte and its elements; a longer one has its length in four bytes.
    yield bytes([0x90 | len(names)])
    buffer = bytearray()
    for name in names:
        if name == "workflows":
            parts = _parts(workflows)
            yield b"\xdd" + len(parts).to_bytes(4, "big")
            for part in parts:
                _encode_into(part, buffer)
                yield buffer
        else:
            yield _encode(getattr(state, name))


def workflows_of(state: LaneState) -> Iterator[Workflow]:
    """The workflows of a state that was read back."""
    marks: dict[int, int] = {}
    for part in state.workflows:
        for workflow in _decode(part):
            _share_constants(workflow, marks)
            yield workflow


def _parts(workflows: list[Workflow]) -> list[list[Workflow]]:
    return [workflows[start : start + PART] for start in range(0, len(workflows), PART)]


_encode = msgspec.msgpack.Encoder().encode
_encode_into = msgspec.msgpack.Encoder().encode_into
_decode = msgspec.msgpack.Decoder(list[Workflow]).decode


def _share_constants(workflow: Workflow, marks: dict[int, int]) -> None:
    """Let go of the copies that decoding makes of what many workflows have in common: a fifth of their memory."""
    workflow.told_at = marks.setdefault(workflow.told_at, workflow.told_at)
    auth, stuck = workflow.auth, workflow.stuck
    if workflow.wake_at == NEVER_DUE:
        workflow.wake_at = NEVER_DUE
    if stuck.next_deadline == NEVER_DUE:
        stuck.next_deadline = NEVER_DUE
    if workflow.pending_until == NEVER:
        workflow.pending_until = NEVER
    if auth.decided_at == NEVER:
        auth.decided_at = NEVER
    if auth.ignored_before == NEVER:
        auth.ignored_before = NEVER
