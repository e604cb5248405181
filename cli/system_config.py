"""`breakwater system-config`: settings that are changed while everything runs (40.2)."""

from typing import Annotated

import typer

from cli.database import transaction
from cli.options import fail_usage
from config.settings import load_settings
from lifecycle.actors import ActorContext
from lifecycle.system_config import (
    DEFAULTS,
    ConfigKey,
    InvalidConfigError,
    change_system_config,
    good_config,
    read_versions,
)

system_config = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Read and change settings while everything runs."
)

#: Stands for "as the policies say".
UNSET = "default"


@system_config.command("get")
def get() -> None:
    """Print what is set, and since when."""
    with transaction(load_settings()) as connection:
        config, versions = good_config(connection), read_versions(connection)
    for key in ConfigKey:
        value = config[key]
        typer.echo(f"{key.value} = {f'{UNSET} ({DEFAULTS[key]})' if value is None else value}")
    if versions:
        newest = versions[-1]
        typer.echo(f"policy version {newest.version}, from {newest.effective_at.isoformat()}, by {newest.changed_by}")


@system_config.command("set")
def set_(
    key: Annotated[ConfigKey, typer.Argument(metavar="KEY", help=", ".join(ConfigKey))],
    value: Annotated[str, typer.Argument(metavar="VALUE", help=f"A whole number, or `{UNSET}`.")],
    by: Annotated[str, typer.Option(help="Who changes it; stands in the audit.")] = "operator",
) -> None:
    """Set one value: a new version of the policy, which the monitor uses from now on in event time."""
    actor = ActorContext.of_user(by, "cli")
    try:
        with transaction(load_settings()) as connection:
            made = change_system_config(
                connection, {key: None if value == UNSET else _whole(value)}, actor_context=actor
            )
    except InvalidConfigError as error:
        fail_usage(str(error))
    if made is None:
        typer.echo("nothing changes")
    else:
        typer.echo(f"policy version {made.version}, from {made.effective_at.isoformat()}")


def _whole(text: str) -> int | str:
    """The number, or the text as it is, which is refused."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else text
