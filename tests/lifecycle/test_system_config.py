"""Settings that change while everything runs: checked, cached, versioned, told to the monitor (40.2)."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.system_config import (
    FIRST_VERSION,
    BreakerConfig,
    ConfigKey,
    ConfigVersion,
    InvalidConfigError,
    SystemConfig,
    change_system_config,
    read_versions,
)
from tests.lifecycle.breaker_given import set_config
from tests.lifecycle.given import row, rows

OTTO = ActorContext.of_user("u9", "cli")
THRESHOLD, WINDOW = ConfigKey.STUCK_THRESHOLD, ConfigKey.STUCK_WINDOW_MINUTES


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def change(engine: sa.Engine, changes: dict[ConfigKey, Any]) -> ConfigVersion | None:
    """Change values in a transaction of their own."""
    with engine.begin() as connection:
        return change_system_config(connection, changes, actor_context=OTTO)


def test_what_holds_where_nothing_is_stored(engine: sa.Engine) -> None:
    assert SystemConfig(engine).breaker() == BreakerConfig(threshold=5, window=timedelta(minutes=60))


def test_a_stored_value_is_seen_within_half_a_minute_and_not_asked_for_before(engine: sa.Engine) -> None:
    clock = Clock()
    config = SystemConfig(engine, clock)
    assert config.breaker().threshold == 5
    set_config(engine, stuck_circuit_breaker_threshold=3)
    clock.now = 29.9
    assert config.breaker().threshold == 5
    clock.now = 30
    assert config.breaker().threshold == 3


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        pytest.param(key, bad, id=f"{key}: {bad}")
        for key, values in ((THRESHOLD, (0, -1, 2**31)), (WINDOW, (0, 10_081)))
        for bad in (*values, 2.5, "7", True, None, [3], {})
    ],
)
def test_a_value_that_makes_no_sense_is_refused_and_where_stored_the_last_good_one_stays(
    engine: sa.Engine, key: ConfigKey, bad: Any
) -> None:
    clock, name = Clock(), "breakwater_system_config_invalid_total"
    config = SystemConfig(engine, clock)
    set_config(engine, **{key: 7})
    good = config.breaker()
    counted = REGISTRY.get_sample_value(name, {"key": key}) or 0
    set_config(engine, **{key: bad})
    clock.now = 60
    assert config.breaker() == good
    assert REGISTRY.get_sample_value(name, {"key": key}) == counted + 1
    if bad is not None:
        with pytest.raises(InvalidConfigError) as refused:
            change(engine, {key: bad})
        assert refused.value.key == key
        assert rows(engine, tables.system_config_versions) == []


def test_the_last_good_one_stays_while_postgres_is_away(engine: sa.Engine) -> None:
    clock = Clock()
    config = SystemConfig(engine, clock)
    set_config(engine, stuck_circuit_breaker_threshold=3)
    assert config.breaker().threshold == 3
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE system_config RENAME TO gone"))
    clock.now = 60
    assert config.breaker().threshold == 3


def test_a_change_makes_a_version_an_audit_row_and_a_control_event(engine: sa.Engine) -> None:
    made = change(engine, {THRESHOLD: 3})
    assert made is not None
    assert (made.version, made.stuck_threshold, made.stuck_window_minutes) == (FIRST_VERSION, 3, None)
    again = change(engine, {WINDOW: 10})
    assert again is not None
    assert (again.version, again.stuck_threshold, again.stuck_window_minutes) == (FIRST_VERSION + 1, 3, 10)
    assert again.effective_at > made.effective_at
    with engine.connect() as connection:
        assert read_versions(connection) == [made, again]
    assert [one["metadata"] for one in rows(engine, tables.audit_logs)] == [
        {"stuck_circuit_breaker_threshold": 3, "stuck_circuit_breaker_window_minutes": None},
        {"stuck_circuit_breaker_threshold": 3, "stuck_circuit_breaker_window_minutes": 10},
    ]
    told = sorted(rows(engine, tables.outbox_events), key=lambda one: one["sequence"])
    assert [one["payload"] for one in told] == [
        {
            "kind": "system_config_changed",
            "event_id": one["event_id"],
            "occurred_at": version.effective_at.isoformat(),
            "version": version.version,
            "stuck_threshold": version.stuck_threshold,
            "stuck_window_minutes": version.stuck_window_minutes,
        }
        for one, version in zip(told, (made, again), strict=True)
    ]


def test_what_changes_nothing_makes_no_version(engine: sa.Engine) -> None:
    assert change(engine, {THRESHOLD: None}) is None
    change(engine, {THRESHOLD: 3})
    assert change(engine, {THRESHOLD: 3}) is None
    assert change(engine, {}) is None
    assert row(engine, tables.system_config_versions)["version"] == FIRST_VERSION


def test_a_value_is_taken_back_to_what_the_policies_say(engine: sa.Engine) -> None:
    change(engine, {THRESHOLD: 3, WINDOW: 10})
    made = change(engine, {THRESHOLD: None})
    assert made is not None
    assert (made.stuck_threshold, made.stuck_window_minutes) == (None, 10)
    assert SystemConfig(engine).breaker() == BreakerConfig(threshold=5, window=timedelta(minutes=10))


def test_a_change_puts_right_what_made_no_sense(engine: sa.Engine) -> None:
    set_config(engine, stuck_circuit_breaker_threshold=-3)
    change(engine, {WINDOW: 10})
    assert {one["key"]: one["value"] for one in rows(engine, tables.system_config)} == {WINDOW: 10}
