"""Rates: so many requests of a user, of an address, so many changes; counted in Redis, or here while it is away."""

import time
from math import ceil

import structlog
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from config.settings import Auth

#: Seconds for which Redis is not asked again when it did not answer: asking costs every request a connection.
AWAY = 5.0

_log = structlog.get_logger(__name__)


class RateLimits:
    """Counts and refuses. While Redis is away each process counts for itself, so that nothing stops for it."""

    def __init__(self, settings: Auth, redis_url: str | None) -> None:
        """Contact nothing yet."""
        self._user, self._address = parse(settings.user_limit), parse(settings.address_limit)
        self._change = parse(settings.change_limit)
        self._here = MovingWindowRateLimiter(MemoryStorage())
        self._away_until = 0.0
        self._shared = None if redis_url is None else MovingWindowRateLimiter(_redis(redis_url))

    def wait_of_address(self, address: str) -> int | None:
        """Count a request; seconds to wait when it is one too many."""
        return self._wait(self._address, "address", address)

    def wait_of_user(self, subject: str, *, changes: bool) -> int | None:
        """Count a request of somebody, and a change as one of both; seconds to wait when it is one too many."""
        wait = self._wait(self._user, "user", subject)
        if wait is None and changes:
            wait = self._wait(self._change, "change", subject)
        return wait

    def _wait(self, limit: RateLimitItem, *key: str) -> int | None:
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                return _hit(self._shared, limit, *key)
            except RedisError as error:
                self._away_until = time.monotonic() + AWAY
                _log.warning("rates_counted_here", error=type(error).__name__)
        return _hit(self._here, limit, *key)


def _hit(limiter: MovingWindowRateLimiter, limit: RateLimitItem, *key: str) -> int | None:
    if limiter.hit(limit, *key):
        return None
    return max(1, ceil(limiter.get_window_stats(limit, *key).reset_time - time.time()))


def _redis(url: str) -> Storage:
    return RedisStorage(url, key_prefix="breakwater:rates", socket_timeout=0.5, socket_connect_timeout=0.5)
