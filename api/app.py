"""The web application: console, ingest of run events, metrics, health."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.resources import files
from types import ModuleType

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from api import health, metrics
from api.console import automations, blacklist, cases, classification, decisions, guard, sign_in, tasks
from api.console import credits as console_credits
from api.console import health as console_health
from api.console import spending as console_spending
from api.console.parts import ConsoleParts
from api.database import Database
from api.errors import add_error_handlers, refuse
from api.guard import Guard
from api.ingest import IngestFirst


def create_app(
    database: Database,
    console: ConsoleParts,
    *,
    allowed_hosts: Collection[str] = (),
    ingest: ASGIApp | None = None,
    v1: ASGIApp | None = None,
    platform: ASGIApp | None = None,
) -> FastAPI:
    """Build the application; contacts nothing. It closes `database` when it ends.

    `ingest` takes in run events; `v1` is the public API (`v1.app.create_v1_app`), `platform` what its admins alone may
    use (`platform.app.create_platform_app`); both ask for tokens.

    It answers to loopback names, plain addresses, the host of the public address and `allowed_hosts`. Where `console`
    has no sign-in, whoever reaches it may do everything, so the caller decides who can.
    """
    app = _application(
        database,
        health,
        metrics,
        sign_in,
        tasks,
        automations,
        decisions,
        blacklist,
        cases,
        console_credits,
        console_spending,
        classification,
        guard,
        console_health,
    )
    app.state.console = console
    for path in ("/", "/console", "/console/"):
        app.add_api_route(path, _to_console, methods=["GET"])
    app.mount("/static", _Static(directory=str(files("api") / "static")))
    apis = {prefix: api for prefix, api in (("/v1", v1), ("/api/platform", platform)) if api is not None}
    app.add_middleware(ApisFirst, apis=apis)
    app.add_middleware(Guard, public_url=console.options.public_url, allowed_hosts=allowed_hosts, refuse=refuse)
    if ingest is not None:
        app.add_middleware(IngestFirst, ingest=ingest)
    return app


def create_ingest_only_app(database: Database, ingest: ASGIApp) -> FastAPI:
    """Build the application without a console: all that it takes in is authenticated, the rest says how it fares."""
    app = _application(database, health, metrics)
    app.add_middleware(IngestFirst, ingest=ingest)
    return app


def _application(database: Database, *parts: ModuleType) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = FastAPI(title="Breakwater", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.database = database
    for part in parts:
        app.include_router(part.router)
    add_error_handlers(app)
    return app


def _to_console() -> RedirectResponse:
    return RedirectResponse("/console/tasks", HTTPStatus.SEE_OTHER)


class ApisFirst:
    """ASGI middleware: hands each API its paths, before any page is looked for."""

    def __init__(self, app: ASGIApp, apis: Mapping[str, ASGIApp]) -> None:
        """`apis` by the prefix of their paths, without a slash at its end."""
        self._app = app
        self._apis = [(prefix, f"{prefix}/", api) for prefix, api in apis.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on to one of them."""
        if scope["type"] == "http":
            for prefix, beginning, api in self._apis:
                if scope["path"].startswith(beginning):
                    scope["root_path"] = scope.get("root_path", "") + prefix
                    await api(scope, receive, send)
                    return
        await self._app(scope, receive, send)


class _Static(StaticFiles):
    """The style sheet and the like; a browser asks again after five minutes, and mostly hears that nothing changed."""

    def file_response(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=300"
        return response
