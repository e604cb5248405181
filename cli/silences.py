"""`breakwater silences`: what nobody is told for a while (60.5)."""

import json
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from cli.database import transaction
from cli.options import fail_usage
from config.durations import parse_duration
from config.settings import load_settings
from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.kinds import Channel, Severity, Template
from lifecycle.notice_silences import Matcher, Row, add_silence, end_silence, list_silences

silences = typer.Typer(no_args_is_help=True, add_completion=False, help="List, add and end silences of notices.")

By = Annotated[str, typer.Option(help="Who does it; stands with the silence.")]


@silences.command("list")
def list_(
    over: Annotated[bool, typer.Option("--over", help="Those that are over instead.")] = False,
) -> None:
    """Print silences, the newest first, one JSON object a line."""
    with transaction(load_settings()) as connection:
        for one in list_silences(connection, active=not over):
            _print(one)


@silences.command("add")
def add(
    reason: Annotated[str, typer.Option(help="Why, at most 500 characters.")],
    lasts: Annotated[str, typer.Option(help="How long, at most 30d.", metavar="DURATION")],
    tenant: Annotated[str | None, typer.Option(help="Notices of this tenant.")] = None,
    template: Annotated[Template | None, typer.Option(help="Notices that say this.")] = None,
    channel: Annotated[Channel | None, typer.Option(help="Notices by this channel.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="Notices of this severity.")] = None,
    by: By = "operator",
) -> None:
    """Silence notices that match all that is named; at least one thing is."""
    try:
        expires_at = datetime.now(UTC) + parse_duration(lasts)
    except (ValueError, OverflowError):
        fail_usage("--lasts is a duration such as 90s, 15m, 24h or 30d")
    with transaction(load_settings()) as connection:
        added = add_silence(
            connection,
            Matcher(tenant_id=tenant, template=template, channel=channel, severity=severity),
            reason=reason,
            expires_at=expires_at,
            actor_context=ActorContext.of_user(by, "cli"),
        )
        _print(added)


@silences.command("end")
def end(
    silence: Annotated[UUID, typer.Argument(metavar="SILENCE", help="The silence's id.")],
    by: By = "operator",
) -> None:
    """End a silence before it expires; one that is over stays as it is."""
    with transaction(load_settings()) as connection:
        _print(end_silence(connection, str(silence), actor_context=ActorContext.of_user(by, "cli")))


def _print(one: Row) -> None:
    fields = {column.name: getattr(one, column.name) for column in tables.notice_silences.c}
    typer.echo(json.dumps(fields, ensure_ascii=False, default=lambda moment: moment.isoformat()))
