"""From the moment an event is produced to the commit of what is decided because of it.

    python -m benchmarks.latency [--rates 1000 5000] [--seconds 40] [--decisions 5] [--burst 50]

Everything is real and side by side on this machine: this producer, Apache Kafka (the double of its protocol where there
is none), the monitor with its recovery store, PostgreSQL with fsync on, the worker with its mail server. It begins when
the producer hands over the event that a decision hangs on, and ends when PostgreSQL says that it committed
(`track_commit_timestamp`); both by one machine's clock. docs/latency.md has figures.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

import sqlalchemy as sa
from confluent_kafka import Producer

from benchmarks.crash_harness import Stack, why_no_apache
from benchmarks.crash_stream import Stream, make_world, tenant_of
from config.settings import Kafka

#: Workflows whose runs go well.
CALM = 1000

#: How often the producer writes.
SLICE = 0.01

WARM_UP = timedelta(seconds=5)

PATIENCE = timedelta(seconds=60)

_TOPIC = Kafka().events_topic
_PAD = "x" * 250


class Plan(NamedTuple):
    """What one measurement produces."""

    rate: int
    seconds: float
    #: Blocks a second, evenly spread, each of a workflow of its own.
    decisions: float
    #: At the end, so many at once.
    burst: int


class Load:
    """Produces run events, and remembers when it handed over those that a decision hangs on."""

    def __init__(self, bootstrap_servers: str, next_failing: int) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "log_level": 2, "partitioner": "murmur2_random", "linger.ms": 1}
        )
        self._number = 0
        self._failing = next_failing
        #: By workflow, seconds since 1970.
        self.caused: dict[str, float] = {}

    def run(self, rate: int, seconds: float, decisions: float) -> None:
        """Events at a rate, some of which are failures that lead to decisions."""
        begun = time.monotonic()
        sent = decided = 0
        while (passed := time.monotonic() - begun) < seconds:
            for _ in range(int(passed * rate) - sent):
                self._calm()
                sent += 1
            for _ in range(int(passed * decisions) - decided):
                self.fail()
                decided += 1
            self._producer.poll(0)
            time.sleep(SLICE)

    def fail(self) -> None:
        """The failures that block one more workflow; the last of them is what the decision hangs on."""
        number, self._failing = self._failing, self._failing + 1
        for attempt in range(3):
            self._produce(number, "failure", attempt, http_status=401, system_key="crm")
        self.caused[f"wf{number}"] = time.time()

    def flush(self) -> None:
        """Wait until the broker has all."""
        self._producer.flush(30)

    def _calm(self) -> None:
        run, is_end = divmod(self._number, 2)
        self._number += 1
        self._produce(run % CALM, "success" if is_end else "started", run)

    def _produce(self, number: int, status: str, run: int, **more: object) -> None:
        event = {
            "event_id": f"e{number}:{run}:{status}",
            "status": status,
            "occurred_at": datetime.now(UTC).isoformat(),
            "tenant_id": tenant_of(number),
            "workflow_id": f"wf{number}",
            "automation_version_id": f"v{number}",
            "execution_id": f"x{number}:{run}",
            "payload": _PAD,
            **more,
        }
        self._producer.produce(_TOPIC, json.dumps(event), f"wf{number}")


def measure(plan: Plan) -> tuple[list[float], list[float]]:
    """Seconds from cause to commit: of the even ones, and of the burst, without those of the warm-up."""
    warm = round(WARM_UP.total_seconds() * plan.decisions)
    wanted = warm + round(plan.seconds * plan.decisions) + plan.burst
    world = make_world(CALM + wanted + 10, not_live=0)
    stream = Stream(world, [], 0)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), stream, snapshot_interval="10s") as stack:
        _note_commit_times(stack)
        for program in (stack.monitor, stack.worker):
            program.tend()
        load = Load(stack.kafka.bootstrap_servers, CALM)
        load.fail()
        load.flush()
        _wait(stack, 1)
        load.run(plan.rate, WARM_UP.total_seconds(), plan.decisions)
        before = len(load.caused)
        load.run(plan.rate, plan.seconds, plan.decisions)
        even = list(load.caused)[before:]
        for _ in range(plan.burst):
            load.fail()
        load.flush()
        burst = list(load.caused)[before + len(even) :]
        _wait(stack, len(load.caused))
        committed = _commit_times(stack.engine)
    return (
        [committed[name] - load.caused[name] for name in even],
        [committed[name] - load.caused[name] for name in burst],
    )


def main() -> None:
    """Measure and print one table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rates", type=int, nargs="+", default=[1000, 5000])
    options.add_argument("--seconds", type=float, default=40)
    options.add_argument("--decisions", type=float, default=5, help="blocks a second")
    options.add_argument("--burst", type=int, default=50, help="blocks at once, after that")
    chosen = options.parse_args()
    missing = why_no_apache()
    if missing:
        print(f"no Apache Kafka ({missing}): the double of its protocol is used")
    print(f"{'events/s':>9}  {'decisions':<16} {'count':>6} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    for rate in chosen.rates:
        even, burst = measure(Plan(rate, chosen.seconds, chosen.decisions, chosen.burst))
        _print(rate, f"{chosen.decisions:g} a second", even)
        _print(rate, f"{chosen.burst} at once", burst)


def _print(rate: int, what: str, seconds: Sequence[float]) -> None:
    if seconds:
        ordered = sorted(1000 * one for one in seconds)
        p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
        print(
            f"{rate:>9,}  {what:<16} {len(ordered):>6} {median(ordered):>8.0f} {p99:>8.0f} {ordered[-1]:>8.0f}",
            flush=True,
        )


def _note_commit_times(stack: Stack) -> None:
    with stack.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            "ALTER SYSTEM SET track_commit_timestamp = on"
        )
    stack.postgres.kill()
    stack.postgres.restart()


def _wait(stack: Stack, decisions: int) -> None:
    give_up = time.monotonic() + PATIENCE.total_seconds()
    while (count := len(_commit_times(stack.engine))) < decisions:
        if time.monotonic() > give_up:
            raise TimeoutError(f"{count} of {decisions} decisions after {PATIENCE}")
        time.sleep(0.2)


def _commit_times(engine: sa.Engine) -> dict[str, float]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT workflow_id, extract(epoch FROM pg_xact_commit_timestamp(recorded.xmin))::float8 FROM"
            " (SELECT workflow_id, xmin FROM decisions WHERE kind = 'block_for_credentials') AS recorded"
        )
        return {str(workflow): seconds for workflow, seconds in rows}


if __name__ == "__main__":
    main()
