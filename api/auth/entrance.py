"""Let somebody in by the token that they show, and count the request (30.7). For any thread."""

from api.auth.limits import RateLimits
from api.auth.principal import Principal
from api.auth.remembered import RememberedTokens
from api.auth.tokens import RefusedTokenError, TokenVerifier


class NotLetInError(Exception):
    """No token, or one that lets nobody in. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooManyRequestsError(Exception):
    """A rate was exceeded; there is room again in `wait` seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__()
        self.wait = wait


class Entrance:
    """Verifies and counts; a token that was verified a moment ago is known again."""

    def __init__(self, verifier: TokenVerifier, limits: RateLimits) -> None:
        """Contact nothing yet."""
        self._tokens = RememberedTokens(verifier)
        self._limits = limits

    def let_in(self, authorization: str, address: str, *, changes: bool) -> Principal:
        """Who asks. `NotLetInError`, `TooManyRequestsError`.

        Whoever shows nothing good counts for their address alone. Takes one round trip to Redis, and two with a token
        that is new.
        """
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        known = self._tokens.find(token) if scheme.lower() == "bearer" and token else None
        if known is not None:
            _refuse(self._limits.wait_of_both(address, known.subject, changes=changes))
            return known
        _refuse(self._limits.wait_of_address(address))
        if scheme.lower() != "bearer" or not token:
            raise NotLetInError("no_token")
        try:
            principal = self._tokens.verify(token)
        except RefusedTokenError as refused:
            raise NotLetInError(refused.reason) from None
        self._tokens.remember(token, principal)
        _refuse(self._limits.wait_of_user(principal.subject, changes=changes))
        return principal


def _refuse(wait: int | None) -> None:
    if wait is not None:
        raise TooManyRequestsError(wait)
