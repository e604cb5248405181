"""Kill every process at random, and compare the tables with those of a run that nobody disturbed.

    python -m benchmarks.crash [--kills 60] [--workflows 4000] [--processes 2] [--seed 1]

docs/crash-test.md tells what is compared. Exit code 1 when anything is lost, doubled or different.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from benchmarks.crash_harness import Kill, Stack, Victim, draw_kills, why_no_apache
from benchmarks.crash_projection import Projection, differences, project, project_mails
from benchmarks.crash_stream import Stream, make_stream
from cli.embedded.process import Child


class Result(NamedTuple):
    """What a run left behind."""

    tables: Projection
    mails: Counter[str]
    seconds: float
    #: How the programs ended by themselves or by force, by exit code.
    monitor: Counter[int]
    worker: Counter[int]


def run(
    folder: Path,
    stream: Stream,
    decisions: int,
    *,
    kills: Sequence[Kill] = (),
    processes: int,
    patience: timedelta,
    apache: bool | None = None,
) -> Result:
    """Send a stream through everything; AssertionError when a program does not end well at last."""
    folder.mkdir()
    with Stack(folder, stream, processes=processes, apache=apache) as stack:
        stack.produce()
        begun = time.monotonic()
        stack.run(decisions=decisions, kills=iter(kills), patience=patience)
        seconds = time.monotonic() - begun
        codes = stack.end()
        assert codes == (0, 0), f"exit codes of monitor and worker: {codes}"
        return Result(
            project(stack.engine), project_mails(stack.smtp.mails), seconds, stack.monitor.ends, stack.worker.ends
        )


def count_decisions(folder: Path, stream: Stream) -> int:
    """How many decisions are to come of a stream, by `breakwater detect`."""
    events, output = folder / "events.ndjson", folder / "decisions.ndjson"
    events.write_bytes(b"".join(message.value + b"\n" for message in stream.messages))
    command = [sys.executable, "-m", "cli", "detect", str(events), "--output", str(output)]
    with Child([*command, "--until", "2026-03-04T00:00:00Z"], log=folder / "detect.log") as detect:
        code = detect.wait(timedelta(minutes=5))
    assert code == 0, (folder / "detect.log").read_text()
    return len(output.read_bytes().splitlines())


def compare(
    folder: Path, stream: Stream, kills: Sequence[Kill], *, processes: int, patience: timedelta,
    say: Callable[[str], None],
    calm_apache: bool | None = None,
) -> list[str]:  # fmt: skip
    """Run undisturbed, then disturbed; what differs, a line each.

    `calm_apache` False: the undisturbed run takes the protocol's double, which starts sooner.
    """
    decisions = count_decisions(folder, stream)
    say(f"{len(stream.messages):,} messages, {stream.bad:,} of them bad; {decisions:,} decisions")
    calm = run(folder / "calm", stream, decisions, processes=processes, patience=patience, apache=calm_apache)
    say(f"undisturbed: {calm.seconds:.1f} s, {calm.mails.total():,} mails")
    wild = run(folder / "wild", stream, decisions, kills=kills, processes=processes, patience=patience)
    counts = Counter(kill.victim for kill in kills)
    say(f"{len(kills)} kills ({', '.join(f'{count} {who}' for who, count in counts.items())}): {wild.seconds:.1f} s")
    say(f"monitor ended {wild.monitor.total()} times, worker {wild.worker.total()} times, by code:")
    say(f"  {dict(wild.monitor)} {dict(wild.worker)}")
    repeats = wild.mails.total() - len(wild.mails)
    say(f"mails that came again, under the same Message-ID: {repeats}")
    faults = differences(calm.tables, wild.tables)
    faults += [f"mail: - {line}" for line in calm.mails.keys() - wild.mails.keys()]
    faults += [f"mail: + {line}" for line in wild.mails.keys() - calm.mails.keys()]
    faults += [f"mail: twice without a crash: {line}" for line, count in calm.mails.items() if count > 1]
    return faults


def main() -> None:
    """Run and say what came of it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=60)
    options.add_argument("--workflows", type=int, default=4000)
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--pause", type=float, default=3.0, help="seconds between kills, at most")
    options.add_argument("--minutes", type=float, default=30, help="patience with each run")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    missing = why_no_apache()
    if missing:
        print(f"no Apache Kafka ({missing}): the double of its protocol is used, and the broker is not killed")
    victims = [victim for victim in Victim if victim is not Victim.KAFKA or not missing]
    kills = draw_kills(chosen.kills, victims, longest_pause=chosen.pause, seed=chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        faults = compare(
            Path(folder),
            make_stream(chosen.workflows, chosen.seed),
            kills,
            processes=chosen.processes,
            patience=timedelta(minutes=chosen.minutes),
            say=lambda line: print(line, flush=True),
        )
    for fault in faults[:50]:
        print(fault[:300])
    print(f"{len(faults)} differences")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
