"""Words for tests of `breakwater run --source kafka`: a day of events, the command as a process, what it wrote."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec

from config.settings import Kafka
from dataflows.decisions import Decision, DecisionKind, decode_decision, encode_decision
from tests.dataflows.kafka_given import environment
from tests.given import DAY, Line, changed, denied, encode, ended, replay, started, timed_out

#: Whatever is open at the end of the day is stuck by any clock of today.
SPAN = 12 * 60

#: When the first line was written, in milliseconds: what stands in two topics is read in the order of writing.
FIRST = 1_772_438_400_000


def a_day(seed: int) -> list[Line]:
    """Runs of 40 workflows in order of time: some refused, some hang, some come back, some time out."""
    random = Random(seed)
    lines: list[tuple[float, Line]] = []
    for number in range(1200):
        name, workflow = f"x{number}", f"wf{random.randrange(40)}"
        whose = {"workflow_id": workflow, "automation_version_id": f"v-{workflow}"}
        begin = random.uniform(0, SPAN)
        end = begin + random.choice((1, 5, 29, 31, 70))
        lines.append((begin, started(begin, name, **whose)))
        match random.choice(("ended", "ended", "denied", "denied", "hangs", "timed out")):
            case "ended":
                lines.append((end, ended(end, name, **whose)))
            case "denied":
                lines.append((end, denied(end, name, **whose)))
            case "timed out":
                lines.append((end, timed_out(end, name, **whose)))
        if number % 50 == 0:
            lines.append((end, changed(end, "Blocked", "Live", workflow_id=workflow)))
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


def a_day_whatever_the_clock(seed: int) -> list[Line]:
    """Of `a_day` what can be written part by part while it is read.

    A lane that has read all that there is follows the clock of today: what is decided of an open execution then hangs
    on when the next line comes, so there is none. Nor is there a line of the other topic: the two are read in the order
    of writing where both stand, and what is written while it is read may stand in one of them first.
    """
    return [line for line in a_day(seed) if "kind" not in line and line["status"] != "started"]


def expected(lines: list[Line]) -> dict[str, Decision]:
    """What `detect` makes of them, by id, as it stands in a file."""
    outcome = replay([b"".join(encode(line) for line in lines)], until=10 * DAY)
    return {one.decision_id: decode_decision(encode_decision(one)) for one in outcome.decisions}


def expected_with(late: list[Line], lines: list[Line]) -> dict[str, Decision]:
    """The same when `late` comes after all the rest was read, and the clock followed: it ends no silence."""
    more = {name: one for name, one in expected(lines + late).items() if one.kind is not DecisionKind.SILENCE}
    return expected(lines) | more


@contextmanager
def a_monitor(kafka: Kafka, folder: Path, *more: str, database: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """The command, ended when the block is; its decisions go to the services of a database, or into a file."""
    sink = "services" if database else f"file:{folder / 'decisions.ndjson'}"
    command = ["run", "--source", "kafka", "--sink", sink]
    command += ["--recovery", str(folder / "recovery"), "--snapshot-interval", "500ms", *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *command],
        env={
            **os.environ,
            **environment(kafka),
            **({"BREAKWATER_POSTGRES__URL": database} if database else {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end_well(process: subprocess.Popen[str]) -> None:
    """Ask it to end, and see that it does."""
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said


def metrics(port: int) -> str:
    """What `/metrics` says; nothing while nobody is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


def written(folder: Path) -> list[Decision]:
    """The lines of the sink that are complete."""
    file = folder / "decisions.ndjson"
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return [decode_decision(line) for line in lines if line.endswith(b"\n")]


def ids(folder: Path) -> set[str]:
    """Ids in the sink; none while it is being cut back to its snapshot under the reader's eyes."""
    try:
        return {decision.decision_id for decision in written(folder)}
    except msgspec.DecodeError:
        return set()
