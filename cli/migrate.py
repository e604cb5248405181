"""`breakwater migrate`: bring the database to the schema that this version expects."""

from typing import Annotated

import typer
from sqlalchemy.exc import OperationalError

from cli.database import AWAY
from cli.options import fail_usage
from config.settings import load_settings
from lifecycle.migrate import migrate as upgrade
from lifecycle.migrate import newest_revision


def migrate(
    url: Annotated[
        str | None, typer.Option(help="Database to migrate instead of the configured one.", metavar="URL")
    ] = None,
) -> None:
    """Bring the database to the schema that this version expects."""
    try:
        upgrade(url or load_settings().postgres.url.get_secret_value())
    except OperationalError:
        # The driver's own message may quote the address.
        fail_usage(AWAY)
    typer.echo(f"at revision {newest_revision()}")
