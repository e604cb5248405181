"""The engines: what they are, what they read, and how each is started.

What an engine needs is put under `.cache/rivals/` by `python -m benchmarks.rivals.fetch`.
"""

import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PLACE = HERE.parent.parent / ".cache" / "rivals"
POLICIES = HERE / "policies.yaml"


class Reads(Enum):
    """Where an engine reads the events from."""

    FILE = "one file"
    HALVES = "two files"
    PARTS = "four files"
    BROKER = "Kafka"


class Job(NamedTuple):
    """One run of an engine."""

    #: A file, a folder of files, or the address of a broker.
    source: str
    #: An empty folder: decisions go into `decisions` in it, state where the engine likes.
    folder: Path
    events: int


class Engine(NamedTuple):
    """One line of the table."""

    name: str
    version: str
    language: str
    cores: str
    recovery: str
    reads: Reads
    command: Callable[[Job], list[str]]
    #: What must be there.
    needs: Path | None = None
    #: Breakwater: a process's start-up is taken off; the others say themselves when the first event was read.
    is_ours: bool = False


def _python(venv: str, script: str, *more: str) -> Callable[[Job], list[str]]:
    def command(job: Job) -> list[str]:
        python = str(PLACE / venv / "venv" / "bin" / "python")
        filled = [one.format(folder=job.folder, events=job.events) for one in more]
        return [python, str(HERE / "python" / script), job.source, f"{job.folder}/decisions", *filled]

    return command


def _java(folder: str, main: str, *more: str, options: tuple[str, ...] = ()) -> Callable[[Job], list[str]]:
    def command(job: Job) -> list[str]:
        place = PLACE / folder
        filled = [one.format(folder=job.folder, events=job.events) for one in more]
        opened = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("lang", "util", "time")]
        classes = f"{place / 'classes'}:{place / 'jars'}/*"
        return [
            "java",
            "-Xmx6g",
            f"-Devents={job.events}",
            *options,
            *opened,
            "-cp",
            classes,
            main,
            job.source,
            str(job.folder),
            *filled,
        ]

    return command


def _breakwater(processes: int, *more: str) -> Callable[[Job], list[str]]:
    def command(job: Job) -> list[str]:
        run = [sys.executable, "-m", "cli", "run", "--source", f"file:{job.source}", "--policies", str(POLICIES)]
        run += ["--sink", f"file:{job.folder}/decisions", "--processes", str(processes)]
        return run + [one.format(folder=job.folder) for one in more]

    return command


def _flink(name: str, main: str, options: tuple[str, ...] = ()) -> list[Engine]:
    return [
        Engine(
            f"Flink, {name}", "2.1.1", "Java", f"{slots} slot{'s' if slots > 1 else ''}",
            "3 s" if checkpoint else "-", Reads.HALVES if slots > 1 else Reads.FILE,
            _java("flink", main, str(slots), str(checkpoint), options=options), PLACE / "flink" / "classes",
        )
        for slots, checkpoint in ((1, 0), (2, 0), (2, 3000))
    ]  # fmt: skip


def _kept(folder: str) -> Path:
    return PLACE / folder / "venv" / "bin" / "python"


ENGINES: dict[str, list[Engine]] = {
    "breakwater": [
        Engine("**Breakwater**", "-", "Python", "1 process", "-", Reads.FILE, _breakwater(1), is_ours=True),
        Engine(
            "**Breakwater**", "-", "Python", "1 process", "10 s", Reads.FILE,
            _breakwater(1, "--recovery", "{folder}/recovery"), is_ours=True,
        ),
        Engine(
            "**Breakwater**", "-", "Python", "2 processes", "10 s", Reads.PARTS,
            _breakwater(2, "--recovery", "{folder}/recovery"), is_ours=True,
        ),
        Engine("**Breakwater**", "-", "Python", "2 processes", "-", Reads.PARTS, _breakwater(2), is_ours=True),
    ],
    "flink": _flink("idiomatic", "FlinkJob"),
    "tuned-flink": _flink("tuned", "TunedFlinkJob", ("-XX:+UseParallelGC",)),
    "bytewax": [
        Engine(
            "bytewax, a key a workflow", "0.21.1", "Python", "1 process", recovery, Reads.FILE,
            _python("bytewax", "run_bytewax.py", folder), _kept("bytewax"),
        )
        for recovery, folder in (("-", ""), ("10 s", "{folder}/recovery"))
    ],
    "quix": [
        Engine(
            "Quix Streams", "3.28.1", "Python", "1 process", changelog, Reads.BROKER,
            _python("quix", "run_quix.py", "{folder}/state", "{events}", "yes" if changelog != "-" else "no"),
            _kept("quix"),
        )
        for changelog in ("-", "changelog")
    ],
    "kafka-streams": [
        Engine(
            "Kafka Streams", "4.1.1", "Java", f"{threads} thread{'s' if threads > 1 else ''}",
            changelog, Reads.BROKER,
            _java("kafka_streams", "KafkaStreamsJob", str(threads), "yes" if changelog != "-" else "no", "{events}"),
            PLACE / "kafka_streams" / "classes",
        )
        for threads in (1, 2)
        for changelog in ("-", "changelog")
    ],
    "faust": [
        Engine(
            "Faust (faust-streaming)", "0.15.3", "Python", "1 process", "changelog", Reads.BROKER,
            _python("faust", "run_faust.py", "{folder}/state", "{events}"), _kept("faust"),
        )
    ],
    "pathway": [
        Engine(
            "Pathway", "0.33.0", "Python, Rust", "1 process", "-", Reads.BROKER,
            _python("pathway", "run_pathway.py", "{events}"), _kept("pathway"),
        )
    ],
}  # fmt: skip
