"""The command `breakwater`."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def breakwater() -> None:
    """Watch automation runs; stop what has failed; say why."""


def main() -> None:
    """Run the command line."""
    app()
