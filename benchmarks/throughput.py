"""Events a second: decoding alone, `breakwater detect`, and `breakwater run` with its recovery store on.

    python -m benchmarks.throughput [--events 1000000] [--workflows 4000 200000] [--processes 1 2]

All read the same events in the same run of this program, so the ratios to decoding alone hold where the times
don't travel; several processes read them parted into files by workflow. Each measured command is a process of its
own; its start-up is measured and taken off, and its peak memory is the operating system's figure. On a machine that
others use, too, compare the processor's time.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from benchmarks.events import write_events

#: Decoding alone: read the file in chunks, part it into lines, decode each into the wire model. Nothing else.
DECODE = """
import sys
import msgspec
from dataflows.events import RunEvent
decode = msgspec.json.Decoder(RunEvent).decode
with open(sys.argv[1], "rb") as file:
    rest = b""
    while data := file.read(1 << 19):
        *lines, rest = (rest + data).split(b"\\n")
        for line in lines:
            decode(line)
"""


#: Nobody watches what is spent in an hour.
NO_SPEND_RATE = "defaults: {spend_rate: {enabled: false}}\n"

#: Partition files that several processes share.
PARTS = 4

_WORKFLOW = b'"workflow_id":"'
_CREDITS = re.compile(rb',"credits_total":[^,}]*')


class Run(NamedTuple):
    """One measured process."""

    seconds: float
    #: Of the process and those that it started, user and system.
    cpu_seconds: float
    peak_mib: float


def measure(command: Sequence[str]) -> Run:
    """Run a command to its end; a failure ends the benchmark."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": "."})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> None:
    """Measure and print one table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--workflows", type=int, nargs="+", default=[4_000, 200_000])
    options.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    options.add_argument("--rounds", type=int, default=3, help="the best of these counts")
    chosen = options.parse_args()
    print(f"{chosen.events:,} events, best of {chosen.rounds}, {os.cpu_count()} cores")
    print(
        f"{'workflows':>10}  {'what':<36} {'events/s':>10} {'of decoding':>12} {'CPU µs':>7} {'of decoding':>12} "
        f"{'peak MiB':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for workflows in chosen.workflows:
            compare(Path(folder), chosen.events, workflows, chosen.processes, chosen.rounds)


def compare(folder: Path, events: int, workflows: int, processes: Sequence[int], rounds: int) -> None:
    """The same events, all ways to read them; more than one process read them from a folder of partition files."""
    file, empty, free = folder / "events.ndjson", folder / "empty.ndjson", folder / "free.ndjson"
    quiet = folder / "policies.yaml"
    write_events(file, events=events, workflows=workflows)
    empty.touch()
    parts, empty_parts = folder / "parts", folder / "empty_parts"
    with file.open("rb") as lines, free.open("wb") as out:
        # Line by line: a child's peak memory is never below that of the process that started it.
        out.writelines(_CREDITS.sub(b"", line) for line in lines)
    quiet.write_text(NO_SPEND_RATE)
    part(file, parts, PARTS)
    part(empty, empty_parts, PARTS)
    run = [sys.executable, "-m", "cli", "run", "--source", "file:{input}", "--sink", "file:{new}/decisions.ndjson"]
    kept = [*run, "--recovery", "{new}/recovery"]
    ways: dict[str, tuple[list[str], Path, Path]] = {
        "decoding alone": ([sys.executable, "-c", DECODE, "{input}"], file, empty),
        "detect": ([sys.executable, "-m", "cli", "detect", "{input}", "--output", os.devnull], file, empty),
        "run, no recovery": (run, file, empty),
        "run, recovery": (kept, file, empty),
        "run, recovery, no spend rate": ([*kept, "--policies", str(quiet)], file, empty),
        "run, recovery, records of runs": ([*kept, "--credit-runs", "{new}/runs.ndjson"], file, empty),
        "run, recovery, runs without credits": (kept, free, empty),
    }
    for count in processes:
        name = f"run, recovery, {PARTS} files, {count} process{'es' if count > 1 else ''}"
        ways[name] = ([*kept, "--processes", str(count)], parts, empty_parts)
    alone = cpu_alone = 0.0
    for name, (command, full, nothing) in ways.items():
        best = min((_once(command, full, folder) for _ in range(rounds)), key=lambda run: run.seconds)
        start = min((_once(command, nothing, folder) for _ in range(rounds)), key=lambda run: run.seconds)
        rate = events / (best.seconds - start.seconds)
        cpu = (best.cpu_seconds - start.cpu_seconds) / events * 1e6
        alone, cpu_alone = alone or rate, cpu_alone or cpu
        print(
            f"{workflows:>10,}  {name:<36} {rate:>10,.0f} {rate / alone:>12.3f} {cpu:>7.2f} {cpu_alone / cpu:>12.3f} "
            f"{best.peak_mib:>9,.0f}",
            flush=True,
        )


def part(file: Path, folder: Path, count: int) -> None:
    """Deal the events out to `count` files of a folder, all of a workflow to one, as a topic's partitions have them."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        outputs = [stack.enter_context((folder / f"part-{number}.ndjson").open("wb")) for number in range(count)]
        for line in stack.enter_context(file.open("rb")):
            outputs[crc32(_workflow(line)) % count].write(line)


def _workflow(line: bytes) -> bytes:
    begin = line.index(_WORKFLOW) + len(_WORKFLOW)
    return line[begin : line.index(b'"', begin)]


def _once(command: Sequence[str], file: Path, folder: Path) -> Run:
    with tempfile.TemporaryDirectory(dir=folder) as new:
        return measure(
            [part.format(input=file, new=new) if "{" in part and "\n" not in part else part for part in command]
        )


if __name__ == "__main__":
    main()
