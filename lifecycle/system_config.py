"""Settings that are changed while everything runs: the circuit breaker's threshold and window (40.2).

What is stored is read again every `MAX_AGE`. A stored value that makes no sense is left out: the last good one stays
in force, which is said once and counted each time.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
import structlog

from config.metrics import SYSTEM_CONFIG_INVALID
from lifecycle import tables

#: How old what is remembered may be.
MAX_AGE = timedelta(seconds=30)

_log = structlog.get_logger(__name__)
_config = tables.system_config.c


class ConfigKey(StrEnum):
    """What can be set."""

    STUCK_THRESHOLD = "stuck_circuit_breaker_threshold"
    STUCK_WINDOW_MINUTES = "stuck_circuit_breaker_window_minutes"


#: Least, greatest, and what holds where nothing is stored. The greatest threshold is what a column can hold.
BOUNDS: Mapping[ConfigKey, tuple[int, int]] = {
    ConfigKey.STUCK_THRESHOLD: (1, 2**31 - 1),
    ConfigKey.STUCK_WINDOW_MINUTES: (1, 10_080),
}
DEFAULTS: Mapping[ConfigKey, int] = {ConfigKey.STUCK_THRESHOLD: 5, ConfigKey.STUCK_WINDOW_MINUTES: 60}


class InvalidConfigError(Exception):
    """A value that can't be used. Names the key and what is allowed, never the value."""

    def __init__(self, key: str, allowed: str) -> None:
        super().__init__(f"{key}: {allowed}")
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerConfig:
    """When a workflow keeps getting stuck."""

    threshold: int = DEFAULTS[ConfigKey.STUCK_THRESHOLD]
    window: timedelta = timedelta(minutes=DEFAULTS[ConfigKey.STUCK_WINDOW_MINUTES])


def checked(key: ConfigKey, value: Any) -> int:
    """The value, if it is one that the key may have; `InvalidConfigError` otherwise."""
    least, greatest = BOUNDS[key]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= greatest:
        raise InvalidConfigError(key, f"must be a whole number from {least} to {greatest}")
    return value


def stored_config(connection: sa.Connection) -> dict[str, Any]:
    """What is stored, good or not, by key."""
    return {row.key: row.value for row in connection.execute(sa.select(_config.key, _config.value))}


class SystemConfig:
    """The settings as a process remembers them; for any number of threads."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.monotonic) -> None:
        """Contact nothing yet. `clock` in seconds."""
        self._engine = engine
        self._clock = clock
        self._good = dict(DEFAULTS)
        self._read_at = float("-inf")
        self._said: set[str] = set()

    def breaker(self) -> BreakerConfig:
        """The circuit breaker's, no older than `MAX_AGE`; older while Postgres is away."""
        now = self._clock()
        if now - self._read_at >= MAX_AGE.total_seconds():
            self._read()
            self._read_at = now
        return BreakerConfig(
            threshold=self._good[ConfigKey.STUCK_THRESHOLD],
            window=timedelta(minutes=self._good[ConfigKey.STUCK_WINDOW_MINUTES]),
        )

    def forget(self) -> None:
        """Read what is stored when somebody asks next."""
        self._read_at = float("-inf")

    def _read(self) -> None:
        try:
            with self._engine.connect() as connection:
                stored = stored_config(connection)
        except sa.exc.SQLAlchemyError as error:
            _log.warning("system_config_unread", error=type(error).__name__)
            return
        for key in ConfigKey:
            try:
                self._good[key] = checked(key, stored[key]) if key in stored else DEFAULTS[key]
                self._said.discard(key)
            except InvalidConfigError:
                SYSTEM_CONFIG_INVALID.labels(key).inc()
                if key not in self._said:
                    _log.error("system_config_invalid", key=key.value, in_force=self._good[key])
                    self._said.add(key)
