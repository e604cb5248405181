"""`breakwater token`: a token for development, signed with the development key."""

from datetime import timedelta
from typing import Annotated

import typer

from cli.options import fail_usage
from config.durations import parse_duration
from config.settings import load_settings
from lifecycle.capabilities import Role


def token(
    role: Annotated[list[Role], typer.Option(help="What the holder is; may be given several times.")],
    tenant: Annotated[
        list[str] | None, typer.Option(help="The holder's tenant; with --staff, those they work for.")
    ] = None,
    staff: Annotated[
        bool, typer.Option("--staff", help="Belongs to no tenant; without --tenant works for all.")
    ] = False,
    subject: Annotated[str, typer.Option(help="Who the holder is: a user id, or service:<name>.")] = "developer",
    expires: Annotated[str, typer.Option(help="How long it is good.", metavar="DURATION")] = "8h",
) -> None:
    """Print a token for the API and the console; needs BREAKWATER_AUTH__DEVELOPMENT_KEY."""
    from api.auth.principal import EVERY_TENANT
    from api.auth.tokens import RefusedTokenError, mint

    try:
        lifetime = parse_duration(expires)
    except ValueError as error:
        fail_usage(f"--expires: {error}")
    assert isinstance(lifetime, timedelta)
    if not staff and len(tenant or ()) != 1:
        fail_usage("--tenant: one tenant, or --staff")
    try:
        typer.echo(
            mint(
                load_settings().auth,
                subject=subject,
                roles=[one.value for one in role],
                tenant_id=None if staff else (tenant or [""])[0],
                tenants=(tenant or EVERY_TENANT) if staff else None,
                lifetime=lifetime,
            )
        )
    except RefusedTokenError:
        fail_usage("BREAKWATER_AUTH__DEVELOPMENT_KEY is not set; tokens for production come from the identity provider")
