"""A key group: all state of the workflows whose id hashes to one number (design, section 2).

bytewax sees a few hundred keys instead of a million: the engine's cost for each item and each snapshot is paid
per group. The detectors know nothing of it.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from zlib import crc32

import msgspec

from dataflows.detectors.auth_errors import AuthErrorClassifier
from dataflows.detectors.auth_failures import AuthFailures
from dataflows.detectors.circuit_breaker import CircuitBreaker
from dataflows.detectors.policies import Policies, PolicySet
from dataflows.detectors.stuck_executions import NEVER_DUE, StuckExecutions
from dataflows.engine.memory import Memory, Room, Row
from dataflows.engine.workflow import Counts, Detectors, EndedExecution, EndedMemory, Timed, Workflow, WorkflowState
from dataflows.events import GATE_ERROR_CODES, ControlEvent, Event, RunEvent
from dataflows.times import NEVER

#: Fixed for the life of a recovery store: state moves between processes by whole groups.
GROUPS = 256

SNAPSHOT_VERSION = 1


def group_of(workflow_id: str) -> int:
    """The key group of a workflow, the same on every machine."""
    return crc32(workflow_id.encode()) % GROUPS


#: An event as a source hands it on: `(arrival, event time, watermark, event)`. Arrival numbers grow within a
#: partition and tell apart events of equal event time; the watermark is the partition's, this event included
#: (spec 10). A plain tuple: one is made for every event.
Stamped = tuple[int, int, int, Event]


class Owner(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Whose event was seen; one object a workflow, shared by all its entries."""

    number: int


class DetectorFactory:
    """Detectors by policy, built once for all workflows that share it."""

    def __init__(self, policies: Policies, classifier: AuthErrorClassifier, allowed_lateness: int) -> None:
        """`allowed_lateness` in microseconds."""
        self._policies = policies
        self._classifier = classifier
        self._lateness = allowed_lateness
        self._built: dict[PolicySet, Detectors] = {}

    def of(self, tenant_id: str, workflow_id: str) -> Detectors:
        """The detectors of a workflow."""
        policy = self._policies.of(tenant_id, workflow_id)
        detectors = self._built.get(policy)
        if detectors is None:
            detectors = self._built[policy] = Detectors(
                AuthFailures(policy.auth_failures, policy.version, self._classifier),
                StuckExecutions(policy.stuck_executions, policy.version, self._lateness),
                CircuitBreaker(policy.circuit_breaker, policy.version),
            )
        return detectors


class _Snapshot(msgspec.Struct, array_like=True):
    workflows: list[WorkflowState]
    seen: list[Row]
    ended: list[Row]


class KeyGroup:
    """The workflows of one group. Single-threaded; every method changes its state in place."""

    def __init__(self, detectors_of: Callable[[str, str], Detectors], room: Room) -> None:
        self.counts = Counts()
        self._detectors_of = detectors_of
        self._workflows: list[Workflow] = []
        #: By workflow id alone, as it is unique; a second tenant's workflow of the same name stands in `_twins`.
        self._by_id: dict[str, Workflow] = {}
        self._twins: dict[tuple[str, str], Workflow] = {}
        self._seen: Memory[Owner] = Memory(room, Owner)
        self._ended: EndedMemory = Memory(room, EndedExecution)
        #: By partition: (event time at which to wake a workflow, its number), a heap.
        self._wakes: dict[str, list[tuple[int, int]]] = {}
        self._owners: list[Owner] = []
        #: The snapshot, as long as nothing has happened since: quiet groups are asked for it all the same.
        self._encoded: bytes | None = None

    def next_wake(self, partition: str) -> int:
        """Nothing is due in this partition before its watermark reaches this."""
        heap = self._wakes.get(partition)
        return heap[0][0] if heap else NEVER_DUE

    def process(self, partition: str, batch: Sequence[Stamped], watermark: int) -> list[Timed]:
        """Take in a partition's events in their order, then all that is due by `watermark`.

        `watermark` is the partition's after the batch; an empty batch is a tick.
        """
        out: list[Timed] = []
        if batch or self.next_wake(partition) <= watermark:
            self._encoded = None
        counts, by_id, owners, seen = self.counts, self._by_id, self._owners, self._seen
        newest = NEVER
        for arrival, time, mark, event in batch:
            workflow = by_id.get(event.workflow_id)  # type: ignore[arg-type]  # identity filled it in
            if workflow is None or workflow.state.tenant_id != event.tenant_id:
                workflow = self._workflow(event, partition)
            state = workflow.state
            if state.partition != partition:
                self._move(workflow, partition)
            if time > newest:
                newest = time
            if type(event) is RunEvent:
                if seen.add(event.event_id, owners[state.number]) is not None:
                    counts.duplicates += 1
                    continue
                counts.events += 1
                if time < mark:
                    counts.late += 1
                if event.error_code is not None and event.error_code in GATE_ERROR_CODES:
                    continue
                wake = workflow.on_run(event, time, arrival, mark, out)
                if wake < state.wake_at:
                    state.wake_at = wake
                    heappush(self._wakes[partition], (wake, state.number))
            elif not self._is_repeat(event, state):  # type: ignore[arg-type]
                workflow.on_control(event, time, arrival, mark, out)  # type: ignore[arg-type]
                self._schedule(workflow)
        self._wake(partition, watermark, out)
        if newest != NEVER:
            seen.pass_time(newest)
            self._ended.pass_time(newest)
        return out

    def snapshot(self) -> bytes:
        """All state, versioned; the inverse is `restore`. About 1 µs a workflow that has been idle."""
        if self._encoded is None:
            rows = _Snapshot(
                [workflow.state for workflow in self._workflows], self._seen.snapshot(), self._ended.snapshot()
            )
            self._encoded = bytes([SNAPSHOT_VERSION]) + _encoder.encode(rows)
        return self._encoded

    def restore(self, raw: bytes) -> None:
        """Take over a snapshot; `self` must be new. `ValueError` for one of another version."""
        version = raw[0]
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"recovery store of snapshot version {version}, this is {SNAPSHOT_VERSION}: start anew")
        rows = _decoder.decode(memoryview(raw)[1:])
        for state in rows.workflows:
            workflow = self._adopt(state)
            if state.wake_at != NEVER_DUE:
                self._wakes[state.partition].append((state.wake_at, workflow.state.number))
        for heap in self._wakes.values():
            heapify(heap)
        self._seen.restore(rows.seen)
        self._ended.restore(rows.ended)

    def _workflow(self, event: Event, partition: str) -> Workflow:
        tenant_id, workflow_id = event.tenant_id, event.workflow_id or ""
        twin = self._twins.get((tenant_id, workflow_id))
        if twin is not None:
            return twin
        return self._adopt(WorkflowState(len(self._workflows), tenant_id, workflow_id, partition))

    def _adopt(self, state: WorkflowState) -> Workflow:
        workflow = Workflow(state, self._detectors_of(state.tenant_id, state.workflow_id), self._ended, self.counts)
        self._workflows.append(workflow)
        self._owners.append(Owner(state.number))
        self._wakes.setdefault(state.partition, [])
        if state.workflow_id in self._by_id:
            self._twins[state.tenant_id, state.workflow_id] = workflow
        else:
            self._by_id[state.workflow_id] = workflow
        return workflow

    def _move(self, workflow: Workflow, partition: str) -> None:
        """The workflow's events come from another partition now; its timers follow that watermark."""
        self.counts.moved += 1
        workflow.state.partition = partition
        workflow.state.wake_at = NEVER_DUE
        self._wakes.setdefault(partition, [])
        self._schedule(workflow)

    def _is_repeat(self, event: ControlEvent, state: WorkflowState) -> bool:
        """Whether a control event that has an id came before. No run event's id has a space in it."""
        if event.event_id is None:
            return False
        return self._seen.add(f"control {event.event_id}", self._owners[state.number]) is not None

    def _schedule(self, workflow: Workflow) -> None:
        state = workflow.state
        wake = workflow.next_wake()
        if wake < state.wake_at:
            state.wake_at = wake
            heappush(self._wakes[state.partition], (wake, state.number))

    def _wake(self, partition: str, watermark: int, out: list[Timed]) -> None:
        """Look at every workflow for which something may be due."""
        heap = self._wakes.get(partition)
        while heap and heap[0][0] <= watermark:
            wake, number = heappop(heap)
            workflow = self._workflows[number]
            if workflow.state.wake_at != wake or workflow.state.partition != partition:
                continue
            workflow.state.wake_at = NEVER_DUE
            workflow.advance(watermark, out)
            self._schedule(workflow)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Snapshot)
