"""Stuck executions and circuit breaker (20.3, 20.4) of all workflows, in event time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from tests.reference.decisions import Decision, build, newest_evidence
from tests.reference.lines import TERMINAL, Fields
from tests.reference.policies import BreakerPolicy, StuckPolicy
from tests.reference.readings import Archived, Readings

Workflow = tuple[str, str]
ExecutionKey = tuple[str, str, str]

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Item:
    """A run event or control line that waits for the watermark."""

    at: datetime
    arrival: int
    fields: Fields


@dataclass
class Execution:
    """Everything known of one execution."""

    version: str
    activity: list[Item] = field(default_factory=list)
    ignored: list[Item] = field(default_factory=list)
    terminals: list[datetime] = field(default_factory=list)
    is_open: bool = False
    called_stuck: bool = False
    recovered: bool = False
    timed_out: bool = False
    unwatched: bool = False

    def last_activity(self) -> Item:
        """The last of its non-terminal events by (`occurred_at`, arrival)."""
        return max(self.activity, key=lambda item: (item.at, item.arrival))


@dataclass
class Breaker:
    """What was recorded for one workflow since its last release, and all its releases."""

    stuck: list[tuple[str, datetime]] = field(default_factory=list)
    recovered: set[str] = field(default_factory=set)
    released_at: list[datetime] = field(default_factory=list)
    blacklisted: bool = False
    ended: list[datetime] = field(default_factory=list)


class StuckOracle:
    """Pending events, executions and breakers, and the watermark they have been judged to."""

    def __init__(
        self,
        stuck_policy: Callable[[str, str], StuckPolicy],
        breaker_policy: Callable[[str, str], BreakerPolicy],
        policy_version: object,
        allowed_lateness: timedelta,
        readings: Readings,
    ) -> None:
        self._stuck_policy = stuck_policy
        self._breaker_policy = breaker_policy
        self._policy_version = policy_version
        self._allowed_lateness = allowed_lateness
        self._readings = readings
        self._pending: list[Item] = []
        self._executions: dict[ExecutionKey, Execution] = {}
        self._breakers: dict[Workflow, Breaker] = {}
        self._archived: list[tuple[str, str, str | None, datetime]] = []
        self._have_ended: set[ExecutionKey] = set()
        self._watermark: datetime | None = None
        self._decisions: list[Decision] = []

    def advance(self, watermark: datetime) -> list[Decision]:
        """Judge everything that the watermark has reached, then every deadline it has reached."""
        if self._watermark is not None and watermark < self._watermark:
            raise ValueError("a watermark never goes back")
        self._watermark = watermark
        while reached := [item for item in self._pending if item.at <= watermark]:
            item = min(reached, key=lambda one: (one.at, one.arrival))
            self._pending.remove(item)
            self._fire(item.at)
            self._judge(item, clock=item.at, is_late=False)
        self._fire(watermark)
        return self._taken()

    def arrive(self, fields: Fields, arrival: int) -> list[Decision]:
        """Take an event after the watermark it brought; one behind the watermark is judged at once."""
        item = Item(fields["occurred_at"], arrival, fields)
        if self._watermark is None:
            raise ValueError("the watermark comes first")
        if item.at < self._watermark:
            self._judge(item, clock=self._watermark, is_late=True)
            self._fire(self._watermark)
            return self._taken()
        self._pending.append(item)
        return self.advance(self._watermark)

    def _taken(self) -> list[Decision]:
        taken, self._decisions = self._decisions, []
        return taken

    def _fire(self, limit: datetime) -> None:
        while True:
            due = [
                (self._deadline(key, execution), key[2], key)
                for key, execution in self._executions.items()
                if execution.is_open and not execution.called_stuck
            ]
            due = [one for one in due if one[0] <= limit]
            if not due:
                return
            deadline, _, key = min(due)
            execution = self._executions[key]
            self._call_stuck(key, execution, deadline, "no_activity", execution.activity)

    def _judge(self, item: Item, *, clock: datetime, is_late: bool) -> None:
        fields = item.fields
        match fields.get("kind"):
            case "workflow_released":
                self._release(item)
            case "automation_status_changed":
                if fields["to_status"] == "Archived":
                    self._archive(item)
            case _:
                self._judge_run(item, clock=clock, is_late=is_late)

    def _judge_run(self, item: Item, *, clock: datetime, is_late: bool) -> None:
        fields = item.fields
        key = (fields["tenant_id"], fields["workflow_id"], fields["execution_id"])
        if fields["status"] in TERMINAL and key not in self._have_ended:
            self._have_ended.add(key)
            if fields["status"] != "timed_out":
                self._end(key[:2], item.at)
        execution = self._executions.setdefault(key, Execution(fields["automation_version_id"]))
        if execution.unwatched or execution.timed_out or self._is_archived(key, execution):
            return
        if self._is_of_before_its_archive(key, execution, item):
            if fields["status"] == "timed_out" and not self._remembers(key, execution, item, clock):
                execution.terminals.append(item.at)
            return
        if fields["status"] == "timed_out":
            self._judge_timed_out(key, execution, item, clock)
        elif fields["status"] in TERMINAL:
            self._judge_terminal(key, execution, item, clock)
        else:
            self._judge_activity(key, execution, item, clock=clock, is_late=is_late)

    def _judge_timed_out(self, key: ExecutionKey, execution: Execution, item: Item, clock: datetime) -> None:
        if self._remembers(key, execution, item, clock):
            return
        execution.timed_out = True
        execution.is_open = False
        if not execution.called_stuck:
            self._call_stuck(key, execution, item.at, "platform_timeout", [*execution.activity, item])

    def _judge_terminal(self, key: ExecutionKey, execution: Execution, item: Item, clock: datetime) -> None:
        if execution.called_stuck and not execution.recovered:
            self._recover(key, execution, item)
        remembered = self._remembers(key, execution, item, clock)
        if not remembered or self._readings.second_terminal_is_remembered:
            execution.terminals.append(item.at)
        execution.is_open = False
        execution.activity = []
        execution.ignored = []

    def _judge_activity(
        self, key: ExecutionKey, execution: Execution, item: Item, *, clock: datetime, is_late: bool
    ) -> None:
        timeout = self._timeout(key, item)
        if timeout is None:
            return
        too_late = is_late and self._deadline_passed(item.at + timeout, clock)
        if execution.called_stuck:
            runs = item.fields["status"] in ("started", "running")
            newer = bool(execution.activity) and item.at > execution.last_activity().at
            stale = too_late and not self._readings.stale_activity_recovers
            if runs and newer and not execution.recovered and not stale:
                self._recover(key, execution, item)
            return
        if not execution.is_open:
            if self._remembers(key, execution, item, clock) or too_late:
                execution.ignored.append(item)
                return
            execution.is_open = True
        execution.activity.append(item)

    def _deadline_passed(self, deadline: datetime, watermark: datetime) -> bool:
        if self._readings.late_event_opens_at_its_deadline:
            return deadline < watermark
        return deadline <= watermark

    def _timeout(self, key: ExecutionKey, item: Item) -> timedelta | None:
        policy = self._stuck_policy(key[0], key[1])
        return policy.queue_timeout if item.fields["status"] == "queued" else policy.run_timeout

    def _deadline(self, key: ExecutionKey, execution: Execution) -> datetime:
        last = execution.last_activity()
        timeout = self._timeout(key, last)
        if timeout is None:
            raise ValueError("an event without a timeout is no activity")
        return last.at + timeout

    def _remembers(self, key: ExecutionKey, execution: Execution, item: Item, clock: datetime) -> bool:
        """Whether a terminal event of the execution is young enough to be remembered."""
        memory = self._stuck_policy(key[0], key[1]).run_timeout + self._allowed_lateness
        now = item.at if self._readings.memory_reads_the_events_time else clock
        ages = [now - terminal for terminal in execution.terminals]
        if self._readings.terminal_remembered_at_its_end:
            return any(age <= memory for age in ages)
        return any(age < memory for age in ages)

    def _call_stuck(
        self, key: ExecutionKey, execution: Execution, at: datetime, reason: str, events: list[Item]
    ) -> None:
        execution.called_stuck = True
        if self._readings.ignored_events_are_evidence:
            events = [*execution.ignored, *events]
        evidence = [(one.at, one.arrival, one.fields["event_id"]) for one in events]
        self._decisions.append(
            build(
                kind="execution_stuck",
                tenant=key[0],
                workflow=key[1],
                policy_id="stuck_executions",
                policy_version=self._policy_version,
                cause=key[2],
                occurred_at=at,
                version=execution.version,
                reason_code=reason,
                evidence=newest_evidence(evidence),
                detail={"execution_id": key[2]},
            )
        )
        self._record(key, execution.version, at)

    def _recover(self, key: ExecutionKey, execution: Execution, item: Item) -> None:
        execution.recovered = True
        self._breaker(key[:2]).recovered.add(key[2])
        self._decisions.append(
            build(
                kind="execution_recovered",
                tenant=key[0],
                workflow=key[1],
                policy_id="stuck_executions",
                policy_version=self._policy_version,
                cause=key[2],
                occurred_at=item.at,
                version=item.fields["automation_version_id"],
                reason_code=None,
                evidence=None,
                detail={"execution_id": key[2]},
            )
        )

    def _breaker(self, workflow: Workflow) -> Breaker:
        return self._breakers.setdefault(workflow, Breaker())

    def _record(self, key: ExecutionKey, version: str, stuck_at: datetime) -> None:
        breaker = self._breaker(key[:2])
        policy = self._breaker_policy(key[0], key[1])
        if any(stuck_at <= released for released in breaker.released_at):
            return
        breaker.stuck.append((key[2], stuck_at))
        newest = max(at for _, at in breaker.stuck)
        counted = {
            execution
            for execution, at in breaker.stuck
            if newest - policy.window < at <= newest and execution not in breaker.recovered
        }
        if breaker.blacklisted or policy.threshold is None or len(counted) < policy.threshold:
            return
        if policy.min_stuck_ratio is not None:
            executions = len(counted) + self._ended_within(breaker, newest, policy.window)
            if Fraction(len(counted), executions) < policy.min_stuck_ratio:
                return
        breaker.blacklisted = True
        self._decisions.append(
            build(
                kind="blacklist_workflow",
                tenant=key[0],
                workflow=key[1],
                policy_id="circuit_breaker",
                policy_version=self._policy_version,
                cause=key[2],
                occurred_at=stuck_at,
                version=version,
                reason_code="stuck_threshold",
                evidence=None,
                detail={
                    "stuck_count": len(counted),
                    "execution_ids": sorted(counted),
                    "reason": f"auto:stuck:{len(counted)}",
                },
            )
        )

    def _end(self, workflow: Workflow, at: datetime) -> None:
        """An execution ended by itself."""
        breaker = self._breaker(workflow)
        if not breaker.blacklisted and not any(at <= released for released in breaker.released_at):
            breaker.ended.append(at)

    @staticmethod
    def _ended_within(breaker: Breaker, newest: datetime, window: timedelta) -> int:
        """Ends in the minutes that (newest - window, newest] touches, none forgotten before the newest end."""
        if not breaker.ended:
            return 0
        length = ceil(window / _MINUTE) * _MINUTE
        first = max(_minute(newest - window), _minute(max(breaker.ended)) - length)
        return sum(first <= _minute(at) <= newest for at in breaker.ended)

    def _release(self, item: Item) -> None:
        breaker = self._breaker((item.fields["tenant_id"], item.fields["workflow_id"]))
        breaker.released_at.append(item.at)
        breaker.blacklisted = False
        if self._readings.late_release_clears_newer:
            breaker.stuck, breaker.ended = [], []
        else:
            breaker.stuck = [one for one in breaker.stuck if one[1] > item.at]
            breaker.ended = [at for at in breaker.ended if at > item.at]

    def _archive(self, item: Item) -> None:
        change = item.fields
        tenant, workflow = change["tenant_id"], change["workflow_id"]
        version = change.get("automation_version_id")
        self._archived.append((tenant, workflow, version, item.at))
        for key, execution in list(self._executions.items()):
            if key[:2] != (tenant, workflow) or version not in (None, execution.version):
                continue
            if not execution.is_open and not execution.called_stuck:
                continue
            if self._readings.archived is Archived.DROP:
                del self._executions[key]
            elif self._readings.archived is Archived.SINCE and not execution.called_stuck:
                execution.is_open = _begins_after(execution.activity[0], item.at)
                execution.activity = execution.activity if execution.is_open else []
            else:
                execution.unwatched = True
                execution.is_open = False

    def _is_archived(self, key: ExecutionKey, execution: Execution) -> bool:
        return self._readings.archived is Archived.VERSION and bool(self._archived_at(key, execution))

    def _archived_at(self, key: ExecutionKey, execution: Execution) -> list[datetime]:
        return [
            at
            for tenant, workflow, version, at in self._archived
            if key[:2] == (tenant, workflow) and version in (None, execution.version)
        ]

    def _is_of_before_its_archive(self, key: ExecutionKey, execution: Execution, item: Item) -> bool:
        """Whether an event that an archived execution may have sent belongs to none that is watched."""
        if self._readings.archived is not Archived.SINCE or execution.is_open or execution.called_stuck:
            return False
        if item.fields["status"] in TERMINAL and item.fields["status"] != "timed_out":
            return False
        return any(not _begins_after(item, at) for at in self._archived_at(key, execution))


def _begins_after(item: Item, at: datetime) -> bool:
    return item.fields["status"] in ("queued", "started") and item.at > at


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
