"""Events a second from a real Kafka broker, beside the same events from partition files.

    python -m benchmarks.kafka_throughput [--events 1000000] [--workflows 200000] [--processes 1 2]

Needs the jars of `.ci/kafka/fetch` and Java. The events are in the log before the monitor starts, so it reads as fast
as it can. Time runs from the first events that `/metrics` shows as used to the last; the file figure is taken in the
same run and in the same way. `--sink file:`, recovery on, 10 s epochs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.events import write_events
from benchmarks.throughput import part
from cli.embedded.apache_kafka import ApacheKafka
from cli.embedded.process import free_port

PARTITIONS = 4


def main() -> None:
    """Measure and print one table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--workflows", type=int, default=200_000)
    options.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name, ApacheKafka() as broker:
        folder = Path(name)
        file = folder / "events.ndjson"
        write_events(file, events=chosen.events, workflows=chosen.workflows)
        part(file, folder / "parts", PARTITIONS)
        environment = os.environ | {"PYTHONPATH": ".", "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        command = [sys.executable, "-m", "cli", "init-topics", "--partitions", str(PARTITIONS)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        produce(broker.bootstrap_servers, file)
        print(
            f"{chosen.events:,} events, {chosen.workflows:,} workflows, {PARTITIONS} partitions, {os.cpu_count()} cores"
        )
        for processes in chosen.processes:
            rates = [
                _rate(folder, environment, source, processes, chosen.events)
                for source in (f"file:{folder / 'parts'}", "kafka")
            ]
            print(
                f"{processes} process{'es' if processes > 1 else ''}: {rates[0]:>9,.0f} events/s from files, "
                f"{rates[1]:>9,.0f} from Kafka, {rates[1] / rates[0]:.2f} of it",
                flush=True,
            )


def produce(bootstrap_servers: str, file: Path) -> None:
    """Write the events to the topic, keyed by workflow."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 20,
            "queue.buffering.max.messages": 200_000,
        }
    )
    with file.open("rb") as lines:
        for line in lines:
            begin = line.index(b'"workflow_id":"') + 15
            key = line[begin : line.index(b'"', begin)]
            while True:
                try:
                    producer.produce("run_events", line.rstrip(b"\n"), key)
                    break
                except BufferError:
                    producer.poll(0.1)
    producer.flush()


def _rate(folder: Path, environment: dict[str, str], source: str, processes: int, events: int) -> float:
    """Events a second between the first and the last that the metrics of all processes show."""
    port = free_port()
    with tempfile.TemporaryDirectory(dir=folder) as new:
        command = [sys.executable, "-m", "cli", "run", "--source", source, "--sink", f"file:{new}/decisions"]
        command += ["--recovery", f"{new}/recovery", "--processes", str(processes), "--metrics-port", str(port)]
        with _running(command, environment) as process:
            used = dict.fromkeys(range(port, port + processes), 0.0)
            #: (time, events used until then), whenever there were more.
            seen: list[tuple[float, float]] = []
            while not seen or seen[-1][1] < events:
                ended = process.poll()
                if ended:
                    sys.exit("the monitor failed")
                for one in used:
                    used[one] = max(used[one], _used(one))
                now = time.perf_counter()
                if sum(used.values()) > (seen[-1][1] if seen else 0):
                    seen.append((now, sum(used.values())))
                elif ended == 0:
                    # A file's monitor ends with its last event: what came after the last look is not counted.
                    break
                time.sleep(0.02)
            (begin, first), (end, last) = seen[0], seen[-1]
            return (last - first) / (end - begin)


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _used(port: int) -> float:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith('breakwater_events_total{outcome="used"}'):
                    return float(line.rpartition(" ")[2])
    except OSError:
        pass
    return 0.0


if __name__ == "__main__":
    main()
