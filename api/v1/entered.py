"""Routes behind the entrance."""

from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from functools import wraps
from inspect import signature
from typing import Any, get_type_hints

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.v1.context import RowId, context_of
from api.v1.errors import RESPONSES

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def entered_router(*, tags: list[str | Enum], prefix: str = "") -> APIRouter:
    """A router that lets in before it works, and says so in the OpenAPI document."""
    return APIRouter(
        prefix=prefix, tags=tags, route_class=EnteredRoute, dependencies=[Depends(_BEARER)], responses=RESPONSES
    )


class EnteredRoute(APIRoute):
    """A route whose function is called once somebody was let in. It has a parameter `context`.

    Letting in, the function and the writing of its answer share one hop to a thread: each hop takes longer than any of
    the three. What asks for ids of the path alone does without FastAPI's search for values, which takes as long again.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **rest: Any) -> None:
        super().__init__(path, _entered(endpoint, rest.get("status_code")), **rest)

    def get_route_handler(self) -> Handler:
        """FastAPI's hook: what answers a request of this route."""
        return _handler_of_ids(self.endpoint) or super().get_route_handler()


def _entered(endpoint: Callable[..., Any], status: int | None) -> Callable[..., Any]:
    if "context" not in signature(endpoint).parameters:
        raise TypeError(f"{endpoint.__qualname__} has no context")

    @wraps(endpoint)
    def call(**values: Any) -> Any:
        values["context"].let_in()
        result = endpoint(**values)
        if not isinstance(result, BaseModel):
            return result
        # What the function has set of the answer itself.
        own: Response | None = values.get("response")
        answer = Response(
            result.__pydantic_serializer__.to_json(result, by_alias=True),
            (own.status_code if own is not None else None) or status or 200,
            media_type="application/json",
        )
        if own is not None:
            answer.raw_headers.extend(own.raw_headers)
        return answer

    return call


def _handler_of_ids(call: Callable[..., Any]) -> Handler | None:
    """What answers for a function that takes ids of the path, and gives a form; None for any other."""
    hints = get_type_hints(call, include_extras=True)
    answer = hints.pop("return")
    ids = [name for name in hints if name not in ("context", "response")]
    if not all(hints[name] == RowId for name in ids) or not issubclass(answer, BaseModel):
        return None

    async def handle(request: Request) -> Response:
        values: dict[str, Any] = {name: _read_id(name, request.path_params) for name in ids}
        values["context"] = await context_of(request)
        if "response" in hints:
            values["response"] = _empty_response()
        response = await run_in_threadpool(call, **values)
        assert isinstance(response, Response)
        return response

    return handle


def _read_id(name: str, path: Mapping[str, str]) -> str:
    try:
        return _ID.validate_python(path[name])
    except ValidationError as fault:
        faults = [{**one, "loc": ("path", name)} for one in fault.errors(include_url=False)]
        raise RequestValidationError(faults) from None


def _empty_response() -> Response:
    """For what a function sets of its answer; without a status, as FastAPI's own."""
    response = Response()
    response.raw_headers.clear()
    response.status_code = None  # type: ignore[assignment]
    return response


_ID: TypeAdapter[str] = TypeAdapter(RowId)


class _Bearer(HTTPBearer):
    """Says in the OpenAPI document how to come in; `EnteredRoute` lets in."""

    def __init__(self) -> None:
        description = "A token of the identity provider, or of `breakwater token`."
        super().__init__(auto_error=False, scheme_name="HTTPBearer", description=description)

    async def __call__(self, request: HTTPConnection) -> None:
        """Ask nothing."""


_BEARER = _Bearer()
