"""Ask the API as somebody: with a token that the demo's own key has signed."""

from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any

import httpx2
from pydantic import SecretStr

from api.auth.principal import EVERY_TENANT
from api.auth.tokens import mint
from config.settings import Auth
from lifecycle.capabilities import Role

_LIFETIME = timedelta(minutes=1)
_TIMEOUT = timedelta(seconds=15)


@dataclass(frozen=True)
class Answer:
    """What was asked, and what the API said."""

    method: str
    path: str
    code: int
    body: dict[str, Any]


class ApiClient:
    """Use it as a context manager."""

    def __init__(self, url: str, development_key: str) -> None:
        """Contacts nothing yet."""
        self._auth = Auth(development_key=SecretStr(development_key))
        self._client = httpx2.Client(base_url=url, timeout=_TIMEOUT.total_seconds(), trust_env=False)

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        body: dict[str, str],
        *,
        subject: str,
        role: Role,
        tenant_id: str | None = None,
    ) -> Answer | None:
        """The answer; None when there was none, or one that asks to come back. Without a tenant, staff of all."""
        token = mint(
            self._auth,
            subject=subject,
            roles=[role],
            tenant_id=tenant_id,
            tenants=EVERY_TENANT if tenant_id is None else None,
            lifetime=_LIFETIME,
        )
        try:
            response = self._client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
        except httpx2.TransportError:
            return None
        if response.is_server_error:
            return None
        return Answer(method, path, response.status_code, response.json())
