"""`breakwater api`: the console, the ingest of run events, `/metrics` and the health checks over HTTP."""

import socket
from ipaddress import ip_address
from typing import Annotated

import structlog
import typer

from cli.options import fail_usage
from config.logs import configure_logs
from config.settings import load_settings


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = None,
    without_sign_in: Annotated[
        bool,
        typer.Option("--without-sign-in", help="Let everybody use the console who can reach it, also beyond loopback."),
    ] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="One more name that requests may be addressed to.", metavar="NAME")
    ] = None,
    only_ingest: Annotated[
        bool, typer.Option("--only-ingest", help="Serve no console, but run events and the admission gate.")
    ] = False,
) -> None:
    """Serve the console, the API, the admission gate, run events over HTTP, /metrics and the health checks."""
    import uvicorn

    from api.app import create_app, create_ingest_only_app
    from api.console.parts import ConsoleParts, SignIn
    from api.database import Database
    from api.ingest import create_ingest_app
    from api.platform.app import create_platform_app
    from api.v1.app import create_v1_app
    from api.v1.executions import ExecutionsFirst, create_executions_app
    from cli.api_parts import api_parts, blacklist_store, execution_parts
    from cli.ingest import ingest_parts
    from sinks.run_events import RunEventProducer

    settings = load_settings()
    configure_logs(settings.log_format)
    host = settings.http.host if host is None else host
    port = settings.http.port if port is None else port
    signs_in = settings.auth.is_configured and not without_sign_in
    if not is_loopback(host) and not only_ingest and not signs_in:
        if not without_sign_in:
            fail_usage(
                f"--host {host}: no key for tokens is configured (BREAKWATER_AUTH__…), so nobody could sign in, and"
                " the console listens on loopback alone; --without-sign-in lets everybody in who can reach it"
            )
        structlog.get_logger(__name__).warning("console_without_sign_in", host=host, port=port)
    database = Database(settings.postgres.url.get_secret_value(), pool_size=settings.postgres.pool_size)
    producer = RunEventProducer(settings.kafka, settings.ingest.delivery_timeout)
    parts = ingest_parts(settings, database, producer)
    listener = _listen(host, port)
    ingest = create_ingest_app(parts)
    made = api_parts(settings, database)
    blacklist = blacklist_store(settings)
    executions = create_executions_app(execution_parts(made, parts, blacklist))
    if only_ingest:
        app = create_ingest_only_app(database, ingest)
    else:
        hosts = [host, *(allow_host or ())]
        sign_in = SignIn(made.verifier, made.limits) if signs_in else None
        console = ConsoleParts(platform=made.platform, options=made.options, sign_in=sign_in)
        app = create_app(
            database,
            console,
            allowed_hosts=hosts,
            ingest=ingest,
            v1=create_v1_app(made),
            platform=create_platform_app(made),
        )
    name = f"[{host}]" if ":" in host else host
    what, path = ("ingest", "") if only_ingest else ("console", "/console")
    typer.echo(f"{what}: http://{name}:{listener.getsockname()[1]}{path}")
    served = ExecutionsFirst(app, executions)
    blacklist.start()
    uvicorn.Server(
        uvicorn.Config(served, log_level="warning", access_log=False, server_header=False, proxy_headers=False)
    ).run(sockets=[listener])
    blacklist.close()
    producer.close()


def is_loopback(host: str) -> bool:
    """True for names and addresses that no other machine can reach."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        fail_usage(f"can't listen on {host} port {port}: {error.strerror}")
