"""What a route works with, once somebody was let in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
from fastapi import Depends, Path, Request
from pydantic import AfterValidator

from api.auth.access import Access
from lifecycle.options import LifecycleOptions
from lifecycle.platform import Platform
from lifecycle.results import Transact


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, and the parts of the application."""

    access: Access
    platform: Platform
    options: LifecycleOptions

    def transact(self, tenant_id: str) -> Transact:
        """Transactions in one tenant, for operations of several."""

        @contextmanager
        def begin() -> Iterator[sa.Connection]:
            with self.access.write(tenant_id) as connection:
                yield connection

        return begin


async def _of_request(request: Request) -> Context:  # on the loop: it waits for nothing
    context = request.state.context
    assert isinstance(context, Context)
    return context


#: A route's parameter.
ContextOfRequest = Annotated[Context, Depends(_of_request)]


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
