"""From a bearer token to who asks: signature, issuer, audience, times, claims (30.7)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from api.auth.keys import JwksKeys
from api.auth.principal import EVERY_TENANT, Principal
from config.settings import Auth
from lifecycle.capabilities import Role

#: Customers' API keys are never tried as anything else.
API_KEY = "wrk_api_"
SERVICE = "service:"

_MOST = 128
_REQUIRED = ["exp", "iat", "iss", "aud", "sub"]


class RefusedTokenError(Exception):
    """A token that lets nobody in. `reason` is one word of ours, for the log: the one who guesses is not told."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnusableKeyError(Exception):
    """`public_key` is no key; the message does not hold it."""


class TokenVerifier:
    """Verifies tokens by the keys of the settings; without any of them nobody is let in."""

    def __init__(self, settings: Auth) -> None:
        """Contact nothing yet; `UnusableKeyError` for a key that is none."""
        self._settings = settings
        self._jwks = (
            None
            if settings.jwks_url is None
            else JwksKeys(settings.jwks_url, lifetime=settings.key_lifetime, pause=settings.key_fetch_pause)
        )
        self._public_key = None if settings.public_key is None else _public_key(settings.public_key.get_secret_value())

    def verify(self, token: str) -> Principal:
        """Who asks; `RefusedTokenError` for everything else. Takes a signature check, and now and then a fetch."""
        if token.startswith(API_KEY):
            raise RefusedTokenError("api_key")
        settings = self._settings
        try:
            key, algorithm = self._key(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway,
                options={"require": _REQUIRED},
            )
        except (jwt.PyJWTError, ValueError) as error:
            raise RefusedTokenError(type(error).__name__) from None
        return read_claims(claims)

    def _key(self, header: Mapping[str, Any]) -> tuple[Any, str]:
        """The key that the header asks for, with the one algorithm that it may be used with."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and self._settings.development_key is not None:
            return self._settings.development_key.get_secret_value(), "HS256"
        if self._jwks is not None and isinstance(kid, str) and (found := self._jwks.find(kid)) is not None:
            return found.key, found.algorithm_name
        if self._public_key is not None and algorithm == self._public_key[1]:
            return self._public_key
        raise RefusedTokenError("no_key")


def read_claims(claims: Mapping[str, Any]) -> Principal:
    """Who the verified claims tell of; `RefusedTokenError` for claims that tell of nobody."""
    subject = _text(claims.get("sub"))
    roles = _texts(claims.get("roles", []))
    is_service = subject.startswith(SERVICE)
    if is_service:
        roles = roles | {Role.SERVICE.value}
    else:
        roles -= {Role.SERVICE.value}
    if "tenants" in claims:
        named = claims["tenants"]
        tenants = EVERY_TENANT if named == EVERY_TENANT else _texts(named)
        if not tenants:
            raise RefusedTokenError("no_tenants")
        return Principal(subject=subject, roles=roles, tenants=tenants, is_service=is_service)
    return Principal(subject=subject, roles=roles, tenant_id=_text(claims.get("tenant_id")), is_service=is_service)


def mint(
    settings: Auth,
    *,
    subject: str,
    roles: list[str],
    tenant_id: str | None,
    tenants: list[str] | str | None,
    lifetime: timedelta,
    now: datetime | None = None,
) -> str:
    """A development token; `RefusedTokenError` without a development key."""
    if settings.development_key is None:
        raise RefusedTokenError("no_development_key")
    now = now or datetime.now(UTC)
    claims: dict[str, Any] = {
        "sub": subject,
        "roles": roles,
        "iss": settings.issuer,
        "aud": settings.audience,
        "iat": now,
        "exp": now + lifetime,
        **({"tenant_id": tenant_id} if tenants is None else {"tenants": tenants}),
    }
    return jwt.encode(claims, settings.development_key.get_secret_value(), algorithm="HS256")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _MOST or not value.isprintable():
        raise RefusedTokenError("malformed_claims")
    return value


def _texts(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or len(value) > _MOST:
        raise RefusedTokenError("malformed_claims")
    return frozenset(_text(one) for one in value)


def _public_key(pem: str) -> tuple[Any, str]:
    for algorithm in ("RS256", "ES256"):
        try:
            return jwt.get_algorithm_by_name(algorithm).prepare_key(pem), algorithm
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
    raise UnusableKeyError("no public key for RS256 or ES256")
