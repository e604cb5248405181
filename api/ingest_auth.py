"""Who sends run events, and for which tenants (spec 10, Other inputs; 30.7).

A sender signs, with a secret of its own: `X-WRK-Sender` names it, and `X-WRK-Signature: t=<unix>,v1=<hex>` is the
HMAC-SHA256 of the raw body. Its tenant is the one that is configured for it. Or it has a service token: a JWT with
`exp`, our `aud`, the tenants that it may write for in `tenants` (or the one in `tenant_id`), and the scope `ingest`.

`t` keeps out what was held up on its way. It is part of what is signed only where the sender is configured so, and a
request that is sent again in time passes; that changes nothing, since its events have the same ids.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

import jwt

from config.settings import Ingest, Sender

SCOPE = "ingest"
SENDER_HEADER = "x-wrk-sender"
SIGNATURE_HEADER = "x-wrk-signature"

#: Customers' API keys are never tried as anything else (30.7).
_API_KEY = "wrk_api_"
_SHORTEST_HMAC_KEY = 32
#: More signatures than secrets can be in use at once are nobody's.
_MOST_SIGNATURES = 8
_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


class RefusedError(Exception):
    """A request is not let in. Raised here, answered by `api.ingest`; the message holds nothing of what was sent."""

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        #: One word, for the log.
        self.reason = reason
        self.message = message


class MisconfiguredKeyError(Exception):
    """`token_key` is no key for `token_algorithm`; the message does not hold it."""


class Identity(NamedTuple):
    """Who sends."""

    name: str
    #: Those that it may write for; never empty.
    tenants: frozenset[str]


class Signature(NamedTuple):
    """What a signed request says before its body is read."""

    name: str
    sender: Sender
    time: str
    digests: list[bytes]


class Gate:
    """Lets senders in. Nothing of a body is read for one who can't be let in anyway."""

    def __init__(self, settings: Ingest) -> None:
        """`MisconfiguredKeyError` when the key can't be one."""
        self._settings = settings
        self._key = None if settings.token_key is None else _prepared(settings)

    def before_body(self, headers: Mapping[str, str], now: float) -> Identity | Signature:
        """Judge the headers, by names in lower case; `now` in Unix seconds. `RefusedError` with 401 or 403.

        A signature is to be checked with `after_body`.
        """
        authorization, signature = headers.get("authorization"), headers.get(SIGNATURE_HEADER)
        if authorization is not None and signature is not None:
            raise _unauthorized("two_credentials", "Send a token or a signature, not both.")
        if signature is not None:
            return self._signature(headers.get(SENDER_HEADER, ""), signature, now)
        if authorization is not None:
            return self._token(authorization)
        raise _unauthorized("no_credentials", "Sign the body, or send a service token.")

    def after_body(self, signature: Signature, body: bytes) -> Identity:
        """Check a signature. `RefusedError` with 401. Takes the same time whichever byte differs."""
        sender = signature.sender
        signed = body if sender.signs == "body" else signature.time.encode() + b"." + body
        is_right = False
        for secret in sender.secrets:
            expected = hmac.digest(secret.get_secret_value().encode(), signed, hashlib.sha256)
            for digest in signature.digests:
                is_right |= hmac.compare_digest(expected, digest)
        if not is_right:
            raise _unauthorized("wrong_signature", "The signature is not the one of this body by this sender.")
        return Identity(signature.name, frozenset([sender.tenant_id]))

    def _signature(self, name: str, header: str, now: float) -> Signature:
        times: list[str] = []
        digests: list[bytes] = []
        for part in header.split(","):
            key, _, value = part.strip().partition("=")
            if key == "t" and _TIME.fullmatch(value):
                times.append(value)
            elif key == "v1" and _HEX.fullmatch(value):
                digests.append(bytes.fromhex(value))
            elif key in ("t", "v1"):
                raise _unauthorized("malformed_signature", "The signature is malformed: t=<unix>,v1=<hex>.")
        if len(times) != 1 or not 1 <= len(digests) <= _MOST_SIGNATURES:
            raise _unauthorized("malformed_signature", "The signature is malformed: t=<unix>,v1=<hex>.")
        if timedelta(seconds=abs(now - int(times[0]))) > self._settings.signature_window:
            raise _unauthorized("stale_signature", "The time of the signature is too far from ours.")
        sender = self._settings.senders.get(name)
        if sender is None:
            raise _unauthorized("unknown_sender", "The signature is not the one of this body by this sender.")
        return Signature(name, sender, times[0], digests)

    def _token(self, authorization: str) -> Identity:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or token.startswith(_API_KEY) or self._key is None:
            raise _unauthorized("no_token", "This is no service token.")
        settings = self._settings
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[settings.token_algorithm],
                audience=settings.token_audience,
                issuer=settings.token_issuer,
                options={"require": ["exp", "aud"]},
            )
        except jwt.PyJWTError as error:
            # Which check failed is for the log: a sender that guesses should not learn how near it came.
            raise _unauthorized(type(error).__name__, "The token is not valid here, or not any more.") from None
        scope = claims.get("scope")
        if not isinstance(scope, str) or SCOPE not in scope.split():
            raise RefusedError(HTTPStatus.FORBIDDEN, "no_scope", f"The token lacks the scope {SCOPE}.")
        tenants = claims.get("tenants", [claims.get("tenant_id")])
        if not isinstance(tenants, list) or not tenants or not all(isinstance(one, str) and one for one in tenants):
            raise RefusedError(HTTPStatus.FORBIDDEN, "no_tenants", "The token names no tenant to write for.")
        subject = claims.get("sub")
        return Identity(subject if isinstance(subject, str) else "token", frozenset(tenants))


def _unauthorized(reason: str, message: str) -> RefusedError:
    return RefusedError(HTTPStatus.UNAUTHORIZED, reason, message)


def _prepared(settings: Ingest) -> Any:
    """The key in the form that its algorithm wants."""
    assert settings.token_key is not None
    key = settings.token_key.get_secret_value()
    if settings.token_algorithm.startswith("HS") and len(key.encode()) < _SHORTEST_HMAC_KEY:
        raise MisconfiguredKeyError("shorter than 32 bytes")
    try:
        return jwt.get_algorithm_by_name(settings.token_algorithm).prepare_key(key)
    except (jwt.PyJWTError, ValueError, TypeError):
        raise MisconfiguredKeyError(f"no key for {settings.token_algorithm}") from None
