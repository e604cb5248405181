"""What a route works with, once somebody was let in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
from fastapi import Depends, Path, Request
from pydantic import AfterValidator

from api.auth.access import Access
from api.auth.entrance import Entrance
from api.database import Database
from lifecycle.options import LifecycleOptions
from lifecycle.platform import Platform
from lifecycle.results import Transact

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class Parts:
    """What an application's routes share."""

    entrance: Entrance
    database: Database
    platform: Platform
    options: LifecycleOptions


class Context:
    """Who asks, and the parts of the application. Nobody asks before `let_in`."""

    __slots__ = ("_access", "_parts", "_request")

    def __init__(self, parts: Parts, request: Request) -> None:
        self._parts = parts
        self._request = request
        self._access: Access | None = None

    def let_in(self) -> None:
        """Verify the token and count the request, once. `NotLetInError`, `TooManyRequestsError`; takes a round trip."""
        if self._access is not None:
            return
        request = self._request
        principal = self._parts.entrance.let_in(
            request.headers.get("authorization", ""),
            request.client.host if request.client is not None else "",
            changes=request.method not in _SAFE,
        )
        self._access = Access(self._parts.database, principal)

    @property
    def access(self) -> Access:
        """What the one who asks may do with the database."""
        if self._access is None:
            raise RuntimeError("nobody was let in")
        return self._access

    @property
    def platform(self) -> Platform:
        """The platform that runs the workflows."""
        return self._parts.platform

    @property
    def options(self) -> LifecycleOptions:
        """What the lifecycle is told from outside."""
        return self._parts.options

    def transact(self, tenant_id: str) -> Transact:
        """Transactions in one tenant, for operations of several."""

        @contextmanager
        def begin() -> Iterator[sa.Connection]:
            with self.access.write(tenant_id) as connection:
                yield connection

        return begin


async def context_of(request: Request) -> Context:  # on the loop: it waits for nothing
    """The context of a request, the same each time."""
    state = request.state
    if not hasattr(state, "context"):
        state.context = Context(request.app.state.parts, request)
    context = state.context
    assert isinstance(context, Context)
    return context


#: A route's parameter.
ContextOfRequest = Annotated[Context, Depends(context_of)]


def findable(row_id: str) -> str:
    """An id that something could have; what nothing can be called becomes one that nothing has."""
    return row_id if _is_storable(row_id) else "-"


def storable_or_nothing(value: str | None) -> str | None:
    """A filter's value; one that nothing can have finds nothing."""
    return value if value is None or _is_storable(value) else ""


def _is_storable(value: str) -> bool:
    return "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


#: An id in an address. One that nothing can be called is not found, like any other that does not exist.
RowId = Annotated[str, Path(min_length=1, max_length=128), AfterValidator(findable)]
