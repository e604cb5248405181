"""The store counts what the detector counts, and is over its threshold when the detector decides (20.4, 40.1)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataflows.decisions import Decision, DecisionKind, ReasonCode
from dataflows.detectors.circuit_breaker import CircuitBreaker as Detector
from dataflows.detectors.circuit_breaker import CircuitBreakerState
from dataflows.detectors.policies import BreakerChange, CircuitBreakerPolicy
from dataflows.detectors.stuck_executions import Ruling
from dataflows.times import from_micros, to_micros
from lifecycle import tables
from lifecycle.breaker.circuit_breaker import CircuitBreaker
from lifecycle.guard.arithmetic import GuardPolicy
from lifecycle.options import LifecycleOptions
from lifecycle.system_config import SystemConfig
from lifecycle.workflows import Workflow
from tests.lifecycle.breaker_given import decided, got_stuck, moved_again, set_config, take_off
from tests.lifecycle.given import given_world, row

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
OPTIONS = LifecycleOptions(guard=GuardPolicy(budget_floor=10**9))
_numbers = count(1)

#: What happens, with minutes after the newest event so far: those below are late.
STUCK = st.tuples(st.just("stuck"), st.integers(min_value=-90, max_value=45))
STEPS = st.lists(
    st.one_of(
        STUCK,
        STUCK,
        STUCK,
        st.tuples(st.just("recovered"), st.integers(min_value=0, max_value=20)),
        st.tuples(st.just("released"), st.just(0)),
        st.tuples(st.just("threshold"), st.integers(min_value=1, max_value=6)),
        st.tuples(st.just("window"), st.sampled_from([1, 30, 60, 61, 600, 10_080])),
        st.tuples(st.just("redis emptied"), st.just(0)),
    ),
    min_size=12,
    max_size=30,
)


@dataclass
class Both:
    """The detector and the store, fed with the same."""

    engine: sa.Engine
    redis_url: str
    workflow_id: str
    config: SystemConfig
    stores: tuple[CircuitBreaker, CircuitBreaker]
    detector: Detector = field(default_factory=lambda: Detector(CircuitBreakerPolicy(), 1))
    state: CircuitBreakerState = field(default_factory=CircuitBreakerState)
    changes: list[BreakerChange] = field(default_factory=list)
    executions: list[str] = field(default_factory=list)
    now: int = to_micros(T0)
    step: int = 0

    @property
    def store(self) -> CircuitBreaker:
        """One of two processes, in turn."""
        return self.stores[self.step % 2]

    def do(self, what: str, value: int) -> None:
        """One step, and what must be so after it."""
        self.step += 1
        decision = None
        match what:
            case "stuck":
                decision = self.stuck(self.now + value * 60_000_000)
            case "recovered" if value < len(self.executions):
                self.recovered(self.executions[value])
            case "released" if self.state.blacklisted:
                self.released()
            case "threshold" | "window":
                self.change(what, value)
            case "redis emptied":
                with redis.Redis.from_url(self.redis_url) as client:
                    client.flushdb()
        self.compare(decision)

    def stuck(self, at: int) -> Decision | None:
        name = f"x{len(self.executions)}"
        self.executions.append(name)
        said = Decision(
            decision_id="",
            kind=DecisionKind.EXECUTION_STUCK,
            tenant_id="t1",
            workflow_id=self.workflow_id,
            automation_version_id=None,
            occurred_at=from_micros(at),
            policy_id="stuck_executions",
            policy_version=1,
            reason_code=ReasonCode.NO_ACTIVITY,
            observed={},
            threshold={},
            evidence=[],
            detail={},
        )
        decision = self.detector.on_stuck(self.state, Ruling(said, name, at, []), self.changes)
        got_stuck(self.engine, name, from_micros(at), self.workflow_id)
        counted = self.store.record_stuck("t1", self.workflow_id, name, from_micros(at))
        if decision is not None and not (self.changes and at < self.changes[-1].time):
            assert counted.is_reached
        self.now = max(self.now, at)
        return decision

    def recovered(self, name: str) -> None:
        self.now += 1
        self.detector.on_recovered(self.state, name)
        moved_again(self.engine, name, from_micros(self.now), self.workflow_id)
        self.store.note_recovered("t1", self.workflow_id, name, from_micros(self.now))

    def released(self) -> None:
        self.now += 1
        self.detector.on_released(self.state, self.now)
        take_off(self.engine, self.workflow_id, at=from_micros(self.now))
        self.store.clear_stuck_counter("t1", self.workflow_id)

    def change(self, what: str, value: int) -> None:
        self.now += 1
        if what == "threshold":
            set_config(self.engine, stuck_circuit_breaker_threshold=value)
        else:
            set_config(self.engine, stuck_circuit_breaker_window_minutes=value)
        self.config.forget()
        config = self.config.breaker()
        window = config.window // timedelta(microseconds=1)
        self.changes.append(BreakerChange(self.now, 1001 + len(self.changes), config.threshold, window))

    def compare(self, decision: Decision | None) -> None:
        """The same executions count; a decision is the store's as well."""
        found = self.store.check_threshold("t1", self.workflow_id)
        if decision is not None:
            self.enforce(decision)
        elif not self.state.blacklisted:
            begin = self.state.newest - found.config.window // timedelta(microseconds=1)
            assert found.count == sum(record.stuck_at > begin for record in self.state.stuck.values())

    def enforce(self, decision: Decision) -> None:
        with self.engine.begin() as connection:
            decision_id = decided(connection, "trip", self.workflow_id, str(self.step))
        workflow = Workflow(tenant_id="t1", workflow_id=self.workflow_id, name="x")
        result = self.store.blacklist_workflow(workflow, decision_id=decision_id, occurred_at=decision.occurred_at)
        if result.blacklist_id is None:
            # Late: it was judged by what held at its time, and the store knows what holds now alone.
            assert self.changes
            assert to_micros(decision.occurred_at) < self.changes[-1].time
            self.detector.on_released(self.state, self.now + 1)
            self.forget()
            return
        listed = row(self.engine, tables.workflow_blacklist, id=result.blacklist_id)
        if not self.changes or to_micros(decision.occurred_at) >= self.changes[-1].time:
            names: dict[str, Any] = decision.detail
            assert listed["stuck_count"] == names["stuck_count"]
            assert listed["execution_ids"] == names["execution_ids"][:20]
            assert (listed["threshold"], float(listed["window_seconds"])) == (
                decision.threshold["threshold"],
                decision.threshold["window_seconds"],
            )

    def forget(self) -> None:
        """Begin with another workflow: this one was released in the detector alone."""
        self.workflow_id = f"wf{next(_numbers)}"
        self.state, self.executions = CircuitBreakerState(), []


@pytest.fixture
def stores(engine: sa.Engine, redis_url: str) -> Iterator[tuple[SystemConfig, tuple[CircuitBreaker, CircuitBreaker]]]:
    """Two processes' stores, with one memory of the settings."""
    given_world(engine)
    config = SystemConfig(engine)
    made = CircuitBreaker(engine, redis_url, config, OPTIONS), CircuitBreaker(engine, redis_url, config, OPTIONS)
    yield config, made
    for store in made:
        store.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_store_and_detector_agree(
    engine: sa.Engine,
    redis_url: str,
    stores: tuple[SystemConfig, tuple[CircuitBreaker, CircuitBreaker]],
    steps: list[tuple[str, int]],
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(tables.system_config))
    config, both = stores
    config.forget()
    fed = Both(engine, redis_url, f"wf{next(_numbers)}", config, both)
    for what, value in steps:
        fed.do(what, value)
