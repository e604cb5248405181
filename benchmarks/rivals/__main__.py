"""The same job on other engines, one table.

    python -m benchmarks.rivals [--engines breakwater flink ...] [--events 1000000] [--workflows 4000 200000]

What the engines need: `python -m benchmarks.rivals.fetch`. What the figures mean: README.md beside this file.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from benchmarks.events import START, write_events
from benchmarks.kafka_throughput import produce
from benchmarks.rivals.comparison import comparable, ours, theirs, verdict
from benchmarks.rivals.engines import ENGINES, POLICIES, Engine, Job, Reads
from benchmarks.throughput import DECODE, PARTS, part
from cli.embedded.apache_kafka import ApacheKafka
from dataflows.times import to_micros

_JUDGED = re.compile(r"judged (\d+) events in ([0-9.]+) seconds")
_SECOND_HALF_CPU = re.compile(r"second half cpu: ([0-9.]+) seconds")
_CPU = re.compile(r"^cpu: ([0-9.]+) seconds", re.MULTILINE)
_SECOND_HALF = re.compile(r"second half: ([0-9.]+) seconds")
_PATIENCE = timedelta(minutes=3)
#: Events a second of event time.
RATE = 5000


class NoFigureError(Exception):
    """An engine gave no figure; the text says why."""


class Measured(NamedTuple):
    """What one run of an engine gave."""

    rate: float
    peak_mib: float
    equal: str
    #: The rate of the second half of the events, where the engine says it: its compiler is warm by then.
    warm: float | None
    #: Microseconds of all cores an event, start-up taken off; of a virtual machine in the second half.
    cpu: float


def main() -> None:
    """Measure and print one table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--workflows", type=int, nargs="+", default=[4_000, 200_000])
    options.add_argument("--rounds", type=int, default=2, help="the best of these counts")
    chosen = options.parse_args()
    print(f"{chosen.events:,} events, best of {chosen.rounds}, {os.cpu_count()} cores\n")
    print(
        "| workflows | engine | version | language | cores | reads | recovery | events/s | of ours | second half "
        "| CPU µs an event | equal | MiB |"
    )
    print("| ---: | --- | --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: |", flush=True)
    for workflows in chosen.workflows:
        with tempfile.TemporaryDirectory() as name:
            table(Path(name), chosen.engines, chosen.events, workflows, chosen.rounds)


def table(folder: Path, names: list[str], events: int, workflows: int, rounds: int) -> None:
    """All engines on one input. Ratios are to Breakwater with one process, without recovery, of the same run."""
    file = folder / "events.ndjson"
    write_events(file, events=events, workflows=workflows, rate=RATE)
    part(file, folder / "halves", 2)
    part(file, folder / "parts", PARTS)
    (folder / "empty.ndjson").touch()
    part(folder / "empty.ndjson", folder / "empty_parts", PARTS)
    expected = folder / "expected.ndjson"
    detect = [sys.executable, "-m", "cli", "detect", str(file), "--policies", str(POLICIES), "--output", str(expected)]
    subprocess.run(detect, check=True)
    inputs = Inputs(folder, events, expected)
    alone = min(_wall([sys.executable, "-c", DECODE, str(file)])[0] for _ in range(rounds))
    print(
        f"| {workflows:,} | decoding alone | - | Python | 1 | one file | - | {events / alone:,.0f} | | | | | |",
        flush=True,
    )
    base = 0.0
    with _broker(file, any(one.reads is Reads.BROKER for name in names for one in ENGINES[name])) as address:
        for engine in (one for name in names for one in ENGINES[name]):
            row = f"| {workflows:,} | {engine.name} | {engine.version} | {engine.language} | {engine.cores} | "
            row += f"{engine.reads.value} | {engine.recovery} | "
            try:
                best = max((inputs.measure(engine, address) for _ in range(rounds)), key=lambda one: one.rate)
            except NoFigureError as failed:
                print(f"{row}not available here: {failed} | | | | | |", flush=True)
                continue
            base = base or best.rate
            ratio = f"{best.rate / base:.2f}" if best.equal == "yes" else "not counted"
            warm = f"{best.warm:,.0f}" if best.warm else ""
            print(
                f"{row}{best.rate:,.0f} | {ratio} | {warm} | {best.cpu:.2f} | {best.equal} | {best.peak_mib:,.0f} |",
                flush=True,
            )


class Inputs:
    """One set of events, in all the forms in which engines read it."""

    def __init__(self, folder: Path, events: int, expected: Path) -> None:
        self._folder = folder
        self._events = events
        self._highest = to_micros(START + timedelta(seconds=(events - 1) / RATE))
        self._expected = comparable(ours([expected]), self._highest)
        self._start_ups: dict[Engine, tuple[float, float]] = {}

    def measure(self, engine: Engine, broker: str | None) -> Measured:
        """Run an engine once."""
        if engine.needs is not None and not engine.needs.exists():
            raise NoFigureError("not fetched")
        if engine.reads is Reads.BROKER and broker is None:
            raise NoFigureError("no broker")
        source = {
            Reads.FILE: f"{self._folder}/events.ndjson",
            Reads.HALVES: f"{self._folder}/halves",
            Reads.PARTS: f"{self._folder}/parts",
            Reads.BROKER: broker or "",
        }[engine.reads]
        with tempfile.TemporaryDirectory(dir=self._folder) as new:
            seconds, cpu, peak, output = _wall(engine.command(Job(source, Path(new), self._events)))
            judged = self._events
            if engine.is_ours:
                start = self._start_up(engine)
                seconds -= start[0]
                cpu = (cpu - start[1]) / self._events
            else:
                said = _JUDGED.search(output)
                if said is None:
                    raise NoFigureError("it ended without a word")
                judged, seconds = int(said[1]), float(said[2])
                warm, whole = _SECOND_HALF_CPU.search(output), _CPU.search(output)
                cpu = 2 * float(warm[1]) / judged if warm else float(whole[1]) / judged if whole else cpu / judged
            files = [one for one in Path(new).rglob("*") if one.is_file() and _holds_decisions(one, Path(new))]
            decided = comparable(ours(files) if engine.is_ours else theirs(files), self._highest)
        equal = verdict(self._expected, decided)
        if judged != self._events:
            equal = f"NO: {judged:,} events judged; {equal}"
        half = _SECOND_HALF.search(output)
        return Measured(judged / seconds, peak, equal, judged / 2 / float(half[1]) if half else None, 1e6 * cpu)

    def _start_up(self, engine: Engine) -> tuple[float, float]:
        if engine not in self._start_ups:
            empty = "empty.ndjson" if engine.reads is Reads.FILE else "empty_parts"
            with tempfile.TemporaryDirectory(dir=self._folder) as new:
                job = Job(f"{self._folder}/{empty}", Path(new), 0)
                seconds, cpu, _, _ = _wall(engine.command(job))
                self._start_ups[engine] = seconds, cpu
        return self._start_ups[engine]


def _holds_decisions(file: Path, folder: Path) -> bool:
    return file.relative_to(folder).parts[0].startswith("decisions")


def _wall(command: list[str]) -> tuple[float, float, float, str]:
    """Seconds, seconds of all cores, peak MiB of the largest process, and what it printed."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begun = time.perf_counter()
        environment = os.environ | {"PYTHONPATH": "."}
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=errors)
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            if time.perf_counter() - begun > _PATIENCE.total_seconds():
                process.kill()
                process.wait()
                raise NoFigureError(f"not done after {_PATIENCE}")
            time.sleep(0.005)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            last = (errors.read().strip().splitlines() or ["no word"])[-1]
            raise NoFigureError(f"exit {process.returncode}: {last[:200]}")
        used = ended[2]
        return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output.read()


@contextmanager
def _broker(file: Path, is_wanted: bool) -> Iterator[str | None]:
    """A broker with the events in its log; None where it is not wanted."""
    if not is_wanted:
        yield None
        return
    with ApacheKafka() as broker:
        address = broker.bootstrap_servers
        environment = os.environ | {"PYTHONPATH": ".", "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": address}
        topics = [sys.executable, "-m", "cli", "init-topics", "--partitions", str(PARTS)]
        subprocess.run(topics, env=environment, check=True, stdout=subprocess.DEVNULL)
        produce(address, file)
        yield address


if __name__ == "__main__":
    main()
