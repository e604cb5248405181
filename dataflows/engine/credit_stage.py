"""The second stage: runs with credits of all lanes, judged in the order of their event time (spec 20, 50).

A scenario may have runs of several workflows, and so of several lanes. Each lane hands on its terminal events with
credits, and says how far it has come; they are judged when all lanes have come past them, in an order that does not
depend on who came first: by event time, an event that its own lane's watermark had passed already by that watermark.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from dataflows.decisions import Decision
from dataflows.detectors.credit_anomalies import (
    QUIET_FOR,
    UNREMARKED,
    CreditAnomalies,
    CreditRules,
    Judged,
    Scenario,
    scenario_of,
)
from dataflows.detectors.learned_baselines import DAY
from dataflows.detectors.spend_rate import HOUR, SpendAnomalies, Tenant
from dataflows.detectors.spend_series import Hour
from dataflows.engine.charge_queue import ChargeQueue
from dataflows.engine.credit_records import Charge
from dataflows.events import BaselineChange, BaselinesUpdated, RunEvent
from dataflows.times import NEVER, to_micros

#: How far the slowest lane has to come before they are looked at again, microseconds: few at a time cost more.
LOOK_EVERY = 500_000


class Waiting(msgspec.Struct, array_like=True, gc=False):
    """A run that waits, as a snapshot has it."""

    due: int
    time: int
    lane: str
    arrival: int
    event: RunEvent


class WaitingChange(msgspec.Struct, array_like=True, gc=False):
    """Baselines that wait."""

    due: int
    time: int
    lane: str
    arrival: int
    event: BaselinesUpdated


class StageClock(msgspec.Struct, array_like=True):
    """How far the lanes have come, and what waits for the slowest."""

    marks: dict[str, int | None]
    runs: list[Waiting]
    changes: list[WaitingChange]
    swept_at: int
    #: How far the lanes had come that have ended.
    ended_at: int = NEVER


class Spending(msgspec.Struct, array_like=True):
    """What workflows of a tenant have spent in the hour that is going on."""

    tenant_id: str
    current: dict[str, Hour]


class CreditStage:
    """All scenarios of some tenants. Single-threaded; methods change its state in place."""

    def __init__(
        self,
        detector: CreditAnomalies,
        rules_of: Callable[[str, str], CreditRules],
        lanes: int,
        approved: Iterable[tuple[str, BaselineChange]] = (),
        spend_of: Callable[[str], SpendAnomalies | None] = lambda _: None,
        earlier: Iterable[BaselinesUpdated] = (),
    ) -> None:
        """`rules_of` gives those of a tenant's workflow; `lanes` is how many will report.

        `spend_of` gives what watches a tenant's spending, None where nothing does.

        `approved` are the tenants' baselines at the beginning; any that a control event names goes before them.
        `earlier` are control events that the stream may not have any more; one that it has still changes nothing. The
        same ones are to be given after each restart.
        """
        self.changed: list[Scenario] = []
        self.gone: list[tuple[str, str]] = []
        self._detector = detector
        self._rules_of = rules_of
        self._lanes = lanes
        self._approved = list(approved)
        self._scenarios: dict[tuple[str, str], Scenario] = {}
        self._marks: dict[str, int | None] = {}
        self._waiting = ChargeQueue()
        self._looked_at = NEVER
        self._swept_at = NEVER
        self._spend_of = spend_of
        self._spenders: dict[str, Tenant] = {}
        #: Those whose hour has ended, and by tenant the workflows that have spent something, since the last snapshot.
        self._ended_hours: set[str] = set()
        self._spent: dict[str, set[str]] = {}
        self._hour = NEVER
        self._ended_at = NEVER
        self._earlier = sorted((_charge(number, event) for number, event in enumerate(earlier)), reverse=True)
        self._apply_approved()

    def take(self, lane: str, mark: int, charges: Sequence[Charge], *, is_end: bool = False) -> list[Judged]:
        """A lane has come to `mark` and had these charges before it; what can be judged by now.

        `is_end` says that nothing more comes from the lane.
        """
        self._waiting.put(charges)
        self._marks[lane] = None if is_end else mark
        if is_end and mark > self._ended_at:
            self._ended_at = mark
        if len(self._marks) < self._lanes:
            return []
        running = [value for value in self._marks.values() if value is not None]
        now = min(running) if running else None
        if now is not None and now - self._looked_at < LOOK_EVERY:
            return []
        out = self._judge(now) if self._waiting else []
        out += self._end_hours(self._ended_at if now is None else now)
        if now is not None:
            self._looked_at = now
            self._sweep(now)
        return out

    @property
    def scenarios(self) -> Iterable[Scenario]:
        """All that are remembered."""
        return self._scenarios.values()

    @property
    def spenders(self) -> Iterable[Tenant]:
        """All whose spending is watched."""
        return self._spenders.values()

    def news_of_spending(self) -> tuple[list[Tenant], list[Spending]]:
        """What has changed since the last snapshot: tenants whose hour has ended, and of others what was spent."""
        ended = [self._spenders[tenant_id] for tenant_id in sorted(self._ended_hours)]
        spending = []
        for tenant_id, workflows in sorted(self._spent.items()):
            if tenant_id not in self._ended_hours:
                current = self._spenders[tenant_id].current
                spending.append(Spending(tenant_id, {name: current[name] for name in sorted(workflows)}))
        return ended, spending

    def clock(self) -> StageClock:
        """All state but the scenarios."""
        runs, changes = [], []
        for due, time, _, _, lane, arrival, event in self._waiting:
            if isinstance(event, RunEvent):
                runs.append(Waiting(due, time, lane, arrival, event))
            else:
                changes.append(WaitingChange(due, time, lane, arrival, event))
        return StageClock(self._marks, runs, changes, self._swept_at, self._ended_at)

    def settle(self) -> None:
        """Let go of what no snapshot needs to hold."""
        for scenario in self.changed:
            scenario.history.settle()

    def note_snapshot(self) -> None:
        """What has changed until now is told, or nobody asks."""
        for scenario in self.changed:
            scenario.is_changed = False
        self.changed, self.gone = [], []
        self._ended_hours.clear()
        self._spent.clear()

    def restore(self, clock: StageClock) -> None:
        """Take over a clock; the scenarios are learned one by one."""
        self._marks, self._swept_at, self._ended_at = clock.marks, clock.swept_at, clock.ended_at
        self._waiting.put(
            (one.due, one.time, True, one.event.workflow_id or "", one.lane, one.arrival, one.event)
            for one in clock.runs
        )
        self._waiting.put((one.due, one.time, False, "", one.lane, one.arrival, one.event) for one in clock.changes)

    def learn(self, scenarios: Iterable[Scenario], gone: Iterable[tuple[str, str]] = ()) -> None:
        """Take over scenarios as they were told, in the place of what is known of them."""
        for key in gone:
            self._scenarios.pop(key, None)
        for scenario in scenarios:
            scenario.is_changed = False
            self._scenarios[scenario.tenant_id, scenario.name] = scenario
            self._detector.know(scenario)

    def learn_spending(self, spenders: Iterable[Tenant], spending: Iterable[Spending]) -> None:
        """Take over what was spent, in the place of what is known."""
        for tenant in spenders:
            self._spenders[tenant.tenant_id] = tenant
        for one in spending:
            self._spenders[one.tenant_id].current.update(one.current)

    def begin(self) -> None:
        """All was taken over: what was approved meanwhile holds from now on."""
        self._apply_approved()

    def _apply_approved(self) -> None:
        for tenant_id, change in self._approved:
            self._detector.on_baseline(self._scenario(tenant_id, change.scenario_id), change, NEVER)

    def _judge(self, now: int | None) -> list[Judged]:
        """Judge what all lanes have passed; all of it when nothing more comes."""
        waiting, earlier = self._waiting, self._earlier
        while earlier and (now is None or earlier[-1][0] < now):
            waiting.put([earlier.pop()])
        on_run, rules_of, scenarios = self._detector.on_run, self._rules_of, self._scenarios
        spend_of, spenders, spent = self._spend_of, self._spenders, self._spent
        out = []
        for due, time, _, workflow_id, _, _, event in waiting.take(now):
            if type(event) is RunEvent:
                tenant_id = event.tenant_id
                name = event.scenario_id or scenario_of(event)
                scenario = scenarios.get((tenant_id, name))
                if scenario is None or not scenario.is_changed:
                    scenario = self._scenario(tenant_id, name)
                judged = on_run(scenario, event, time, rules_of(tenant_id, workflow_id))
                if judged is not UNREMARKED:
                    out.append(judged)
                watch = spend_of(tenant_id)
                if watch is not None:
                    tenant = spenders.get(tenant_id)
                    if tenant is None or due // HOUR > tenant.hour:
                        tenant = self._begin_hour(watch, tenant_id, due, out)
                    watch.on_run(tenant, event, due)
                    workflows = spent.get(tenant_id)
                    if workflows is None:
                        spent[tenant_id] = {workflow_id}
                    else:
                        workflows.add(workflow_id)
            elif isinstance(event, BaselinesUpdated):
                for change in event.baselines:
                    self._detector.on_baseline(self._scenario(event.tenant_id, change.scenario_id), change, time)
        return out

    def _begin_hour(self, watch: SpendAnomalies, tenant_id: str, now: int, out: list[Judged]) -> Tenant:
        """The tenant, whose hours before `now` have ended; what is said of them goes to `out`."""
        self._ended_hours.add(tenant_id)
        tenant = self._spenders.get(tenant_id)
        if tenant is None:
            tenant = self._spenders[tenant_id] = watch.begin(tenant_id, now)
        out += _told(watch.on_time(tenant, now))
        return tenant

    def _end_hours(self, now: int) -> list[Judged]:
        """Let hours end of which nothing more comes, of tenants that have no later run."""
        if not self._spenders or now // HOUR <= self._hour:
            return []
        self._hour = now // HOUR
        out: list[Judged] = []
        for tenant_id, tenant in sorted(self._spenders.items()):
            watch = self._spend_of(tenant_id)
            if watch is not None:
                out += _told(watch.on_time(tenant, now))
                self._ended_hours.add(tenant_id)
        return out

    def _scenario(self, tenant_id: str, name: str) -> Scenario:
        """The scenario, which is about to change."""
        scenario = self._scenarios.get((tenant_id, name))
        if scenario is None:
            scenario = self._scenarios[tenant_id, name] = Scenario(tenant_id, name)
        if not scenario.is_changed:
            scenario.is_changed = True
            self.changed.append(scenario)
        return scenario

    def _sweep(self, now: int) -> None:
        """Once a day let go of scenarios that the detector would begin anew."""
        if now - self._swept_at < DAY:
            return
        self._swept_at = now
        before = now - QUIET_FOR - DAY
        quiet = {
            key for key, scenario in self._scenarios.items() if scenario.approved is None and scenario.newest < before
        }
        if quiet:
            for key in quiet:
                del self._scenarios[key]
            self.changed = [one for one in self.changed if (one.tenant_id, one.name) not in quiet]
            self.gone += quiet


def _charge(number: int, event: BaselinesUpdated) -> Charge:
    """As if a lane of its own had it in time; no lane has an empty name."""
    time = to_micros(event.occurred_at)
    return time, time, False, "", "", number, event


def _told(decisions: Iterable[Decision]) -> list[Judged]:
    return [Judged(to_micros(decision.occurred_at), decision, None) for decision in decisions]
