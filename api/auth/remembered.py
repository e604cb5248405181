"""Tokens that were verified a moment ago, for services that ask a thousand times a second."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

import jwt

from api.auth.principal import Principal
from api.auth.tokens import TokenVerifier

#: For how long a verified token is not verified again: after it expires, or its key is withdrawn, no longer than this.
LIFETIME = timedelta(seconds=10)

_MOST = 1_000


class RememberedTokens:
    """Remembers who a token is of; never one that was refused. Keeps digests, not tokens. For any thread."""

    def __init__(self, verifier: TokenVerifier, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix seconds."""
        self._verifier = verifier
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    def find(self, token: str) -> Principal | None:
        """Who it is of; None when it has to be verified."""
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = self._known.get(digest)
        if found is None:
            return None
        principal, until = found
        if self._clock() >= until:
            self._known.pop(digest, None)  # another thread may have been quicker
            return None
        return principal

    def remember(self, token: str, principal: Principal) -> None:
        """Keep who a token is of that was just verified; not beyond the time that it says itself."""
        expires = jwt.decode(token, options={"verify_signature": False})["exp"]
        until = min(self._clock() + LIFETIME.total_seconds(), float(expires))
        self._known[sha256(token.encode("utf-8", "surrogatepass")).digest()] = principal, until
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def verify(self, token: str) -> Principal:
        """Verify it the slow way. `RefusedTokenError`; may wait for the issuer's keys."""
        return self._verifier.verify(token)
