"""The job in plain Python, for the rivals that run Python: pure, one object a workflow, input in order of event time.

The same rules as `../java/rules`. It knows nothing of Breakwater's code. State is a struct that encodes itself to
bytes, for engines that keep state as bytes.
"""

import time as clock
from datetime import datetime
from typing import Protocol

import msgspec

SECOND = 1_000_000
STREAK, RATIO, MIN_RUNS = 3, 0.5, 10
WINDOW = 3600 * SECOND
COOLDOWN = 30 * SECOND
RUN_TIMEOUT = 65 * SECOND
LATENESS = 60 * SECOND
THRESHOLD, BREAKER_WINDOW = 5, 3600 * SECOND
HORIZON = 24 * 3600 * SECOND
NEVER = -(1 << 62)

TERMINAL = frozenset({"success", "failure", "timed_out", "cancelled"})

#: kind, tenant, workflow, cause, event time in microseconds
Decision = tuple[str, str, str, str, int]


class Event(msgspec.Struct, gc=False):
    """The fields that the job reads."""

    event_id: str
    status: str
    occurred_at: datetime
    tenant_id: str
    automation_version_id: str
    workflow_id: str
    execution_id: str
    system_key: str | None = None
    http_status: int | None = None


decode = msgspec.json.Decoder(Event).decode


def micros(event: Event) -> int:
    """Event time as whole microseconds since the epoch."""
    return round(event.occurred_at.timestamp() * SECOND)


#: What an id is of.
EVENT, ENDED = "e", "x"


class Ids(Protocol):
    """Ids of events, and of executions that ended, of one workflow; remembered for `HORIZON`."""

    def is_known(self, kind: str, name: str) -> bool:
        """Whether it was added."""

    def add(self, kind: str, name: str, time: int) -> None:
        """Remember it."""


class System(msgspec.Struct, array_like=True):
    """Auth failures of one external system."""

    streak: int = 0
    failures: list[int] = []


class Workflow(msgspec.Struct, array_like=True):
    """What is remembered of one workflow."""

    tenant: str = ""
    workflow: str = ""
    #: Deadlines of open executions, oldest first.
    open: dict[str, int] = {}
    stuck: dict[str, int] = {}
    runs: list[int] = []
    systems: dict[str, System] = {}
    armed: bool = True
    decided_at: int = NEVER
    successes: int = 0
    counted: dict[str, int] = {}
    newest: int = NEVER
    blacklisted: bool = False

    def judge(self, event: Event, time: int, ids: Ids) -> list[Decision]:
        """Settle what the watermark has passed, then judge the event: for engines without timers of event time."""
        settled = self.on_watermark(time - LATENESS) if self.open else []
        decided = self.on_event(event, time, ids)
        return settled + decided if settled else decided

    def on_event(self, event: Event, time: int, ids: Ids) -> list[Decision]:
        """Judge one event."""
        if ids.is_known(EVENT, event.event_id):
            return []
        ids.add(EVENT, event.event_id, time)
        if not self.workflow:
            self.tenant, self.workflow = event.tenant_id, event.workflow_id
        execution = event.execution_id
        if ids.is_known(ENDED, execution):
            return []
        decisions: list[Decision] = []
        status = event.status
        if status == "started" or status == "running":
            if self.open.get(execution, time + 1) <= time:
                decisions = self.on_watermark(time)
            if execution in self.stuck:
                decisions.append(self._recovered(execution, time))
            else:
                self.open.pop(execution, None)
                self.open[execution] = time + RUN_TIMEOUT
            return decisions
        if status not in TERMINAL:
            return []
        ids.add(ENDED, execution, time)
        deadline = self.open.get(execution)
        if deadline is not None:
            if deadline <= time:
                decisions = self.on_watermark(time)
            else:
                del self.open[execution]
        if execution in self.stuck:
            if status == "timed_out":
                del self.stuck[execution]
            else:
                decisions.append(self._recovered(execution, time))
        elif status == "timed_out":
            decisions += self._stuck(execution, time)
            del self.stuck[execution]
        if status != "cancelled" and self._on_run(event, time):
            decisions.append(("block_for_credentials", self.tenant, self.workflow, event.event_id, time))
        return decisions

    def on_watermark(self, time: int) -> list[Decision]:
        """Call stuck what is due, in order of deadline and id."""
        due = []
        for name, deadline in self.open.items():
            if deadline > time:
                break
            due.append((deadline, name))
        decisions: list[Decision] = []
        for deadline, name in sorted(due):
            del self.open[name]
            decisions += self._stuck(name, deadline)
        return decisions

    def next_deadline(self) -> int | None:
        """When `on_watermark` has something to do."""
        return next(iter(self.open.values()), None)

    def _stuck(self, execution: str, time: int) -> list[Decision]:
        self.stuck[execution] = time
        decisions: list[Decision] = [("execution_stuck", self.tenant, self.workflow, execution, time)]
        if self.blacklisted:
            return decisions
        self.counted[execution] = time
        self.newest = max(self.newest, time)
        begin = self.newest - BREAKER_WINDOW
        self.counted = {name: at for name, at in self.counted.items() if at > begin}
        if len(self.counted) >= THRESHOLD:
            self.blacklisted = True
            self.counted = {}
            decisions.append(("blacklist_workflow", self.tenant, self.workflow, execution, time))
        return decisions

    def _recovered(self, execution: str, time: int) -> Decision:
        del self.stuck[execution]
        self.counted.pop(execution, None)
        return ("execution_recovered", self.tenant, self.workflow, execution, time)

    def _on_run(self, event: Event, time: int) -> bool:
        begin = time - WINDOW
        runs = self.runs
        runs.append(time)
        if runs[0] <= begin:
            self.runs = runs = [one for one in runs if one > begin]
        if event.status == "success":
            for name, system in self.systems.items():
                if event.system_key is None or event.system_key == name:
                    system.streak = 0
            if not self.armed:
                self.successes += 1
                if not any(self._is_above(system, begin) for system in self.systems.values()):
                    self.armed = True
            return False
        self.successes = 0
        if event.http_status != 401 or event.status != "failure":
            return False
        system = self.systems.setdefault(event.system_key or "unknown", System())
        system.streak += 1
        system.failures.append(time)
        if not self.armed and time < self.decided_at + COOLDOWN:
            return False
        self.armed = True
        if system.streak < STREAK and not self._is_above(system, begin):
            return False
        self.armed = False
        self.decided_at = time
        return True

    def _is_above(self, system: System, begin: int) -> bool:
        while system.failures and system.failures[0] <= begin:
            del system.failures[0]
        return len(self.runs) >= MIN_RUNS and len(system.failures) / len(self.runs) > RATIO


def line(decision: Decision) -> str:
    """A decision as the comparison reads it."""
    return "\t".join(map(str, decision))


class Clock:
    """When the first event was read and the last one judged, in this process."""

    def __init__(self) -> None:
        self.first = 0.0
        self.cpu = 0.0
        self.events = 0

    def begin(self) -> None:
        """An event was read."""
        if not self.first:
            self.first, self.cpu = clock.perf_counter(), clock.process_time()

    def report(self) -> None:
        """All are judged."""
        print(f"cpu: {clock.process_time() - self.cpu:.6f} seconds")
        print(f"judged {self.events} events in {clock.perf_counter() - self.first:.6f} seconds", flush=True)
