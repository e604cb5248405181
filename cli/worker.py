"""`breakwater worker`: deliver what the lifecycle has put into its outbox."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer

from config.database import make_engine
from config.logs import configure_logs
from config.settings import load_settings
from lifecycle.channels import close_senders, make_senders
from lifecycle.jobs import WorkerEndedError, WorkerTiming, build_app, conninfo_of, run_worker
from lifecycle.notion.sync import make_sync
from lifecycle.options import LifecycleOptions
from lifecycle.platform import HttpPlatform
from lifecycle.storm import StormPolicy


def worker(
    events: Annotated[bool, typer.Option(help="Publish events to Kafka, and read credential events from it.")] = True,
    metrics_port: Annotated[int | None, typer.Option(help="Serve /metrics on this port.")] = None,
) -> None:
    """Send notifications, publish events, look after the queue; SIGTERM ends it when the running jobs are done."""
    settings = load_settings()
    configure_logs(settings.log_format)
    url = settings.postgres.url.get_secret_value()
    engine = make_engine(settings.postgres)
    options = LifecycleOptions.of(settings)
    publish = None
    credentials: AbstractContextManager[object] = nullcontext()
    if events:
        from cli.credential_input import CredentialInput
        from sinks.events import EventPublisher

        publish = EventPublisher(settings.kafka)
        credentials = CredentialInput(settings, engine, options)
    if metrics_port is not None:
        from prometheus_client import start_http_server

        start_http_server(metrics_port, addr=settings.http.host)
    timing = WorkerTiming(
        heartbeat=settings.worker.heartbeat,
        stalled_after=settings.worker.stalled_after,
        storm=StormPolicy(**settings.notices.model_dump()),
    )
    senders = make_senders(settings)
    platform = HttpPlatform(settings.platform)
    notion = make_sync(settings.notion, engine, options)
    app = build_app(conninfo_of(url), engine, senders, publish, timing, options, platform, notion)
    try:
        with credentials:
            asyncio.run(run_worker(app, timing, with_events=events))
    except WorkerEndedError:
        typer.echo("breakwater: the worker has lost its database", err=True)
        raise typer.Exit(1) from None
    finally:
        platform.close()
        if notion is not None:
            notion.notion.close()
        close_senders(senders)
        engine.dispose()
