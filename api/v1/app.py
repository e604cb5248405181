"""The API as an application of its own, mounted at `/v1`."""

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from types import ModuleType

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.auth.access import Access
from api.auth.limits import RateLimits
from api.auth.tokens import RefusedTokenError, TokenVerifier
from api.database import Database
from api.refusals import refusal
from api.v1 import audit, cases, credentials, credit_classification, decisions, guard, system_config, tasks, versions
from api.v1.context import Context
from api.v1.errors import RESPONSES, NotLetInError, TooManyRequestsError, add_error_handlers
from lifecycle.options import LifecycleOptions
from lifecycle.platform import Platform

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))

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
    bearer = HTTPBearer(auto_error=False, description="A token of the identity provider, or of `breakwater token`.")

    def let_in(request: Request, _for_the_document: object = Depends(bearer)) -> None:
        """Verify the token, count the request; `request.state.context` is then what the route works with."""
        wait = parts.limits.wait_of_address(request.client.host if request.client is not None else "")
        if wait is not None:
            raise TooManyRequestsError(wait)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotLetInError("no_token")
        try:
            principal = parts.verifier.verify(token.strip())
        except RefusedTokenError as refused:
            raise NotLetInError(refused.reason) from None
        wait = parts.limits.wait_of_user(principal.subject, changes=request.method not in _SAFE)
        if wait is not None:
            raise TooManyRequestsError(wait)
        request.state.context = Context(
            access=Access(parts.database, principal), platform=parts.platform, options=parts.options
        )

    async def let_in_first(request: Request) -> None:
        if not hasattr(request.state, "context"):
            await run_in_threadpool(let_in, request)

    app = FastAPI(
        title=title,
        version="1",
        description=description,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(let_in)],
        responses=RESPONSES,
    )
    for part in routes:
        app.include_router(part.router)
    add_error_handlers(app, let_in_first)

    # Answered here, and then raised on to the outermost guard.
    app.add_exception_handler(Exception, on_fault_of_ours)
    return app


async def on_fault_of_ours(_request: Request, error: Exception) -> Response:
    """A fault of ours is logged by its type and place, without its words, and answered in the common form."""
    frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-3:]]
    _log.error("request_failed", error=type(error).__qualname__, place=frames)
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side; it is in the log.")
