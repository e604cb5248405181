"""Routes behind the entrance."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response


class EnteredRoute(APIRoute):
    """A route whose function is called once somebody was let in. It has a parameter `context`.

    Letting in, the function and the writing of its answer share one hop to a thread: each hop takes longer than any of
    the three.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **rest: Any) -> None:
        super().__init__(path, _entered(endpoint, rest.get("status_code")), **rest)


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
