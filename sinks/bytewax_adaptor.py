"""The services sink and the ledger as bytewax sees them."""

from collections.abc import Callable

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from config.database import make_engine
from config.settings import Settings
from dataflows.credit_runs import CreditRun
from dataflows.decisions import Decision
from lifecycle.breaker.circuit_breaker import CircuitBreaker
from lifecycle.options import LifecycleOptions
from lifecycle.system_config import SystemConfig
from sinks.ledger import LedgerSink, RunDeadLetterWriter
from sinks.services import DeadLetterWriter, ServicesSink

Keyed = tuple[str, Decision]
KeyedRun = tuple[str, CreditRun]


class _Partition(StatelessSinkPartition[Keyed]):
    def __init__(self, sink: ServicesSink) -> None:
        self._sink = sink

    def write_batch(self, items: list[Keyed]) -> None:
        """Returns when every decision is committed; meaning never depends on where a batch ends."""
        self._sink.apply(decision for _, decision in items)

    def close(self) -> None:
        self._sink.close()


class DecisionServices(DynamicSink[Keyed]):
    """Hands `(decision id, Decision)` to the lifecycle.

    Delivery is at least once: after a restart bytewax replays from the last snapshot, and the sink drops every
    `decision_id` that it has applied before.
    """

    def __init__(self, make: Callable[[], ServicesSink]) -> None:
        self._make = make

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Partition:  # noqa: ARG002
        """One sink, with connections of its own, for each worker."""
        return _Partition(self._make())


def decision_services(
    settings: Settings,
    dead_letter: Callable[[], DeadLetterWriter],
    stopping: Callable[[], bool] = lambda: False,
) -> DecisionServices:
    """The sink as the settings describe it. `dead_letter` makes a writer for each worker; contacts nothing yet."""
    options = LifecycleOptions.of(settings)

    def make() -> ServicesSink:
        # One decision at a time needs one connection.
        engine = make_engine(settings.postgres, pool_size=1)
        breaker = CircuitBreaker(engine, settings.redis.url.get_secret_value(), SystemConfig(engine), options)
        return ServicesSink(engine, options, dead_letter(), breaker=breaker, stopping=stopping)

    return DecisionServices(make)


class _LedgerPartition(StatelessSinkPartition[KeyedRun]):
    def __init__(self, sink: LedgerSink) -> None:
        self._sink = sink

    def write_batch(self, items: list[KeyedRun]) -> None:
        """Returns when every run is in the ledger, or in the dead letters."""
        self._sink.write(run for _, run in items)

    def close(self) -> None:
        self._sink.close()


class CreditLedger(DynamicSink[KeyedRun]):
    """Hands `(execution id, CreditRun)` to the ledger, which passes over what it has after a restart."""

    def __init__(self, make: Callable[[], LedgerSink]) -> None:
        self._make = make

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _LedgerPartition:  # noqa: ARG002
        """One sink, with a connection of its own, for each worker."""
        return _LedgerPartition(self._make())


def credit_ledger(
    settings: Settings,
    dead_letter: Callable[[], RunDeadLetterWriter],
    stopping: Callable[[], bool] = lambda: False,
) -> CreditLedger:
    """The ledger as the settings describe its database; contacts nothing yet."""

    def make() -> LedgerSink:
        return LedgerSink(make_engine(settings.postgres, pool_size=1), dead_letter(), stopping=stopping)

    return CreditLedger(make)
