"""The web application: console, metrics, health."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.resources import files

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from api import health, metrics
from api.console import blacklist, decisions, tasks
from api.database import Database
from api.errors import add_error_handlers, refuse
from api.guard import Guard


def create_app(database: Database, *, public_url: str, allowed_hosts: Collection[str] = ()) -> FastAPI:
    """Build the application; contacts nothing. It closes `database` when it ends.

    It answers to loopback names, plain addresses, the host of `public_url` and `allowed_hosts`. There is no sign-in
    yet: whoever reaches it may read everything and claim tasks, so the caller decides who can.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = FastAPI(title="Breakwater", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.database = database
    for part in (health, metrics, tasks, decisions, blacklist):
        app.include_router(part.router)
    for path in ("/", "/console", "/console/"):
        app.add_api_route(path, _to_console, methods=["GET"])
    app.mount("/static", _Static(directory=str(files("api") / "static")))
    add_error_handlers(app)
    app.add_middleware(Guard, public_url=public_url, allowed_hosts=allowed_hosts, refuse=refuse)
    return app


def _to_console() -> RedirectResponse:
    return RedirectResponse("/console/tasks", HTTPStatus.SEE_OTHER)


class _Static(StaticFiles):
    """The style sheet and the like; a browser asks again after five minutes, and mostly hears that nothing changed."""

    def file_response(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=300"
        return response
