"""The API as an application of its own, mounted at `/v1`."""

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from types import ModuleType

import structlog
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.auth.entrance import Entrance
from api.auth.limits import RateLimits
from api.auth.tokens import TokenVerifier
from api.database import Database
from api.refusals import refusal
from api.v1 import audit, cases, credentials, credit_classification, decisions, guard, system_config, tasks, versions
from api.v1.context import Parts, context_of
from api.v1.entered import EnteredRoute
from api.v1.errors import add_error_handlers
from lifecycle.options import LifecycleOptions
from lifecycle.platform import Platform

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ApiParts:
    """What the API is made of."""

    database: Database
    verifier: TokenVerifier
    limits: RateLimits
    platform: Platform
    options: LifecycleOptions


def create_v1_app(parts: ApiParts) -> FastAPI:
    """Build the application; contacts nothing."""
    return create_token_app(
        parts,
        (versions, tasks, credentials, cases, credit_classification, guard, decisions, audit, system_config),
        title="Breakwater",
        description="Automation versions, their tasks and credentials, and the guard that watches automatic stops.",
    )


def create_token_app(parts: ApiParts, routes: Iterable[ModuleType], *, title: str, description: str) -> FastAPI:
    """Build an application that asks for tokens, and answers every refusal in the common form."""

    async def let_in_first(request: Request) -> None:
        context = await context_of(request)
        await run_in_threadpool(context.let_in)

    app = FastAPI(
        title=title,
        version="1",
        description=description,
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = Parts(Entrance(parts.verifier, parts.limits), parts.database, parts.platform, parts.options)
    for part in routes:
        if not all(isinstance(route, EnteredRoute) for route in part.router.routes):
            raise TypeError(f"{part.__name__} has a route that anybody could use")
        # Not by `include_router`, which looks for a route twice in each request.
        app.router.routes.extend(part.router.routes)
    add_error_handlers(app, let_in_first)

    # Answered here, and then raised on to the outermost guard.
    app.add_exception_handler(Exception, on_fault_of_ours)
    return app


async def on_fault_of_ours(_request: Request, error: Exception) -> Response:
    """A fault of ours is logged by its type and place, without its words, and answered in the common form."""
    frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-3:]]
    _log.error("request_failed", error=type(error).__qualname__, place=frames)
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side; it is in the log.")
