"""The circuit breaker's store: counts what got stuck, enforces what the detector decides (40.1, 40.2).

The table `stuck_executions` is the truth, Redis a copy that spares it in a storm. A copy is made from the table,
vouches for itself for `GOOD_FOR` and takes in what is recorded meanwhile. So whatever becomes of Redis, and wherever a
process dies between its commit and its word to Redis, a count is short for no longer than that. Nothing is stopped
for a copy's count: the detector has its own in its state, and who trips without it asks the table again.
"""

import json
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa
import structlog

from config.metrics import STUCK_COUNTS
from lifecycle.actors import MONITOR
from lifecycle.blacklist import Trip
from lifecycle.blacklisted import is_on_blacklist
from lifecycle.breaker.redis_client import AWAY, connect, prefix_of
from lifecycle.breaker.stuck_table import LONGEST_WINDOW, StuckCounter, read_counter
from lifecycle.guard.gate import BlacklistResult, blacklist_within_bounds
from lifecycle.options import LifecycleOptions
from lifecycle.system_config import BreakerConfig, SystemConfig
from lifecycle.workflows import Workflow

#: For how long a copy is good. Not longer than Redis is left alone after it did not answer: who could not tell it
#: something does not read a copy without it.
GOOD_FOR = min(timedelta(seconds=1), AWAY)

_SCRIPT = Path(__file__).with_name("stuck_counter.lua").read_text(encoding="utf-8")
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckCount:
    """How many executions count, and how many are too many."""

    count: int
    config: BreakerConfig

    @property
    def is_reached(self) -> bool:
        """Whether they are too many."""
        return self.count >= self.config.threshold


class CircuitBreaker:
    """The store; for any number of threads and processes."""

    def __init__(
        self, engine: sa.Engine, redis_url: str | None, config: SystemConfig, options: LifecycleOptions | None = None
    ) -> None:
        """Contact nothing yet. Without Redis the table is asked each time."""
        self._engine = engine
        self._config = config
        self._options = options or LifecycleOptions()
        self._client = None if redis_url is None else connect(redis_url)
        self._script = None if self._client is None else self._client.register_script(_SCRIPT)
        self._prefix = prefix_of(engine)
        self._away_until = 0.0
        self._is_away = False

    def close(self) -> None:
        """Give the connections to Redis back."""
        if self._client is not None:
            self._client.close()

    def record_stuck(self, tenant_id: str, workflow_id: str, execution_id: str, stuck_at: datetime) -> StuckCount:
        """Count an execution; once, whatever the number of calls. Returns the count with it.

        To be called when its row is committed (`lifecycle.stuck.record_stuck`): the count is of the rows. Raises
        SQLAlchemy's errors when neither store can be asked; nothing is lost then.
        """
        config, key = self._config.breaker(), (tenant_id, workflow_id)
        return self._counted(key, config, self._record(key, config, execution_id, stuck_at))

    def note_stuck(self, tenant_id: str, workflow_id: str, execution_id: str, stuck_at: datetime) -> None:
        """The same for who asks for no count: one word to Redis, no error, and nothing is waited for twice a second."""
        self._record((tenant_id, workflow_id), self._config.breaker(), execution_id, stuck_at)

    def note_recovered(self, tenant_id: str, workflow_id: str, execution_id: str, recovered_at: datetime) -> None:
        """Take an execution out of the count. To be called when its recovery is committed."""
        self._ask((tenant_id, workflow_id), "recover", execution_id, _micros(recovered_at))

    def check_threshold(self, tenant_id: str, workflow_id: str) -> StuckCount:
        """How many executions of a workflow count now, by the window that is set now."""
        config = self._config.breaker()
        found = self._ask((tenant_id, workflow_id), "count", config.window // _MICROSECOND)
        return self._counted((tenant_id, workflow_id), config, found)

    def blacklist_workflow(
        self, workflow: Workflow, *, decision_id: str, occurred_at: datetime, automation_version_id: str | None = None
    ) -> BlacklistResult:
        """Put a workflow on the blacklist, if the table says that it got stuck too often: for whoever has a decision.

        `decision_id` is one that is recorded. However many processes do so at once, one row and one notice come of
        it. The guard may hold it (30.6).
        """
        config = self._config.breaker()
        with self._engine.begin() as connection:
            executions = read_counter(connection, workflow.tenant_id, workflow.workflow_id).within(config.window)
            if len(executions) < config.threshold:
                return BlacklistResult()
            return blacklist_within_bounds(
                connection,
                workflow,
                Trip(
                    stuck_count=len(executions),
                    threshold=config.threshold,
                    window=config.window,
                    execution_ids=executions,
                    automation_version_id=automation_version_id,
                ),
                actor_context=MONITOR,
                decision_id=decision_id,
                occurred_at=occurred_at,
                options=self._options,
            )

    def is_workflow_blacklisted(self, tenant_id: str, workflow_id: str) -> bool:
        """Whether a workflow is on the blacklist, as Postgres says; the gate asks `BlacklistStore`."""
        with self._engine.connect() as connection:
            return is_on_blacklist(connection, tenant_id, workflow_id)

    def clear_stuck_counter(self, tenant_id: str, workflow_id: str) -> None:
        """Forget the copy, after a release: the table knows what counts since. Without this it is forgotten soon."""
        self._ask((tenant_id, workflow_id), "clear")

    def _record(
        self, key: tuple[str, str], config: BreakerConfig, execution_id: str, stuck_at: datetime
    ) -> list[Any] | None:
        return self._ask(key, "record", execution_id, _micros(stuck_at), config.window // _MICROSECOND)

    def _counted(self, key: tuple[str, str], config: BreakerConfig, found: list[Any] | None) -> StuckCount:
        if found:
            STUCK_COUNTS.labels("redis").inc()
            return StuckCount(count=int(found[0]), config=config)
        STUCK_COUNTS.labels("postgres").inc()
        reader = uuid.uuid4().hex
        # Redis has no good copy (an empty answer), or does not answer.
        began = None if found is None else self._ask(key, "begin", reader)
        with self._engine.connect() as connection:
            counter = read_counter(connection, *key)
        if began:
            self._load(key, reader, int(began[0]), counter)
        return StuckCount(count=len(counter.within(config.window)), config=config)

    def _load(self, key: tuple[str, str], reader: str, began: int, counter: StuckCounter) -> None:
        """Offer a copy; it is not taken when something was recorded since, or somebody reads who began later."""
        pairs = [*counter.stuck.items(), *counter.recovered.items()]
        self._ask(
            key,
            "load",
            reader,
            began,
            _micros(counter.released_at),
            _micros(counter.newest),
            len(counter.stuck),
            *(part for execution_id, at in pairs for part in (execution_id, _micros(at))),
        )

    def _ask(self, key: tuple[str, str], what: str, *arguments: str | int) -> list[Any] | None:
        """Ask Redis; None when there is no answer."""
        if self._script is None or time.monotonic() < self._away_until:
            return None
        # As JSON: ids may hold anything, and no two pairs may look alike.
        tag = f"{self._prefix}:{{{json.dumps(key)}}}"
        try:
            answer: Any = self._script(
                keys=[f"{tag}:stuck", f"{tag}:recovered", f"{tag}:facts"],
                args=[what, GOOD_FOR // _MICROSECOND, LONGEST_WINDOW // _MICROSECOND, *arguments],
            )
        except redis.RedisError as error:
            self._away_until = time.monotonic() + AWAY.total_seconds()
            if not self._is_away:
                _log.warning("stuck_counter_away", error=type(error).__name__)
            self._is_away = True
            return None
        self._is_away = False
        return list(answer)


def _micros(time_: datetime | None) -> int | str:
    return "-inf" if time_ is None else (time_ - _EPOCH) // _MICROSECOND
