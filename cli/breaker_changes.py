"""The circuit breaker's thresholds that were set so far, for a monitor that starts in the middle of the stream."""

from collections.abc import Callable

import sqlalchemy as sa

from cli.database import read_patiently
from dataflows.detectors.policies import BreakerChange
from dataflows.times import to_micros
from lifecycle.system_config import ConfigVersion, read_versions

_MINUTE = 60 * 1_000_000


def breaker_changes(engine: sa.Engine, stopping: Callable[[], bool]) -> list[BreakerChange]:
    """All changes, oldest first; waits for the database, and has none when asked to stop meanwhile."""
    return read_patiently(
        engine,
        stopping,
        lambda connection: [_change(version) for version in read_versions(connection)],
        "system_config_unread",
    )


def _change(version: ConfigVersion) -> BreakerChange:
    window = None if version.stuck_window_minutes is None else version.stuck_window_minutes * _MINUTE
    return BreakerChange(to_micros(version.effective_at), version.version, version.stuck_threshold, window)
