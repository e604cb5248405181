"""Who looks at a page: somebody who signed in, or, without sign-in, whoever is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
import structlog
from fastapi import Depends, Request

from api.auth.access import Access
from api.auth.entrance import TooManyRequestsError
from api.auth.principal import EVERY_TENANT
from api.auth.tokens import RefusedTokenError
from api.console import operator, session
from api.console.open_access import OpenAccess
from api.console.parts import ConsoleParts, SignIn
from api.database import Database
from lifecycle.capabilities import Capability
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.results import Transact

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))

_log = structlog.get_logger(__name__)


class NotSignedInError(Exception):
    """There is no session, or it has ended."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody at the console, and what they may do with the database."""

    access: Access
    #: As pages show it; None for somebody who has not said it.
    name: str | None
    signed_in: bool

    @property
    def user_id(self) -> str:
        """What rows call them."""
        return self.access.principal.subject

    @property
    def sees_every_tenant(self) -> bool:
        """Whether the platform's own rows are theirs to see."""
        return self.access.principal.tenants == EVERY_TENANT

    @property
    def sees_several_tenants(self) -> bool:
        """Whether lists may show rows of more than one."""
        tenants = self.access.principal.tenants
        return tenants == EVERY_TENANT or len(tenants) > 1

    def may(self, capability: Capability) -> bool:
        """Whether their roles allow it."""
        return capability in self.access.principal.capabilities

    def transact(self, tenant_id: str) -> Transact:
        """Transactions in one tenant, for operations of several."""

        @contextmanager
        def begin() -> Iterator[sa.Connection]:
            with self.access.write(tenant_id) as connection:
                yield connection

        return begin


def parts_of(request: Request) -> ConsoleParts:
    """The application's console."""
    parts = request.app.state.console
    assert isinstance(parts, ConsoleParts)
    return parts


def let_in(sign_in: SignIn, database: Database, token: str) -> Visitor:
    """Who a token is of; `RefusedTokenError` for one that lets nobody into the console."""
    if len(token) > session.MAX_TOKEN:
        raise RefusedTokenError("too_long_for_a_cookie")
    principal = sign_in.verifier.verify(token)
    if principal.is_service:
        raise RefusedTokenError("service")
    return Visitor(Access(database, principal, "console"), principal.subject, signed_in=True)


def open_visitor(database: Database, name: str | None) -> Visitor:
    """Whoever is there, by the name that they gave themselves."""
    return Visitor(OpenAccess(database, operator.user_id(name or "")), name, signed_in=False)


def _visitor_of(request: Request) -> Visitor:
    parts, database = parts_of(request), request.app.state.database
    if parts.sign_in is None:
        visitor = open_visitor(database, operator.name_of(request))
    else:
        token = session.token_of(request)
        if not token:
            raise NotSignedInError
        try:
            visitor = let_in(parts.sign_in, database, token)
        except RefusedTokenError as refused:
            _log.info("not_let_in", reason=refused.reason)
            raise NotSignedInError from None
        wait = parts.sign_in.limits.wait_of_user(visitor.user_id, changes=request.method not in _SAFE)
        if wait is not None:
            raise TooManyRequestsError(wait)
        if not visitor.may(Capability.READ):
            raise LifecycleError(ErrorCode.FORBIDDEN, "Your roles show you nothing here.")
    request.state.visitor = visitor
    return visitor


#: A route's parameter: who asks, let in.
VisitorOfRequest = Annotated[Visitor, Depends(_visitor_of)]
