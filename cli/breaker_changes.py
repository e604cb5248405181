"""The circuit breaker's thresholds that were set so far, for a monitor that starts in the middle of the stream."""

import time
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa
import structlog

from dataflows.detectors.policies import BreakerChange
from dataflows.times import to_micros
from lifecycle.system_config import ConfigVersion, read_versions

#: How often a database that is away is tried.
RETRY = timedelta(milliseconds=500)

_MINUTE = 60 * 1_000_000

_log = structlog.get_logger(__name__)


def breaker_changes(engine: sa.Engine, stopping: Callable[[], bool]) -> list[BreakerChange]:
    """All changes, oldest first; waits for the database, and has none when asked to stop meanwhile."""
    is_away = False
    while not stopping():
        try:
            with engine.connect() as connection:
                return [_change(version) for version in read_versions(connection)]
        except sa.exc.OperationalError as error:
            if not is_away:
                _log.warning("system_config_unread", error=type(error).__name__)
            is_away = True
            time.sleep(RETRY.total_seconds())
    return []


def _change(version: ConfigVersion) -> BreakerChange:
    window = None if version.stuck_window_minutes is None else version.stuck_window_minutes * _MINUTE
    return BreakerChange(to_micros(version.effective_at), version.version, version.stuck_threshold, window)
