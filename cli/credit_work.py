"""What the commands of credit monitoring share: a transaction, who asks, and how they say that work failed (50.8)."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, NoReturn

import sqlalchemy as sa
import typer

from cli.database import usable
from cli.options import fail_usage
from config.settings import Settings
from lifecycle.actors import ActorContext
from lifecycle.capabilities import Role, capabilities_of
from lifecycle.credits.job_records import begin_record, end_record
from lifecycle.errors import LifecycleError
from lifecycle.kinds import CreditJob


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > _LONGEST_NAME:
        fail_usage(f"--by: must be a name of at most {_LONGEST_NAME} signs")
    return text


_LONGEST_NAME = 128

By = Annotated[str, typer.Option(help="Who does it; stands in the audit.", callback=_name)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
At = Annotated[
    str | None, typer.Option(help="Event time to look back from, as in 2026-01-31T00:00:00Z; now.", metavar="TIME")
]


def fail_work(message: str) -> NoReturn:
    """End the command with exit code 1: it was asked rightly, and did not work."""
    typer.echo(f"breakwater: {message}", err=True)
    raise typer.Exit(1)


def operator(name: str) -> ActorContext:
    """Whoever can run commands on the database is an admin of operations."""
    return ActorContext.of_user(name, "cli", capabilities_of([Role.OPS_ADMIN]))


def parse_time(option: str, text: str) -> datetime:
    """A time as it is typed, with its offset; exit 2 for another."""
    at = None
    with suppress(ValueError):
        at = datetime.fromisoformat(text)
    if at is None or at.tzinfo is None:
        fail_usage(f"{option}: must be a time with an offset, as in 2026-01-31T00:00:00Z")
    return at


@dataclass
class Recorded:
    """A job's record, while it runs."""

    #: How much it made.
    made: int | None = None


@contextmanager
def recorded(settings: Settings, job: CreditJob, by: str) -> Iterator[Recorded]:
    """Leave a job record of what runs inside: when it began and ended, who asked, and what became of it."""
    with transaction(settings) as connection:
        record_id = begin_record(connection, job, asked_by=by)
    record, error = Recorded(), None
    try:
        yield record
    except BaseException as fault:
        # An exit stands for the error that led to it.
        cause = fault.__context__ if isinstance(fault, typer.Exit) and fault.__context__ is not None else fault
        error = type(cause).__name__
        raise
    finally:
        with suppress(typer.Exit), transaction(settings) as connection:
            end_record(connection, record_id, made=record.made, error=error)


@contextmanager
def transaction(settings: Settings) -> Iterator[sa.Connection]:
    """A transaction with a snapshot; exit 1 when the database or a file is away, 2 for a refusal."""
    engine = sa.create_engine(settings.postgres.url.get_secret_value(), poolclass=sa.NullPool, hide_parameters=True)
    try:
        with (
            usable(fail_work),
            engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
            connection.begin(),
        ):
            yield connection
    except OSError as error:
        fail_work(f"{error.filename}: {error.strerror}")
    except LifecycleError as refused:
        fail_usage(refused.message)
