"""Decisions applied a second, with all their effects: what the sink `services` can take.

    python -m benchmarks.decisions_applied [--count 1000] [--rounds 3]

A PostgreSQL server of its own, with fsync on; each kind of decision alone, each time to a world that is new to it,
in batches as the stream brings them. The worker does not run: what it does later costs the stream nothing.
The guard looks at each stop and counts it. It holds none: they are far apart in event time, and the budget is large.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa
from pydantic import SecretStr

from benchmarks.crash_stream import START, make_world, tenant_of
from cli.embedded.postgres import EmbeddedPostgres
from config.database import make_engine
from config.settings import Postgres
from dataflows.decisions import Decision, DecisionKind, ReasonCode, decision_id
from lifecycle.guard.arithmetic import GuardPolicy
from lifecycle.migrate import migrate
from lifecycle.options import LifecycleOptions
from lifecycle.seed import seed
from sinks.services import Outcome, ServicesSink

#: Decisions that arrive together: as many as a source's batch leads to.
BATCH = 50

#: What is stopped here is beyond any real budget.
LENIENT = GuardPolicy(budget_floor=1_000_000)
#: Four tenants in the guard's window, in event time: one more would be a provider's incident.
APART = timedelta(seconds=150)

_TEMPLATE = "world"


def main() -> None:
    """Measure and print one table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=3, help="the best of these counts")
    chosen = options.parse_args()
    with EmbeddedPostgres() as server:
        server.create_database(_TEMPLATE)
        migrate(server.url(_TEMPLATE))
        engine = sa.create_engine(server.url(_TEMPLATE), poolclass=sa.NullPool)
        with engine.begin() as connection:
            seed(connection, make_world(chosen.count))
            # As autovacuum does sooner or later; a database is not new for long.
            connection.exec_driver_sql("ANALYZE")
        print(f"{'what':<24} {'decisions/s':>12} {'ms each':>9} {'of it CPU here':>15}")
        for name, make in KINDS.items():
            decisions = [make(number) for number in range(chosen.count)]
            seconds, cpu = min(_apply(server, decisions) for _ in range(chosen.rounds))
            each, cpu_each = 1000 * seconds / chosen.count, 1000 * cpu / chosen.count
            print(f"{name:<24} {1000 / each:>12,.0f} {each:>9.2f} {cpu_each:>15.2f}", flush=True)


def block(number: int) -> Decision:
    """Credentials of an automation's only system."""
    return _decision(
        DecisionKind.BLOCK_FOR_CREDENTIALS,
        number,
        ReasonCode.CONSECUTIVE_FAILURES,
        observed={"consecutive_failures": 3, "system_key": "crm"},
        threshold={"consecutive_failures": 3},
        detail={"failed_systems": ["crm"]},
    )


def stuck(number: int) -> Decision:
    """An execution that hangs."""
    detail = {"execution_id": f"x{number}"}
    return _decision(DecisionKind.EXECUTION_STUCK, number, ReasonCode.NO_ACTIVITY, detail=detail)


def blacklist(number: int) -> Decision:
    """A workflow that keeps getting stuck."""
    detail = {"stuck_count": 5, "execution_ids": [f"x{one}" for one in range(5)]}
    threshold = {"threshold": 5, "window_seconds": 3600.0}
    return _decision(
        DecisionKind.BLACKLIST_WORKFLOW, number, ReasonCode.STUCK_THRESHOLD, threshold=threshold, detail=detail
    )


def mixed(number: int) -> Decision:
    """As a bad morning has them: for each block and each blacklisting eight hanging executions."""
    return block(number) if number % 10 == 0 else blacklist(number) if number % 10 == 1 else stuck(number)


KINDS: dict[str, Callable[[int], Decision]] = {
    "block_for_credentials": block,
    "execution_stuck": stuck,
    "blacklist_workflow": blacklist,
    "mixed (1 : 8 : 1)": mixed,
}


def _decision(
    kind: DecisionKind,
    number: int,
    reason_code: ReasonCode,
    *,
    observed: Mapping[str, object] | None = None,
    threshold: Mapping[str, object] | None = None,
    detail: Mapping[str, object],
) -> Decision:
    tenant_id, workflow_id = tenant_of(number), f"wf{number}"
    return Decision(
        decision_id=decision_id(kind, tenant_id, workflow_id, "benchmark", str(number)),
        kind=kind,
        tenant_id=tenant_id,
        workflow_id=workflow_id,
        automation_version_id=f"v{number}",
        occurred_at=START + number * APART,
        policy_id="benchmark",
        policy_version=1,
        reason_code=reason_code,
        observed=dict(observed or {}),
        threshold=dict(threshold or {}),
        evidence=[f"e{number}:{one}" for one in range(3)],
        detail=dict(detail),
    )


def _apply(server: EmbeddedPostgres, decisions: list[Decision]) -> tuple[float, float]:
    """Seconds until all are committed, and seconds of this process's CPU for it."""
    with _world(server) as url:
        engine = make_engine(Postgres(url=SecretStr(url)), pool_size=1)
        sink = ServicesSink(engine, LifecycleOptions(guard=LENIENT), lambda *_: None)
        try:
            begun, cpu_begun = time.perf_counter(), time.process_time()
            results = [
                result for at in range(0, len(decisions), BATCH) for result in sink.apply(decisions[at : at + BATCH])
            ]
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu_begun
        finally:
            sink.close()
        applied = sum(result.outcome is Outcome.APPLIED for result in results)
        assert applied == len(decisions), f"{applied} of {len(decisions)} were applied"
        return seconds, cpu


@contextmanager
def _world(server: EmbeddedPostgres) -> Iterator[str]:
    server.create_database("fresh", template=_TEMPLATE)
    try:
        yield server.url("fresh")
    finally:
        server.drop_database("fresh")


if __name__ == "__main__":
    main()
