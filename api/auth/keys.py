"""The keys that sign tokens, fetched from a JWKS address; a rotation is noticed at the first token that needs it."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import httpx2
import jwt
import structlog

#: A set of keys is small; a larger answer is no set of keys.
MAX_BYTES = 256 * 1024
TIMEOUT = timedelta(seconds=5)

_ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}

_log = structlog.get_logger(__name__)


class JwksKeys:
    """Keys by `kid`. Thread-safe; fetches at most once in `pause`, so that made-up key ids cost the issuer nothing.

    While the address does not answer, the keys that were fetched last stay good.
    """

    def __init__(
        self, url: str, *, lifetime: timedelta, pause: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Contact nothing yet."""
        self._url = url
        self._lifetime, self._pause = lifetime.total_seconds(), pause.total_seconds()
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._tried_at = self._fetched_at = -float("inf")

    def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of this id, None when the issuer has none."""
        with self._lock:
            now = self._clock()
            stale = now - self._fetched_at > self._lifetime
            if (stale or kid not in self._keys) and now - self._tried_at >= self._pause:
                self._tried_at = now
                self._fetch(now)
            return self._keys.get(kid)

    def _fetch(self, now: float) -> None:
        try:
            self._keys = _read(httpx2.get(self._url, timeout=TIMEOUT.total_seconds()))
            self._fetched_at = now
        except (httpx2.HTTPError, ValueError, jwt.PyJWTError) as error:
            _log.warning("jwks_not_fetched", error=type(error).__name__)


def _read(response: httpx2.Response) -> Mapping[str, jwt.PyJWK]:
    """The keys of an answer that can sign tokens; others in it, of kinds that we don't take, are passed over."""
    small = response.is_success and len(response.content) <= MAX_BYTES
    document: Any = response.json() if small else None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no set of keys")  # noqa: TRY004  (it is what came that is wrong)
    keys = {}
    for key in listed:
        if not isinstance(key, dict) or key.get("use", "sig") != "sig":
            continue
        kid, algorithm = key.get("kid"), _ALGORITHMS.get(key.get("kty", ""))
        if isinstance(kid, str) and algorithm is not None:
            try:
                keys[kid] = jwt.PyJWK(key, algorithm)
            except jwt.PyJWTError:
                continue
    return keys
