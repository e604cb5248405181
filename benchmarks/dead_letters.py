"""How much longer good events take when 100,000 messages that can't be used stand among them.

    python -m benchmarks.dead_letters [--good 400000] [--bad 100000] [--rounds 1]

Everything is real (Apache Kafka, or the double of its protocol with fewer messages; PostgreSQL with fsync on), and
the whole log stands there before the monitor starts. Time runs from the commit of the first decision, which hangs on
the first events, to that of the last, which hangs on the last ones; start-up is not in it. Both rounds follow each
other, so that the ratio holds where the times don't travel. Bad messages are of all codes that a log can bring, evenly
spread.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median

import sqlalchemy as sa
from confluent_kafka import Producer

from benchmarks.crash_harness import Stack, why_no_apache
from benchmarks.crash_stream import START, Message, Stream, make_world, tenant_of
from config.settings import Kafka

#: Workflows whose runs go well, and after them those that are blocked, half of them first and half last.
CALM = 1000
BLOCKED = 40

#: What the double of the protocol can hold of a partition.
DOUBLE = 30_000

#: One bad message in so many is too large: each of them is more than a mebibyte.
TOO_LARGE = 5_000

PATIENCE = timedelta(minutes=10)

_TOPIC = Kafka().events_topic
_PAD = "x" * 250


def event(number: int, status: str, run: int, **more: object) -> dict[str, object]:
    """A run event of workflow `number`."""
    return {
        "event_id": f"e{number}:{run}:{status}",
        "status": status,
        "occurred_at": (START + timedelta(milliseconds=run)).isoformat(),
        "tenant_id": tenant_of(number),
        "workflow_id": f"wf{number}",
        "automation_version_id": f"v{number}",
        "execution_id": f"x{number}:{run}",
        "payload": _PAD,
        **more,
    }


def bad(number: int) -> bytes:
    """A message that can't be used; the code goes with the number."""
    one = event(number % CALM, "success", number, event_id=f"bad{number}")
    if number % TOO_LARGE == 0:
        return json.dumps(one | {"payload": "x" * (1 << 20)}).encode()
    match number % 8:
        case 0:
            return json.dumps(one).encode()[:-2]
        case 1:
            return json.dumps([one]).encode()
        case 2:
            del one["tenant_id"]
        case 3:
            one["http_status"] = 7
        case 4:
            one["occurred_at"] = "2026-03-02T08:00:00"
        case 5:
            one["occurred_at"] = "2999-03-02T08:00:00Z"
        case 6:
            one["tenant_id"] = "t-another"
        case _:
            one["automation_version_id"], one["workflow_id"] = f"made-up-{number}", None
    return json.dumps(one).encode()


def messages(good: int, bad_ones: int) -> Iterator[Message]:
    """Failures that block some workflows, good events with bad messages among them, and failures again."""
    yield from _failures(range(CALM, CALM + BLOCKED // 2))
    every, owed, next_bad = good / bad_ones if bad_ones else 0, 0.0, 0
    for number in range(good):
        run, is_end = divmod(number, 2)
        workflow = run % CALM
        one = event(workflow, "success" if is_end else "started", run)
        yield Message(f"wf{workflow}".encode(), json.dumps(one).encode())
        owed += 1
        while bad_ones and owed >= every and next_bad < bad_ones:
            owed -= every
            yield Message(f"wf{next_bad % CALM}".encode(), bad(next_bad))
            next_bad += 1
    yield from _failures(range(CALM + BLOCKED // 2, CALM + BLOCKED))


def _failures(numbers: Sequence[int]) -> Iterator[Message]:
    for number in numbers:
        for attempt in range(3):
            one = event(number, "failure", attempt, http_status=401, system_key="crm")
            yield Message(f"wf{number}".encode(), json.dumps(one).encode())


def produce(bootstrap_servers: str, written: Iterable[Message]) -> None:
    """Write messages in their order, each where its key belongs."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 2,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "message.max.bytes": 2 << 20,
        }
    )
    for message in written:
        while True:
            try:
                producer.produce(_TOPIC, message.value, message.key)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    producer.flush()


def measure(good: int, bad_ones: int) -> float:
    """Seconds from the first decision's commit to the last one's."""
    stream = Stream(make_world(CALM + BLOCKED, not_live=0), [], bad_ones)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), stream, snapshot_interval="10s") as stack:
        produce(stack.kafka.bootstrap_servers, messages(good, bad_ones))
        give_up = time.monotonic() + PATIENCE.total_seconds()
        stack.monitor.tend()
        while (found := _decided(stack.engine))[0] < BLOCKED:
            if time.monotonic() > give_up:
                raise TimeoutError(f"{found[0]} of {BLOCKED} decisions after {PATIENCE}")
            stack.monitor.tend()
            time.sleep(0.2)
        return found[1]


def _decided(engine: sa.Engine) -> tuple[int, float]:
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT count(*), coalesce(extract(epoch FROM max(recorded_at) - min(recorded_at)), 0)::float8"
            " FROM decisions WHERE kind = 'block_for_credentials'"
        ).one()
    return row[0], row[1]


def main() -> None:
    """Measure and print one table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--good", type=int, default=400_000)
    options.add_argument("--bad", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=1, help="the median of these counts")
    chosen = options.parse_args()
    good, bad_ones = chosen.good, chosen.bad
    if missing := why_no_apache():
        print(f"no Apache Kafka ({missing}): the double of its protocol is used, with fewer messages")
        bad_ones = min(bad_ones, DOUBLE * bad_ones // good)
        good = min(good, DOUBLE)
    alone, among = [], []
    for _ in range(chosen.rounds):
        alone.append(measure(good, 0))
        print(f"{good:,} good events alone: {alone[-1]:.1f} s", flush=True)
        among.append(measure(good, bad_ones))
        print(f"the same among {bad_ones:,} bad messages: {among[-1]:.1f} s", flush=True)
    print(f"ratio {median(among) / median(alone):.2f}")


if __name__ == "__main__":
    main()
