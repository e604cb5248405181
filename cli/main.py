"""The command `breakwater`.

A command's module is imported when the command is asked for: `detect` on a small file should not wait for web
frameworks, nor need a database driver.
"""

import sys
from importlib import import_module

import typer
from typer.core import DEFAULT_MARKUP_MODE, TyperCommand, TyperGroup

#: Command -> module; the function has the command's name, dashes for underscores.
COMMANDS = {
    "detect": "cli.detect",
    "classify": "cli.classify",
    "run": "cli.run",
    "demo": "cli.demo.command",
    "api": "cli.api",
    "worker": "cli.worker",
    "bridge": "cli.bridge",
    "gate": "cli.gate",
    "gate-audit": "cli.gate_audit",
    "migrate": "cli.migrate",
    "seed": "cli.seed",
    "init-topics": "cli.init_topics",
    "schema": "cli.schema",
    "dead-letters": "cli.dead_letters",
    "reconcile": "cli.reconcile",
    "token": "cli.token",
    "system-config": "cli.system_config",
    "blacklist": "cli.blacklist",
    "silences": "cli.silences",
    "log": "cli.log",
    "weekly-review": "cli.weekly_review",
    "update-baselines": "cli.update_baselines",
    "baselines": "cli.baselines",
    "ledger": "cli.ledger",
    "notion": "cli.notion",
}

#: Those with options too long for a table on a terminal of 80 columns.
_PLAIN_HELP = frozenset({"log"})


class _LazyGroup(TyperGroup):
    """Knows its commands by name, and imports one to run it."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # noqa: ARG002  (click's signature)
        """All names, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | TyperGroup | None:  # type: ignore[override]  # noqa: ARG002
        """Import and build one command, or a group of them."""
        if cmd_name not in COMMANDS:
            return None
        found = getattr(import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        if isinstance(found, typer.Typer):
            group = typer.main.get_command(found)
            assert isinstance(group, TyperGroup)
            group.name = cmd_name
            return group
        single = typer.Typer(
            add_completion=False,
            pretty_exceptions_enable=False,
            rich_markup_mode=None if cmd_name in _PLAIN_HELP else DEFAULT_MARKUP_MODE,
        )
        single.command(cmd_name)(found)
        command = typer.main.get_command(single)
        assert isinstance(command, TyperCommand)
        return command


app = typer.Typer(cls=_LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def breakwater() -> None:
    """Watch automation runs; stop what has failed; say why."""


def main() -> None:
    """Run the command line; a setting that can't be used ends it with code 2 and is named."""
    try:
        app()
    except Exception as error:
        if "pydantic" not in sys.modules or not _say_faults(error):
            raise
        sys.exit(2)


def _say_faults(error: Exception) -> bool:
    """Name the settings that a validation error is about, without their values."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError) or error.title != "Settings":
        return False
    for fault in error.errors(include_input=False, include_url=False):
        place = [_variable_of(fault["loc"])] if fault["loc"] else []
        typer.echo(f"breakwater: {': '.join([*place, fault['msg'].removeprefix('Value error, ')])}", err=True)
    return True


def _variable_of(place: tuple[int | str, ...]) -> str:
    """The environment's name for a setting; some have one of their own, without the prefix."""
    from config.settings import Settings

    first = str(place[0]).upper()
    known = {field.validation_alias for field in Settings.model_fields.values()}
    return first if first in known else "BREAKWATER_" + "__".join(str(part).upper() for part in place)
