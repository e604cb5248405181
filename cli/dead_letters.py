"""`breakwater dead-letters list` and `replay`: look at what could not be used, and feed it in again (spec 10)."""

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import sqlalchemy as sa
import typer

from cli.database import usable
from cli.options import fail_usage
from config.durations import parse_duration
from config.settings import Settings, load_settings
from dataflows.dead_letters import DeadLetterCode
from lifecycle.dead_letter_replays import (
    NEVER_USABLE,
    Count,
    ListedDeadLetter,
    Place,
    Replayed,
    Selection,
    count_dead_letters,
    database_time,
    find_replayable,
    list_dead_letters,
    mark_replayed,
)

if TYPE_CHECKING:
    from sinks.dead_letter_replay import KeptMessage, Replayer

#: Rows of a page, at most.
PAGE = 1_000

dead_letters = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Messages that could not be used: list them, feed them in again."
)

Code = Annotated[DeadLetterCode | None, typer.Option(help="Only those with this reason.")]
Since = Annotated[
    str | None, typer.Option(help="Only those recorded since: a time with its offset, or 2h for two hours ago.")
]
Source = Annotated[str | None, typer.Option(help="Only those of this topic or file.")]


class Target(StrEnum):
    """Where a file's messages are written."""

    KAFKA = "kafka"
    STDOUT = "stdout"


@dead_letters.command("list")
def list_(
    code: Code = None,
    since: Since = None,
    source: Source = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=PAGE)] = 50,
    cursor: Annotated[int | None, typer.Option(help="Go on after the page that gave this out.", min=0)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object: dead_letters, and next (a cursor or null).")] = (
        False
    ),
) -> None:
    """List dead letters, the newest first: where each was read, why it can't be used, whether it was fed in again."""
    selection = Selection(code=None if code is None else code.value, source=source, since=_since(since))
    with _database(load_settings()) as engine, engine.connect() as connection:
        letters = list_dead_letters(connection, selection, limit=limit + 1, before=cursor)
    more = letters[limit - 1].id if len(letters) > limit else None
    letters = letters[:limit]
    if as_json:
        typer.echo(json.dumps({"dead_letters": [_row(letter) for letter in letters], "next": more}))
        return
    for letter in letters:
        typer.echo("  ".join(_columns(letter)))
    if more is not None:
        typer.echo(f"there are more: --cursor {more}", err=True)


@dead_letters.command()
def replay(
    position: Annotated[
        list[str] | None, typer.Argument(help="topic/partition/offset, as `list` shows it.", metavar="[POSITION]...")
    ] = None,
    code: Code = None,
    since: Since = None,
    source: Source = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were fed in before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    file: Annotated[Path | None, typer.Option(help="From a file of `--dead-letters`, not from Kafka.")] = None,
    to: Annotated[Target, typer.Option(help="Where a file's messages go.")] = Target.KAFKA,
    by: Annotated[str | None, typer.Option(help="Who asks; the user of this machine by default.")] = None,
) -> None:
    """Feed dead letters in again: by position, by reason, or all since a time.

    What is still bad becomes a dead letter again, at its new position. Exit 1 when something selected can't be had.
    """
    places = [_place(text) for text in position or ()]
    selection = Selection(code=None if code is None else code.value, source=source, since=_since(since), places=places)
    if file is None and selection == Selection(places=[]):
        fail_usage("which ones? Give positions, --code, --source or --since (--since 36500d is all of them)")
    settings = load_settings()
    is_done = (
        _replay_topic(settings, selection, again=again, dry_run=dry_run, by=by or _user())
        if file is None
        else _replay_file(settings, file, selection, to, dry_run=dry_run)
    )
    if not is_done:
        raise typer.Exit(1)


def _replay_topic(settings: Settings, selection: Selection, *, again: bool, dry_run: bool, by: str) -> bool:
    """From Kafka, each marked when it is written; whether all that is to be fed in could be."""
    with _database(settings) as engine:
        with engine.connect() as connection:
            began = database_time(connection)
            count = count_dead_letters(connection, selection, again=again)
        if dry_run:
            _tell(count, f"{count.to_replay} would be fed in again")
            return True
        cut = done = 0
        replayer = _replayer(settings, engine)
        for letters in _broker_read(settings):
            with engine.connect() as connection:
                wanted = find_replayable(
                    connection, selection, [one.place for one in letters], replayed_before=began if again else None
                )
            # The same one may stand in the topic twice; one that was cut there is not the message.
            chosen = {one.place: one for one in letters if one.place in wanted}
            whole = [one for one in chosen.values() if one.is_whole]
            cut += len(chosen) - len(whole)
            if whole:
                _feed_in(replayer, engine, whole, by)
            done += len(whole)
    _tell(count, f"{done} fed in again")
    if cut:
        typer.echo(f"breakwater: {cut} can't be: the broker took only the beginning of them", err=True)
    gone = max(0, count.to_replay - done - cut)
    if gone:
        typer.echo(f"breakwater: {gone} can't be: retention has dropped them from the topic", err=True)
    return not cut and not gone


def _feed_in(replayer: "Replayer", engine: sa.Engine, letters: "list[KeptMessage]", by: str) -> None:
    """Write first: a crash before the mark writes them once more, and their event ids make that nothing new."""
    written = _write(replayer, letters)
    with engine.begin() as connection:
        mark_replayed(connection, written, by=by)


def _write(replayer: "Replayer", letters: "list[KeptMessage]") -> list[Replayed]:
    from sinks.dead_letter_replay import NoBrokerError

    try:
        places = replayer.write(letters)
    except NoBrokerError as error:
        _no_broker(error)
    return [
        Replayed(place=letter.place, topic=at.topic, partition=at.partition, offset=at.offset)
        for letter, at in zip(letters, places, strict=True)
    ]


def _replay_file(settings: Settings, path: Path, selection: Selection, to: Target, *, dry_run: bool) -> bool:
    """From a file, which is not changed: nothing remembers that its messages were fed in."""
    from sinks.dead_letter_replay import UnreadableFileError, read_file

    done = cut = 0
    try:
        with _database(settings) as engine:
            replayer = None if to is Target.STDOUT or dry_run else _replayer(settings, engine)
            for letters in read_file(path):
                chosen = [letter for letter in letters if _is_selected(letter, selection)]
                whole = [letter for letter in chosen if letter.is_whole and letter.code != NEVER_USABLE]
                cut += len(chosen) - len(whole)
                done += len(whole)
                if dry_run:
                    continue
                if replayer is not None:
                    _write(replayer, whole)
                    continue
                # Between the parts of a JSON text a line end is blank, and inside of them there is none.
                sys.stdout.buffer.writelines(letter.raw.replace(b"\n", b" ") + b"\n" for letter in whole)
        sys.stdout.buffer.flush()
    except OSError as error:
        fail_usage(f"{path}: {error.strerror}")
    except UnreadableFileError as error:
        fail_usage(f"{path}: {error}")
    typer.echo(f"{done} {'would be ' if dry_run else ''}fed in again", err=to is Target.STDOUT)
    if cut:
        typer.echo(f"breakwater: {cut} can't be: they are too large", err=True)
    return True


def _is_selected(letter: "KeptMessage", selection: Selection) -> bool:
    return (
        selection.code in (None, letter.code)
        and selection.source in (None, letter.source)
        and (not selection.places or letter.place in selection.places)
        and (selection.since is None or datetime.fromisoformat(letter.time) >= selection.since)
    )


def _replayer(settings: Settings, engine: sa.Engine) -> "Replayer":
    from lifecycle.registry import find_binding
    from sinks.dead_letter_replay import Replayer

    def workflow_of(version: str) -> str | None:
        try:
            with engine.connect() as connection:
                binding = find_binding(connection, version)
        except sa.exc.DBAPIError:
            # Without a registry at hand the version stands for its workflow, as the monitor has it (spec 10).
            return None
        return None if binding is None else binding.workflow_id

    return Replayer(settings.kafka, workflow_of)


def _broker_read(settings: Settings) -> "Iterator[list[KeptMessage]]":
    from sinks.dead_letter_replay import NoBrokerError, read_topic

    try:
        yield from read_topic(settings.kafka)
    except NoBrokerError as error:
        _no_broker(error)


def _no_broker(error: Exception) -> NoReturn:
    typer.echo(f"breakwater: the broker can't do it ({error}); what is not marked can be fed in again", err=True)
    raise typer.Exit(1) from None


@contextmanager
def _database(settings: Settings) -> Iterator[sa.Engine]:
    from config.database import make_engine

    engine = make_engine(settings.postgres)
    try:
        with usable(fail_usage):
            yield engine
    finally:
        engine.dispose()


def _tell(count: Count, what: str) -> None:
    typer.echo(
        f"{count.selected} selected: {what}, {count.replayed_before} were before, {count.never_usable} are too large"
    )


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.now(UTC) - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        fail_usage(f"--since: {text!r} is neither a time nor a duration")
    if time.tzinfo is None:
        fail_usage("--since: a time needs its offset, such as 2026-03-02T08:00:00Z")
    return time


def _place(text: str) -> Place:
    source, _, rest = text.rpartition("/")
    source, _, partition = source.rpartition("/")
    try:
        place = (source, int(partition), int(rest))
    except ValueError:
        fail_usage(f"{text!r} is no position: it must be topic/partition/offset")
    if not source or abs(place[1]) >= 1 << 31 or abs(place[2]) >= 1 << 63:
        fail_usage(f"{text!r} is no position: it must be topic/partition/offset")
    return place


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _row(letter: ListedDeadLetter) -> dict[str, object]:
    row = asdict(letter) | {"position": _name(letter)}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _columns(letter: ListedDeadLetter) -> Iterator[str]:
    yield f"{letter.recorded_at:%Y-%m-%dT%H:%M:%SZ}"
    yield f"{letter.code:<26}"
    yield _name(letter)
    yield f"{letter.size} bytes"
    yield letter.explanation
    if letter.replay_of is not None:
        yield f"(replay of {letter.replay_of})"
    if letter.replayed_at is not None:
        at = f"{letter.replayed_at:%Y-%m-%dT%H:%M:%SZ} by {letter.replayed_by}"
        place = f"{letter.replayed_topic}/{letter.replayed_partition}/{letter.replayed_offset}"
        yield f"(fed in again {at} as {place})"


def _name(letter: ListedDeadLetter) -> str:
    return f"{letter.source}/{letter.partition}/{letter.offset}"
