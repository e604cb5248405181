"""Settings that are changed while everything runs: the circuit breaker's threshold and window (40.2).

What is stored is read again every `MAX_AGE`. A stored value that makes no sense is left out: the last good one stays
in force, which is said once and counted each time.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from config.metrics import SYSTEM_CONFIG_INVALID
from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.control_events import BroadcastKind, put_broadcast
from lifecycle.kinds import AuditAction
from lifecycle.turns import wait_for_turn

#: How old what is remembered may be.
MAX_AGE = timedelta(seconds=30)

_log = structlog.get_logger(__name__)
_config = tables.system_config.c
_versions = tables.system_config_versions.c


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


#: The first version of the policy that a change makes; those of the policy file are below.
FIRST_VERSION = 1001


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigVersion:
    """What holds from an event time on; None is what the policies say."""

    version: int
    effective_at: datetime
    stuck_threshold: int | None
    stuck_window_minutes: int | None
    changed_by: str


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


def good_config(connection: sa.Connection) -> dict[ConfigKey, int | None]:
    """What is stored and makes sense, by key; None: as the policies say."""
    return _good_only(stored_config(connection))


def change_system_config(
    connection: sa.Connection, changes: Mapping[ConfigKey, Any], *, actor_context: ActorContext
) -> ConfigVersion | None:
    """Store values, None for what the policies say; the new version of the policy, None when nothing changes.

    It holds from now on in event time, and the monitor is told by a control event. Raises `InvalidConfigError`; then
    nothing is written. The transaction is the caller's, and holds no lock of this yet.
    """
    wanted = {key: None if value is None else checked(key, value) for key, value in changes.items()}
    # Versions are in the order of their times: one change after the other.
    wait_for_turn(connection, "system_config")
    stored = stored_config(connection)
    after = _good_only(stored) | wanted
    if all(stored.get(key) == after[key] for key in ConfigKey):
        return None
    for key in ConfigKey:
        if after[key] is None:
            connection.execute(sa.delete(tables.system_config).where(_config.key == key))
        elif stored.get(key) != after[key]:
            statement = insert(tables.system_config)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["key"],
                    set_={
                        "value": statement.excluded.value,
                        "updated_by": statement.excluded.updated_by,
                        "updated_at": sa.func.now(),
                    },
                ),
                {"key": key, "value": after[key], "updated_by": actor_context.actor},
            )
    made = _add_version(connection, after, actor_context)
    write_audit(
        connection,
        tenant_id=None,
        actor_context=actor_context,
        entries=[
            AuditEntry(
                action=AuditAction.CHANGE_SYSTEM_CONFIG,
                resource_type="system_config",
                resource_id=str(made.version),
                metadata={key.value: after[key] for key in ConfigKey},
            )
        ],
    )
    put_broadcast(
        connection,
        kind=BroadcastKind.SYSTEM_CONFIG_CHANGED,
        cause=str(made.version),
        occurred_at=made.effective_at,
        fields={
            "version": made.version,
            "stuck_threshold": made.stuck_threshold,
            "stuck_window_minutes": made.stuck_window_minutes,
        },
    )
    return made


def read_versions(connection: sa.Connection) -> list[ConfigVersion]:
    """All versions, oldest first."""
    columns = [_versions[name] for name in ConfigVersion.__dataclass_fields__]
    return [
        ConfigVersion(**row) for row in connection.execute(sa.select(*columns).order_by(_versions.version)).mappings()
    ]


def _good_only(stored: Mapping[str, Any]) -> dict[ConfigKey, int | None]:
    good: dict[ConfigKey, int | None] = dict.fromkeys(ConfigKey)
    for key in ConfigKey:
        if key in stored:
            with suppress(InvalidConfigError):
                good[key] = checked(key, stored[key])
    return good


def _add_version(
    connection: sa.Connection, values: Mapping[ConfigKey, int | None], actor_context: ActorContext
) -> ConfigVersion:
    row = (
        connection.execute(
            insert(tables.system_config_versions)
            .values(
                version=sa.select(
                    sa.func.greatest(sa.func.max(_versions.version) + 1, FIRST_VERSION)
                ).scalar_subquery(),
                # Of the clock and not of the transaction, which may have waited: a later version holds later.
                effective_at=sa.func.clock_timestamp(),
                stuck_threshold=values[ConfigKey.STUCK_THRESHOLD],
                stuck_window_minutes=values[ConfigKey.STUCK_WINDOW_MINUTES],
                changed_by=actor_context.actor,
            )
            .returning(*(_versions[name] for name in ConfigVersion.__dataclass_fields__))
        )
        .mappings()
        .one()
    )
    return ConfigVersion(**row)


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
