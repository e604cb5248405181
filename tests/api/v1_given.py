"""The API on a world of two tenants, with tokens for everybody."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.app import create_app
from api.auth.limits import RateLimits
from api.auth.principal import EVERY_TENANT
from api.auth.tokens import TokenVerifier, mint
from api.console.parts import ConsoleParts, SignIn
from api.database import Database
from api.platform.app import create_platform_app
from api.v1.app import ApiParts, create_v1_app
from config.settings import Auth
from lifecycle.actors import MONITOR
from lifecycle.blocking import request_block_for_credentials
from lifecycle.capabilities import Role
from lifecycle.options import LifecycleOptions
from lifecycle.seed import seed
from tests.lifecycle.given import given_world
from tests.lifecycle.platform_given import Platform, client

AUTH = Auth(
    development_key=SecretStr("a key for tests, and for nothing else"),
    user_limit="1000000/minute",
    address_limit="1000000/minute",
    change_limit="1000000/minute",
)
EVERYTHING = [role.value for role in Role if role not in (Role.SERVICE, Role.PLATFORM_ADMIN)]

#: Members of tenant t1, one for each role, and one with all; `u9` is nobody's member.
MORE: dict[str, list[dict[str, Any]]] = {
    "users": [{"id": f"user-{role}", "email": f"{role}@acme.example", "display_name": role} for role in EVERYTHING],
    "memberships": [
        *({"tenant_id": "t1", "user_id": f"user-{role}", "roles": [role]} for role in EVERYTHING),
        {"tenant_id": "t1", "user_id": "u1", "roles": EVERYTHING},
    ],
    "credentials": [
        {"id": "c1", "tenant_id": "t1", "system_key": "crm", "status": "active"},
        {"id": "c2", "tenant_id": "t2", "system_key": "crm", "status": "active"},
    ],
    "automation_version_credentials": [
        {"tenant_id": "t1", "automation_version_id": "v1", "credential_id": "c1"},
        {"tenant_id": "t2", "automation_version_id": "v2", "credential_id": "c2"},
    ],
}


def token(*roles: str, subject: str | None = None, tenant_id: str = "t1", auth: Auth = AUTH) -> str:
    """A token of a member of a tenant: of the one who has just this role, unless somebody is named."""
    named = subject or (f"user-{roles[0]}" if len(roles) == 1 else "u1")
    return mint(auth, subject=named, roles=list(roles), tenant_id=tenant_id, tenants=None, lifetime=timedelta(hours=1))


def staff_token(*roles: str, tenants: list[str] | str = EVERY_TENANT, subject: str = "u9") -> str:
    """A token of somebody who works for tenants."""
    return mint(AUTH, subject=subject, roles=list(roles), tenant_id=None, tenants=tenants, lifetime=timedelta(hours=1))


def bearer(text: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {text}"}


@contextmanager
def running(
    engine: sa.Engine, *, auth: Auth = AUTH, options: LifecycleOptions | None = None, redis_url: str | None = None
) -> Iterator[tuple[TestClient, FastAPI, Platform]]:
    """The whole application, on a migrated database with the world in it."""
    given_world(engine)
    with engine.begin() as connection:
        seed(connection, MORE)
    url = engine.url.render_as_string(hide_password=False)
    database = Database(url)
    with Platform() as platform:
        platform.workflows.update({"wf1": "active", "wf2": "active"})
        parts = ApiParts(
            database=database,
            verifier=TokenVerifier(auth),
            limits=RateLimits(auth, redis_url),
            platform=client(platform),
            options=options or LifecycleOptions(public_url="http://localhost:8080"),
        )
        v1 = create_v1_app(parts)
        console = ConsoleParts(
            platform=parts.platform, options=parts.options, sign_in=SignIn(parts.verifier, parts.limits)
        )
        app = create_app(database, console, v1=v1, platform=create_platform_app(parts))
        with TestClient(app, base_url="http://localhost:8080", raise_server_exceptions=False) as http:
            yield http, v1, platform


def given_block(engine: sa.Engine, version_id: str = "v1", tenant_id: str = "t1") -> None:
    """Block a version for its CRM."""
    with engine.begin() as connection:
        request_block_for_credentials(
            connection,
            tenant_id=tenant_id,
            automation_version_id=version_id,
            actor_context=MONITOR,
            failed_systems=["crm"],
            policy_id="auth_failures",
            decision_id="00000000-0000-5000-8000-000000000001",
            options=LifecycleOptions(),
        )
