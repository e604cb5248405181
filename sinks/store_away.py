"""What a sink does while Postgres is away: it holds the stream back, and drops nothing (60.1)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from config.metrics import SINK_RETRIES

_log = structlog.get_logger(__name__)


class StoreAwayError(Exception):
    """Postgres is away and the process was asked to stop. Nothing is lost: a restart says all again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How long to wait before something is tried again. Conflicts soon, an absent store ever slower."""

    conflict_wait: timedelta = timedelta(milliseconds=10)
    #: What still is in conflict after so many tries is not met by chance any more.
    conflict_tries: int = 50
    first_wait: timedelta = timedelta(milliseconds=100)
    longest_wait: timedelta = timedelta(seconds=5)

    def wait(self, tries: int) -> timedelta:
        """How long to wait after so many tries without the store, from 1 on."""
        return min(self.longest_wait, self.first_wait * 2.0 ** min(tries - 1, 32))


def hold_back(
    sink: str,
    tries: int,
    retry: Retry,
    stopping: Callable[[], bool],
    sleep: Callable[[float], object] = time.sleep,
    **said: str,
) -> None:
    """Wait before a sink tries again, after so many tries in vain; `StoreAwayError` when asked to stop instead.

    The first one of an outage is logged, with what else is `said` of it.
    """
    SINK_RETRIES.labels(sink).inc()
    if tries == 1:
        _log.warning("store_away", sink=sink, **said)
    if stopping():
        raise StoreAwayError
    sleep(retry.wait(tries).total_seconds())
