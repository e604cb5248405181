"""`breakwater reconcile`: compare the bindings with the platform, and mend what differs."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cli.database import usable
from cli.options import fail_usage
from config.database import make_engine
from config.settings import load_settings
from lifecycle.intents import list_open_intents
from lifecycle.platform import HttpPlatform
from lifecycle.reconcile import Difference
from lifecycle.reconcile import reconcile as compare


def reconcile(
    apply: Annotated[bool, typer.Option("--apply", help="Make the platform what the bindings say.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Report every workflow whose state on the platform is not what its binding says; exit 1 while any differs."""
    settings = load_settings()
    engine = make_engine(settings.postgres)
    platform = HttpPlatform(settings.platform)
    differs = 0
    try:
        with usable(fail_usage):
            for difference in compare(engine.begin, platform, apply=apply):
                differs += not difference.restored
                typer.echo(json.dumps(asdict(difference)) if as_json else _in_words(difference))
            with engine.connect() as connection:
                waiting = len(list_open_intents(connection))
    finally:
        platform.close()
        engine.dispose()
    if not as_json:
        typer.echo(f"{differs} differ; {waiting} questions to the platform are not settled yet")
    raise typer.Exit(1 if differs else 0)


def _in_words(difference: Difference) -> str:
    whose = f"{difference.tenant_id} {difference.workflow_id}"
    if difference.fault is not None:
        return f"{whose}: must be {difference.wanted}; the platform does not say or do it ({difference.fault})"
    found = difference.found or "unknown to the platform"
    return f"{whose}: must be {difference.wanted}, is {found}{'; restored' if difference.restored else ''}"
