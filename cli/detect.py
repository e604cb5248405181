"""`breakwater detect`: the detectors over files of recorded events, no service needed (spec 20.7)."""

import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO, NoReturn

import msgspec
import typer

from cli.options import (
    AllowedLateness,
    BaselinesFile,
    PoliciesFile,
    RegistryFile,
    fail_usage,
    read_baselines_option,
    read_policies,
    read_registry_option,
)
from config.auth_errors import load_auth_errors
from config.credit_profiles import load_profile
from dataflows.credit_runs import CreditRun, encode_credit_run
from dataflows.dead_letters import DeadLetter, encode_dead_letter
from dataflows.decisions import encode_decision
from dataflows.engine.detector_sets import CreditFactory, DetectorFactory
from dataflows.engine.garbage import settle
from dataflows.replay import Replay
from dataflows.sources.lines import LineReader, open_events
from dataflows.times import NEVER, micros, to_micros


def detect(
    events: Annotated[list[str], typer.Argument(help="Files of run events, NDJSON or gzip of it; - is stdin.")],
    policies: PoliciesFile = None,
    registry: RegistryFile = None,
    baselines: BaselinesFile = None,
    until: Annotated[
        str | None,
        typer.Option(help="Go on until this event time, e.g. 2026-01-31T00:00:00Z.", metavar="TIME"),
    ] = None,
    output: Annotated[str, typer.Option(help="Where decisions go, one JSON object a line.", metavar="FILE")] = "-",
    dead_letters: Annotated[
        Path | None, typer.Option(help="Where messages go that can't be used.", metavar="FILE")
    ] = None,
    summary: Annotated[Path | None, typer.Option(help="Where the counts go, as JSON.", metavar="FILE")] = None,
    credit_runs: Annotated[
        str | None,
        typer.Option(help="Where the records of runs with credits go, one JSON object a line.", metavar="FILE"),
    ] = None,
    allowed_lateness: AllowedLateness = "60s",
) -> None:
    """Read recorded run events and write the decisions that they lead to."""
    lateness = _duration(allowed_lateness)
    rules = read_policies(policies, lateness)
    bindings = read_registry_option(registry)
    approved = read_baselines_option(baselines)
    end = _time(until)
    settle()
    with ExitStack() as stack:
        decisions_to = stack.enter_context(_writer(output))
        dead_letters_to = stack.enter_context(_writer(str(dead_letters))) if dead_letters else None

        def refuse(dead_letter: DeadLetter) -> None:
            if dead_letters_to is not None:
                dead_letters_to.write(encode_dead_letter(dead_letter, datetime.now(UTC)))

        records_to = None if credit_runs is None else stack.enter_context(_writer(credit_runs))

        def keep(run: CreditRun) -> None:
            if records_to is not None:
                records_to.write(encode_credit_run(run))

        replay = Replay(
            DetectorFactory(rules, load_auth_errors(), micros(lateness)),
            bindings,
            micros(lateness),
            on_decision=lambda decision: decisions_to.write(encode_decision(decision)),
            on_dead_letter=refuse,
            second_stage=CreditFactory(rules, load_profile, keeps_records=records_to is not None, baselines=approved),
            on_credit_run=keep,
        )
        for name in events:
            _feed(replay, name)
        replay.finish(end)
        if summary is not None:
            with _writer(str(summary)) as summary_to:
                summary_to.write(msgspec.json.format(msgspec.json.encode(replay.summary())))
    if dead_letters is None:
        _tell_of_dead_letters(replay.dead_letters)


class _Output:
    """A file that is written to; a write that fails ends the command with exit code 1 and one line that says why."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name

    def write(self, line: bytes) -> None:
        try:
            self._file.write(line)
            self._file.write(b"\n")
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        try:
            self._file.flush()
            if self._file is not sys.stdout.buffer:
                self._file.close()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> NoReturn:
        # Whoever read our output may simply have read enough: that is nothing to talk about.
        if not isinstance(error, BrokenPipeError):
            typer.echo(f"breakwater: {self._name}: {error.strerror}", err=True)
        # Python would try to write the rest once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
        raise typer.Exit(1)


def _feed(replay: Replay, name: str) -> None:
    path = None if name == "-" else Path(name)
    try:
        with open_events(path) as file, _progress(path, file) as advance:
            replay.feed(name, LineReader(file), advance)
    except (OSError, EOFError, zlib.error) as error:
        _unreadable(name, error)


def _tell_of_dead_letters(counts: Mapping[str, int]) -> None:
    """On a terminal, what would otherwise pass unseen; silence elsewhere."""
    if counts and sys.stderr.isatty():
        by_code = ", ".join(f"{code} {count:,}" for code, count in counts.items())
        typer.echo(f"could not be used: {by_code}; --dead-letters FILE says which", err=True)


@contextmanager
def _progress(path: Path | None, file: BinaryIO) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; silence elsewhere, and where the size is unknown."""
    if path is None or not sys.stderr.isatty():
        yield lambda _offset: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        packed = getattr(file, "fileobj", None)
        task = bar.add_task(path.name, total=path.stat().st_size)
        yield lambda offset: bar.update(task, completed=offset if packed is None else packed.tell())


@contextmanager
def _writer(name: str) -> Iterator[_Output]:
    """A file to write to, `-` is stdout; exit 2 when it can't be made."""
    if name == "-":
        output = _Output(sys.stdout.buffer, "standard output")
    else:
        try:
            output = _Output(Path(name).open("wb"), name)  # noqa: SIM115  (closed below)
        except OSError as error:
            _unreadable(name, error)
    yield output
    output.close()


def _unreadable(name: str, error: Exception) -> NoReturn:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    fail_usage(f"{name}: {reason}")


def _time(text: str | None) -> int:
    if text is None:
        return NEVER
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        fail_usage("--until: must be a time as in 2026-01-31T00:00:00Z")
    if time.tzinfo is None:
        fail_usage("--until: must have an offset, as in 2026-01-31T00:00:00Z")
    return to_micros(time)


def _duration(text: str) -> timedelta:
    from config.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        fail_usage(f"--allowed-lateness: {error}")
