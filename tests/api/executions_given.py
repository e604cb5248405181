"""The admission gate over HTTP, on a world with a workflow in every state that it tells apart."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette

from api.auth.limits import RateLimits
from api.auth.principal import EVERY_TENANT
from api.auth.tokens import TokenVerifier, mint
from api.database import Database
from api.ingest import NotAcknowledgedError, Publish
from api.v1.execution_gate import ExecutionParts
from api.v1.executions import ExecutionsFirst, create_executions_app
from config.settings import Auth
from lifecycle.breaker.blacklist_store import BlacklistStore
from tests.api.v1_given import AUTH, bearer

SKEW = timedelta(minutes=5)


class Log:
    """The log of events, as the gate writes it."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.is_away = False

    async def publish(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Take records, all or none."""
        if self.is_away:
            raise NotAcknowledgedError
        self.records += records


def service(tenants: list[str] | str = EVERY_TENANT, *, auth: Auth = AUTH) -> dict[str, str]:
    """The header of a service that acts for these tenants."""
    return bearer(
        mint(
            auth,
            subject="service:scheduler",
            roles=[],
            tenant_id=None,
            tenants=tenants,
            lifetime=timedelta(hours=1),
        )
    )


def executions_app(
    database_url: str, publish: Publish, *, auth: Auth = AUTH, blacklist: BlacklistStore | None = None
) -> FastAPI:
    """The gate's application."""
    return create_executions_app(
        ExecutionParts(
            database=Database(database_url),
            verifier=TokenVerifier(auth),
            limits=RateLimits(auth, None),
            publish=publish,
            max_future_skew=SKEW,
            blacklist=blacklist,
        )
    )


@contextmanager
def gate(
    engine: sa.Engine, log: Log, *, auth: Auth = AUTH, blacklist: BlacklistStore | None = None
) -> Iterator[TestClient]:
    """Somebody who asks."""
    url = engine.url.render_as_string(hide_password=False)
    app = ExecutionsFirst(Starlette(), executions_app(url, log.publish, auth=auth, blacklist=blacklist))
    # One loop for all requests, as a server has.
    with TestClient(app, raise_server_exceptions=False) as http:
        yield http
