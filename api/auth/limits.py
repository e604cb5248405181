"""Rates: so many requests of a user, of an address, so many changes; counted in Redis, or here while it is away."""

import time
from math import ceil

import redis
import structlog
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from config.settings import Auth

#: Seconds for which Redis is not asked again when it did not answer: asking costs every request a connection.
AWAY = 5.0

_PREFIX = "breakwater:rates"

#: Counts a request in one window after another, until one is full: then the seconds until it has room.
#: A window is a list of the times of its last requests, the newest first.
_COUNT = """
local clock = redis.call('time')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
for place, window in ipairs(KEYS) do
  local limit, seconds = tonumber(ARGV[2 * place - 1]), tonumber(ARGV[2 * place])
  local first = redis.call('lindex', window, limit - 1)
  if first and tonumber(first) >= now - seconds then
    return tostring(tonumber(first) + seconds - now)
  end
  redis.call('lpush', window, string.format('%.6f', now))
  redis.call('ltrim', window, 0, limit - 1)
  redis.call('expire', window, seconds)
end
return false
"""

_log = structlog.get_logger(__name__)

#: A rate, and what it is counted for.
_Window = tuple[RateLimitItem, str, str]


class RateLimits:
    """Counts and refuses. While Redis is away each process counts for itself, so that nothing stops for it."""

    def __init__(self, settings: Auth, redis_url: str | None) -> None:
        """Contact nothing yet."""
        self._user, self._address = parse(settings.user_limit), parse(settings.address_limit)
        self._change = parse(settings.change_limit)
        self._here = MovingWindowRateLimiter(MemoryStorage())
        self._away_until = 0.0
        self._shared = None if redis_url is None else _script(redis_url)

    def wait_of_address(self, address: str) -> int | None:
        """Count a request; seconds to wait when it is one too many."""
        return self._wait((self._address, "address", address))

    def wait_of_user(self, subject: str, *, changes: bool) -> int | None:
        """Count a request of somebody, and a change as one of both; seconds to wait when it is one too many."""
        return self._wait(*self._of_user(subject, changes=changes))

    def wait_of_both(self, address: str, subject: str, *, changes: bool) -> int | None:
        """Count a request of an address, then of somebody, as the two others do, in one round trip."""
        return self._wait((self._address, "address", address), *self._of_user(subject, changes=changes))

    def _of_user(self, subject: str, *, changes: bool) -> list[_Window]:
        of_user: list[_Window] = [(self._user, "user", subject)]
        return [*of_user, (self._change, "change", subject)] if changes else of_user

    def _wait(self, *windows: _Window) -> int | None:
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                wait = self._shared(
                    keys=[
                        f"{_PREFIX}:{rate.amount}/{rate.get_expiry()}:{kind}:{whose}" for rate, kind, whose in windows
                    ],
                    args=[number for rate, _, _ in windows for number in (rate.amount, rate.get_expiry())],
                )
            except redis.RedisError as error:
                self._away_until = time.monotonic() + AWAY
                _log.warning("rates_counted_here", error=type(error).__name__)
            else:
                return None if wait is None else max(1, ceil(float(wait)))
        return next((wait for window in windows if (wait := self._wait_here(*window)) is not None), None)

    def _wait_here(self, rate: RateLimitItem, kind: str, whose: str) -> int | None:
        if self._here.hit(rate, kind, whose):
            return None
        return max(1, ceil(self._here.get_window_stats(rate, kind, whose).reset_time - time.time()))


def _script(url: str) -> redis.commands.core.Script:
    client = redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)
    return client.register_script(_COUNT)
