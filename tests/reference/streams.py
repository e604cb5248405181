"""Random streams that look for trouble: few workflows, coarse time, deadlines and windows hit to the second.

`generate(seed, profile)` is a function of its arguments.  A stream spans less than 24 h of event time, the
horizon of 10, and an execution of a workflow belongs to one version.  Failures come from two tables of
answers that are beyond doubt, so that `is_auth_failure` can stand in for the classifier.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, NamedTuple

from tests.reference.answers import (
    ALIASES,
    AUTH_ANSWERS,
    BROKEN,
    GATE_ANSWERS,
    OTHER_ANSWERS,
    SYSTEMS,
    Answer,
    is_auth_failure,
)
from tests.reference.malformed import EDGES, encode, full_mebibyte, malformed_control, malformed_line
from tests.reference.policies import duration, section
from tests.reference.profiles import ACTIONS, CONTROLS, NAMES, PROFILES, Profile, random_policies

Fields = dict[str, Any]

__all__ = ["PROFILES", "T0", "Stream", "generate", "is_auth_failure"]

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SPAN = timedelta(hours=20)
LATENESS = timedelta(seconds=60)
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)


class Stream(NamedTuple):
    """Arguments for one run of either implementation; each line has its end, so joined they are the file."""

    lines: list[bytes]
    policies: Fields | None
    registry: list[Fields] | None
    until: str | None


def generate(seed: int, profile: str) -> Stream:
    """The stream of this seed and profile (a name of `PROFILES`)."""
    return _Generator(Random(f"{profile}:{seed}"), PROFILES[profile]).generate()


@dataclass
class _Workflow:
    """One workflow of the stream and the numbers its boundaries lie on."""

    tenant: str
    name: str
    versions: tuple[str, ...]
    run_timeout: timedelta
    cooldown: timedelta
    window: timedelta
    breaker_window: timedelta
    executions: int = 0
    is_failing: bool = False
    is_hanging: bool = False
    recent: list[str] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def version_of(self, execution: str) -> str:
        return self.versions[sum(execution.encode()) % len(self.versions)]


@dataclass(frozen=True)
class _Sent:
    arrives: datetime
    tie: float
    line: bytes


class _Generator:
    def __init__(self, rng: Random, profile: Profile) -> None:
        self._rng = rng
        self._profile = profile
        self._sent: list[_Sent] = []
        self._plans: list[tuple[datetime, Callable[[datetime], None]]] = []
        self._ids = 0
        self._policies = random_policies(rng) if rng.random() < 0.85 else None
        self._workflows = [self._workflow(number) for number in range(profile.workflows)]
        self._registry = self._make_registry() if rng.random() < profile.registry else None

    def generate(self) -> Stream:
        rng = self._rng
        now = T0
        pace = rng.choice((1, 1, 4, 15))
        for _ in range(self._profile.steps):
            now += timedelta(seconds=pace * rng.choice((0, 0, 0, 0, 1, 1, 2, 5, 10, 30)))
            if now > T0 + SPAN:
                break
            self._run_plans(now)
            self._step(now)
        self._run_plans(now + timedelta(minutes=rng.choice((0, 5, 90))))
        self._sent.sort(key=lambda sent: (sent.arrives, sent.tie))
        lines = [sent.line + (b"\r\n" if rng.random() < 0.02 else b"\n") for sent in self._sent]
        if lines and rng.random() < 0.3:
            lines[-1] = lines[-1].rstrip(b"\r\n")
        until = rng.choice(
            (None, None, None, T0, now + timedelta(minutes=2), now + timedelta(hours=rng.choice((1, 3))))
        )
        return Stream(lines, self._policies, self._registry, until.isoformat() if until else None)

    def _step(self, now: datetime) -> None:
        rng, profile = self._rng, self._profile
        workflow = rng.choice(self._workflows)
        if rng.random() < 0.06:
            workflow.is_failing = not workflow.is_failing
        if rng.random() < 0.06:
            workflow.is_hanging = not workflow.is_hanging
        share = rng.random()
        if share < profile.controls:
            self._control(workflow, now)
            return
        if share < profile.controls + profile.malformed:
            self._spoilt(workflow, now)
            return
        match rng.choices(ACTIONS, profile.actions, k=1)[0]:
            case "start":
                self._start(workflow, now)
            case "finish":
                self._finish(workflow, self._new_execution(workflow), now)
            case "heartbeat":
                self._emit(workflow, self._some_execution(workflow), "running", now)
            case "queue":
                execution = self._new_execution(workflow)
                self._emit(workflow, execution, "queued", now)
                if rng.random() < 0.5:
                    self._plan(now + self._near(workflow.run_timeout), workflow, execution, "started")
            case "time_out":
                self._emit(workflow, self._new_execution(workflow), "timed_out", now)
                if rng.random() < 0.3:
                    edge = now + self._near(workflow.breaker_window)
                    self._plan(edge, workflow, self._new_execution(workflow), "timed_out")
            case "gate":
                status = rng.choice(("failure", "failure", "success", "started", "timed_out"))
                answer = (rng.choice((None, 401, 403)), rng.choice(GATE_ANSWERS), None)
                self._emit(workflow, self._some_execution(workflow), status, now, answer=answer)
            case _:
                status = rng.choice(("success", "failure", "cancelled", "timed_out", "started", "running"))
                self._emit(workflow, self._some_execution(workflow), status, now)

    def _start(self, workflow: _Workflow, now: datetime) -> None:
        """Start an execution and plan what becomes of it, mostly to the second of a deadline."""
        rng = self._rng
        execution = self._new_execution(workflow)
        self._emit(workflow, execution, rng.choice(("started", "started", "running")), now)
        timeout = workflow.run_timeout
        plan = rng.choice(("finish", "finish", "edge", "edge", "beat", "hang"))
        if workflow.is_hanging and plan == "finish":
            plan = "hang"
        status = rng.choice(("success", "failure", "cancelled", "timed_out"))
        match plan:
            case "finish":
                end = now + timedelta(seconds=rng.choice((0, 1, 30, 60)))
                self._plan(end, workflow, execution, status)
                if rng.random() < 0.4:
                    again = end + self._near(rng.choice((timeout + LATENESS, timeout, timedelta(0))))
                    after = rng.choice(("started", "running", "success", "failure", "timed_out"))
                    self._plan(again, workflow, execution, after)
            case "edge":
                self._plan(now + self._near(timeout), workflow, execution, rng.choice((status, "running")))
            case "beat":
                beat = now + timeout * rng.choice((0, 0.25, 0.5, 1))
                self._plan(beat, workflow, execution, "running")
                self._plan(beat + self._near(timeout), workflow, execution, rng.choice((status, "running")))
            case _:
                if rng.random() < 0.2:
                    self._plan(now, workflow, execution, "running")
                if rng.random() < 0.3:
                    late = now + timeout + timedelta(minutes=rng.choice((1, 5, 30)))
                    self._plan(late, workflow, execution, rng.choice((status, "running", "timed_out")))

    def _finish(self, workflow: _Workflow, execution: str, now: datetime) -> None:
        """End a run without a start; after an auth failure often another one on the edge of a rule."""
        rng = self._rng
        status = "failure" if rng.random() < (0.85 if workflow.is_failing else 0.25) else "success"
        if rng.random() < 0.1:
            status = rng.choice(("cancelled", "timed_out"))
        self._emit(workflow, execution, status, now)
        if status == "failure" and rng.random() < 0.15:
            edge = rng.choice((workflow.cooldown, workflow.window))
            self._plan(now + self._near(edge), workflow, self._new_execution(workflow), "failure")

    def _control(self, workflow: _Workflow, now: datetime) -> None:
        rng = self._rng
        at = now - timedelta(seconds=rng.choice((0, 0, 0, 1, 30, 60, 600)))
        if workflow.times and rng.random() < 0.4:
            at = rng.choice(workflow.times)
        control: Fields = {
            "kind": "",
            "tenant_id": workflow.tenant,
            "workflow_id": workflow.name,
            "occurred_at": self._stamp(at),
        }
        match rng.choices(CONTROLS, self._profile.control_kinds, k=1)[0]:
            case "status":
                change = rng.choice(
                    (
                        ("Blocked", "Live"),
                        ("Blocked", "Live"),
                        ("Blocked", "Archived"),
                        ("Live", "Blocked"),
                        ("Ready to Launch", "Live"),
                        ("Live", "Paused"),
                        ("Paused", "Archived"),
                    )
                )
                control |= {"kind": "automation_status_changed"}
                control |= {"from_status": change[0], "to_status": change[1]}
                if rng.random() < 0.6:
                    control["automation_version_id"] = rng.choice(workflow.versions)
            case "credential":
                self._ids += 1
                control |= {"kind": "credential_event", "event_id": f"c{self._ids}"}
                control |= {"system_key": rng.choice(("crm", "mail", "ftp"))}
                control |= {"status": rng.choice((*BROKEN, "valid", "expiring"))}
            case "release":
                control["kind"] = "workflow_released"
            case "hold":
                begin = at - timedelta(minutes=rng.choice((1, 5, 30)))
                if rng.random() < 0.6:
                    begin = min([at, *workflow.times])
                control |= {"kind": "hold_ended", "system_key": rng.choice(("crm", "mail", "unknown"))}
                control |= {"from": self._stamp(begin), "to": self._stamp(at)}
            case _:
                control = {
                    **self._event(workflow, "x0", "success", at, (None, None, None)),
                    "kind": "weather",
                }
                if rng.random() < 0.5:
                    control.pop("execution_id", None)
                    control.pop("run_id", None)
        line = encode(control)
        if rng.random() < max(0.05, self._profile.malformed):
            line = malformed_control(rng, control)
        may_wait = self._profile.very_late > 0 or (self._profile.delayed > 0 and now - at <= LATENESS)
        self._send(line, now if may_wait and rng.random() < 0.5 else at)

    def _spoilt(self, workflow: _Workflow, now: datetime) -> None:
        rng = self._rng
        event = self._event(workflow, self._new_execution(workflow), "failure", now, rng.choice(AUTH_ANSWERS))
        share = rng.random()
        if share < 0.01 and self._profile.malformed >= 0.1:
            self._send(malformed_line(rng, event, rare=True), now)
        elif share < 0.015 and self._profile.malformed >= 0.1:
            self._send(full_mebibyte(event, excess=0), now)
        elif share < 0.2 and self._registry is not None:
            self._send(encode(self._stolen(event)), now)
        else:
            self._send(malformed_line(rng, event, rare=False), now)

    def _stolen(self, event: Fields) -> Fields:
        """An event whose tenant, workflow and version do not belong together."""
        other = self._rng.choice(self._workflows)
        match self._rng.choice(("tenant", "workflow", "version")):
            case "tenant":
                return {**event, "tenant_id": "t_thief", "occurred_at": "2026-03-03T09:00:00Z"}
            case "workflow":
                return {**event, "workflow_id": f"{other.name}-x"}
            case _:
                return {**event, "automation_version_id": "v_unheard_of"}

    def _plan(self, at: datetime, workflow: _Workflow, execution: str, status: str) -> None:
        self._plans.append((at, lambda when: self._emit(workflow, execution, status, when)))

    def _run_plans(self, now: datetime) -> None:
        due = [plan for plan in self._plans if plan[0] <= now]
        self._plans = [plan for plan in self._plans if plan[0] > now]
        for at, action in due:
            if at < T0 + SPAN:
                action(at)

    def _emit(
        self, workflow: _Workflow, execution: str, status: str, at: datetime, *, answer: Answer | None = None
    ) -> None:
        rng = self._rng
        workflow.times = [*workflow.times[-7:], at]
        if answer is None:
            answer = (None, None, None)
            if status == "failure":
                is_auth = rng.random() < (0.85 if workflow.is_failing else 0.4)
                answer = rng.choice(AUTH_ANSWERS if is_auth else OTHER_ANSWERS)
            elif rng.random() < 0.05:
                answer = rng.choice(AUTH_ANSWERS)
        self._send(encode(self._event(workflow, execution, status, at, answer)), at)

    def _event(self, workflow: _Workflow, execution: str, status: str, at: datetime, answer: Answer) -> Fields:
        rng = self._rng
        self._ids += 1
        # An id may be in use already, for another event of this workflow or (no duplicate) of another.
        number = self._ids if rng.random() > 0.2 * self._profile.repeats else rng.randint(1, self._ids)
        event: Fields = {
            "event_id": f"e{number}",
            "status": status,
            "occurred_at": self._stamp(at),
            "tenant_id": workflow.tenant,
            "automation_version_id": workflow.version_of(execution),
            "workflow_id": workflow.name,
            "execution_id": execution,
        }
        system = rng.choice(SYSTEMS)
        for name, value in zip(
            ("system_key", "http_status", "error_code", "error_message"), (system, *answer), strict=True
        ):
            if value is not None:
                event[name] = value
        if rng.random() < (0.1 if self._registry is not None else 0.02):
            del event["workflow_id"]
        if rng.random() < self._profile.odd:
            self._dress(event)
        return event

    def _dress(self, event: Fields) -> None:
        """Say the same in an odd but allowed way."""
        rng = self._rng
        match rng.choice(("alias", "alias", "run_id", "edge")):
            case "alias":
                event["status"] = rng.choice(ALIASES.get(event["status"], (event["status"].upper(),)))
            case "run_id":
                event["run_id"] = event.pop("execution_id")
            case _:
                name, value = rng.choice(EDGES)
                if name not in event and event["status"] != "failure":
                    event[name] = value

    def _send(self, line: bytes, at: datetime) -> None:
        rng, profile = self._rng, self._profile
        self._sent.append(_Sent(at + self._delay(), rng.random(), line))
        if rng.random() < profile.repeats:
            again = rng.choice((0, 0, 30, 60, 600, 3600, 6 * 3600))
            if profile.delayed == 0 and again:
                return
            self._sent.append(_Sent(at + timedelta(seconds=again), rng.random(), line))

    def _delay(self) -> timedelta:
        rng, profile = self._rng, self._profile
        share = rng.random()
        if share < profile.very_late:
            timeouts = [workflow.run_timeout for workflow in self._workflows]
            edge = LATENESS + self._near(rng.choice((timedelta(0), *timeouts)))
            return max(timedelta(0), rng.choice((edge, timedelta(seconds=rng.randint(61, 4000)))))
        if share < profile.very_late + profile.delayed:
            return timedelta(seconds=rng.choice((1, 59, 60, 60, rng.randint(0, 60))))
        return timedelta(0)

    def _near(self, length: timedelta) -> timedelta:
        """On the boundary, or just before or after it."""
        return length + self._rng.choice((-SECOND, timedelta(0), timedelta(0), SECOND, -TICK, TICK))

    def _stamp(self, at: datetime) -> str:
        rng = self._rng
        if rng.random() < 0.8:
            return at.isoformat().replace("+00:00", "Z")
        zone = timezone(timedelta(hours=rng.choice((0, 2, -5)), minutes=rng.choice((0, 30))))
        text = at.astimezone(zone).isoformat()
        if at.microsecond == 0 and rng.random() < 0.3:
            text = f"{text[:19]}.000{text[19:]}"
        return text

    def _new_execution(self, workflow: _Workflow) -> str:
        """The next number of the workflow: all workflows use the same ids."""
        workflow.executions += 1
        execution = f"x{workflow.executions}"
        workflow.recent = [*workflow.recent[-7:], execution]
        return execution

    def _some_execution(self, workflow: _Workflow) -> str:
        if workflow.recent and self._rng.random() < 0.85:
            return self._rng.choice(workflow.recent)
        return f"x{self._rng.randint(1, max(1, workflow.executions))}"

    def _workflow(self, number: int) -> _Workflow:
        tenant, name = NAMES[number]
        auth = section(self._policies, tenant, name, "auth_failures")
        stuck = section(self._policies, tenant, name, "stuck_executions")
        breaker = section(self._policies, tenant, name, "circuit_breaker")
        count = self._rng.choice((1, 2))
        return _Workflow(
            tenant=tenant,
            name=name,
            versions=tuple(f"{tenant}-{name}-v{version}" for version in range(count)),
            run_timeout=duration(stuck["run_timeout"]),
            cooldown=duration(auth["cooldown"]),
            window=duration(auth["window"]),
            breaker_window=duration(breaker["window"]),
        )

    def _make_registry(self) -> list[Fields]:
        return [
            {
                "tenant_id": workflow.tenant,
                "automation_version_id": version,
                "workflow_id": workflow.name,
                "project_id": "p1",
                "status": "Live",
            }
            for workflow in self._workflows
            for version in workflow.versions
        ]
