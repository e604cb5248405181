"""`breakwater seed`: fill the registry's tables from a file."""

import json
from pathlib import Path
from typing import Annotated

import psycopg
import sqlalchemy as sa
import typer
from sqlalchemy.exc import DBAPIError

from cli.database import usable
from cli.options import fail_usage
from config.settings import load_settings
from lifecycle.seed import UnusableSeedError, parse_document
from lifecycle.seed import seed as fill


def seed(
    file: Annotated[Path, typer.Argument(help="JSON: table names to lists of rows.", metavar="FILE")],
) -> None:
    """Insert the tenants, automations and workflows of a file that are not there yet; all of them or none."""
    try:
        document = parse_document(json.loads(file.read_bytes()))
    except OSError as error:
        fail_usage(f"{file}: {error.strerror}")
    except UnusableSeedError as error:
        fail_usage(f"{file}: {error}")
    except ValueError:
        fail_usage(f"{file}: no JSON text")
    engine = sa.create_engine(load_settings().postgres.url.get_secret_value(), poolclass=sa.NullPool)
    try:
        with usable(fail_usage), engine.begin() as connection:
            added = fill(connection, document)
    except UnusableSeedError as error:
        fail_usage(f"{file}: {error}")
    except DBAPIError as error:
        fail_usage(f"{file}: {_refusal(error)}")
    for table, count in added.items():
        if count:
            typer.echo(f"{table}: {count} added")


def _refusal(error: DBAPIError) -> str:
    """The database's sentence, in which a constraint names its rule; never the values of the row."""
    return (error.orig.diag.message_primary if isinstance(error.orig, psycopg.Error) else None) or "not stored"
